/* Rate limits of other servers: after a 429, requests of that kind are not sent until the time that
 * the server named is over. Other requests, above all transactions, are not affected. In memory,
 * bounded. */
#ifndef FEDERATION_PEER_PAUSES_H
#define FEDERATION_PEER_PAUSES_H

#include <stdint.h>

struct pauses;
struct pauses *pauses_create(void);
void pauses_destroy(struct pauses *p); /* NULL-safe */

/* The server has answered 429 to a request with this path. now: mono_ms. */
void pauses_note(struct pauses *p, const char *server, const char *path, int64_t wait_ms,
                 int64_t now_mono);
/* How long, in ms, such a request must wait; 0: it may be sent. */
int64_t pauses_left(struct pauses *p, const char *server, const char *path, int64_t now_mono);

#endif
