/* What base/config.c cannot check because it needs to know the protocol, or the machine. */
#ifndef SERVER_CLI_CHECK_H
#define SERVER_CLI_CHECK_H

#include "base/config.h"

/* Adds one line for each problem. */
void check_config(const struct config *config, struct buf *ret_problems);

#endif
