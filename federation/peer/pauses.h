/* What other servers want to be left alone with: after a 429 requests of that kind are not made
 * until the time is over that it asked for. Everything else goes on, what is sent to it above all.
 * In memory, bounded. */
#ifndef FEDERATION_PEER_PAUSES_H
#define FEDERATION_PEER_PAUSES_H

#include <stdint.h>

struct pauses;
struct pauses *pauses_create(void);
void pauses_destroy(struct pauses *p); /* NULL-safe */

/* The server has answered 429 to a request with this path. now: mono_ms. */
void pauses_note(struct pauses *p, const char *server, const char *path, int64_t wait_ms,
                 int64_t now_mono);
/* For how long, in ms, such a request is not to be made yet; 0: it may be. */
int64_t pauses_left(struct pauses *p, const char *server, const char *path, int64_t now_mono);

#endif
