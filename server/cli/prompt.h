/* Asks for a password. */
#ifndef SERVER_CLI_PROMPT_H
#define SERVER_CLI_PROMPT_H

#include "base/arena.h"

/* From the terminal, without echo, twice; or one line from standard input when that is not a
 * terminal. ERR_INVALID_PARAM when there is none or the two differ. */
const struct err *prompt_password(struct arena *a, const char **ret);

#endif
