/* Another server that gives one answer to every request, by TLS, so that the code which reads the
 * answers of other servers can be fuzzed unchanged. */
#ifndef TESTS_FUZZ_ANSWERING_HOST_H
#define TESTS_FUZZ_ANSWERING_HOST_H

#include "base/str.h"

/* Only this host has this address. */
#define ANSWERING_HOST "127.17.34.51"

/* Starts its threads, which live as long as the process. Returns its server name. */
const char *answering_host_start(void);

/* Sets its answer from now on, with status 200. Both are borrowed until the next call. */
void answering_host_say(struct str content_type, struct str body);

#endif
