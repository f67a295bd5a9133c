/* Checks of the configuration that need to know the protocol or the machine, unlike those of
 * base/config/config.c. */
#ifndef SERVER_CLI_CHECK_H
#define SERVER_CLI_CHECK_H

#include "base/config/config.h"

/* Adds one line for each problem. */
void check_config(const struct config *config, struct buf *ret_problems);

#endif
