/* Rate limits: token buckets in a table of fixed size.
 *
 * A bucket is one number (the virtual time at which it will be full again, "GCRA"). A full bucket
 * is the same as none, so idle ones vanish, and a new one takes the place of the fullest of its
 * set. Thread-safe.
 *
 * The nodes of a deployment exchange what they have taken, so that a limit holds for all of them
 * together: over time exactly, since what others have taken is paid off like a debt. Until it is
 * exchanged, each node allows a burst of its own; and a node keeps less than an eighth of a burst
 * to itself. */
#ifndef HTTP_RATE_H
#define HTTP_RATE_H

#include "base/str.h"
#include "http/route.h"

struct rate_table;

enum { RATE_SECRET_BYTES = 16 };

/* secret: the same for all nodes of the deployment, and unknown to clients, who could otherwise
 * find keys that share a set; NULL: a random one. */
struct rate_table *rate_table_create(const unsigned char *secret);
void rate_table_destroy(struct rate_table *t); /* NULL-safe */

/* Takes n tokens from the bucket of this kind and key (a caller's id or address). Returns 0, or the
 * milliseconds until a token is available. One token is enough to take many: the bucket then owes
 * the others, and stays empty for longer. A limit of 0 per second means no limit. */
int rate_take(struct rate_table *t, enum route_rate kind, struct str key,
              const struct rate_limit *limit, int n, int64_t now_us);

/* Takes n tokens, even from an empty bucket. */
void rate_owe(struct rate_table *t, enum route_rate kind, struct str key,
              const struct rate_limit *limit, int n, int64_t now_us);

/* Puts n tokens back that were taken. */
void rate_give_back(struct rate_table *t, enum route_rate kind, struct str key,
                    const struct rate_limit *limit, int n, int64_t now_us);

/* ---- between nodes ---- */

enum { RATE_EXCHANGE_BYTES_MAX = 7900 }; /* a notification of PostgreSQL has less than 8000 bytes */

/* Appends a text for the other nodes: the buckets of which at least an eighth of the burst was
 * taken here and not exchanged yet. What does not fit is left for the next call. False: there is
 * nothing to send. */
bool rate_exchange_take(struct rate_table *t, int64_t now_us, struct buf *out);

/* Takes what another node has taken. Ignores the table's own texts, and those of a node with
 * another secret or of an unknown format. */
void rate_exchange_apply(struct rate_table *t, struct str text, int64_t now_us);

#endif
