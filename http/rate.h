/* Rate limits: token buckets in a table of fixed size.
 *
 * A bucket is one number (the virtual time at which it will be full again, "GCRA"). A full bucket
 * is the same as none, so idle ones vanish, and a new one takes the place of the fullest of its
 * set. Thread-safe. */
#ifndef HTTP_RATE_H
#define HTTP_RATE_H

#include "base/str.h"
#include "http/route.h"

struct rate_table;

struct rate_table *rate_table_create(void);
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

#endif
