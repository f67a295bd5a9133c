/* Another server that gives one answer to whatever it is asked, by TLS, so that what reads the
 * answers of other servers can be fuzzed as it stands. */
#ifndef TESTS_FUZZ_ANSWERING_HOST_H
#define TESTS_FUZZ_ANSWERING_HOST_H

#include "base/str.h"

/* Only this host has this address. */
#define ANSWERING_HOST "127.17.34.51"

/* Starts its threads, which live as long as the process. Returns its server name. */
const char *answering_host_start(void);

/* What it answers from now on, with status 200. Both are borrowed until the next call. */
void answering_host_say(struct str content_type, struct str body);

#endif
