/* Spans of time in what commands print. */
#ifndef SERVER_CLI_SPAN_H
#define SERVER_CLI_SPAN_H

#include <stdint.h>

enum { SPAN_MAX = 24 };

/* "3 min", "2 h 5 min", "4 d 3 h". Returns ret. */
const char *span_print(char ret[static SPAN_MAX], int64_t ms);

#endif
