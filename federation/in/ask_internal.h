#ifndef FEDERATION_IN_ASK_INTERNAL_H
#define FEDERATION_IN_ASK_INTERNAL_H

#include "federation/in/ask.h"
#include "federation/peer/reply.h"

/* Notes that the request to that server of the list failed; it may not be asked again. */
void ask_note_failure(struct ask *a, size_t server, bool is_unreachable, int64_t wait_ms);

/* Sends the request to one server after the other until one replies with a JSON object in which
 * this list is not empty; p NULL if none did. */
const struct err *ask_any(struct ask *a, struct fed_request *r, const char *list, struct str *ret);

/* The valid PDUs of a list; none if it is not a list or has more than max. */
const struct err *ask_read_pdus(struct ask *a, struct str list, size_t max, struct events *ret);

#endif
