/* Rate limits: token buckets in a table of fixed size.
 *
 * A bucket is one number (the virtual time at which it will be full again, "GCRA"), so a bucket
 * that is full is the same as no bucket: idle ones vanish by themselves, and a newcomer takes the
 * place of the fullest of its set. Thread-safe. */
#ifndef HTTP_RATE_H
#define HTTP_RATE_H

#include "base/str.h"
#include "http/route.h"

struct rate_table;

struct rate_table *rate_table_create(void);
void rate_table_destroy(struct rate_table *t); /* NULL-safe */

/* Takes n tokens from the bucket of this kind and key (a caller's id or address). Returns 0, or how
 * many milliseconds to wait until there is one. One is enough to take many: the bucket then owes
 * the others, and is empty for so much longer. A limit of 0 per second is none. */
int rate_take(struct rate_table *t, enum route_rate kind, struct str key,
              const struct rate_limit *limit, int n, int64_t now_us);

/* Takes n tokens, whether there are any or not. */
void rate_owe(struct rate_table *t, enum route_rate kind, struct str key,
              const struct rate_limit *limit, int n, int64_t now_us);

/* Puts n tokens back that were taken. */
void rate_give_back(struct rate_table *t, enum route_rate kind, struct str key,
                    const struct rate_limit *limit, int n, int64_t now_us);

#endif
