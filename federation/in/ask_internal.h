#ifndef FEDERATION_IN_ASK_INTERNAL_H
#define FEDERATION_IN_ASK_INTERNAL_H

#include "federation/in/ask.h"
#include "federation/peer/reply.h"

/* That server of the list has failed so: it may be asked no more. */
void ask_note_failure(struct ask *a, size_t server, bool is_unreachable, int64_t wait_ms);

/* The request, to one server after the other until one gives a JSON object with something in this
 * list; p NULL: none did. */
const struct err *ask_any(struct ask *a, struct fed_request *r, const char *list, struct str *ret);

/* The good ones of a list of PDUs; none when it is no list or has more than max. */
const struct err *ask_read_pdus(struct ask *a, struct str list, size_t max, struct events *ret);

#endif
