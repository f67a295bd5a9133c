/* What a list of rooms is sorted and filtered by, of many rooms at once. */
#ifndef STORAGE_ROOMS_OUTLINES_H
#define STORAGE_ROOMS_OUTLINES_H

#include "storage/db/db.h"

enum { OUTLINE_BUMP_SCAN = 500 };

/* The newest event of the timeline; 0: none. Each in the order of `rooms`. */
const struct err *outlines_newest(struct tx *tx, const int64_t *rooms, size_t n, int64_t *ret);
/* The newest event of those types, among the newest OUTLINE_BUMP_SCAN; if there is none, the oldest
 * of these. */
const struct err *outlines_newest_of(struct tx *tx, const int64_t *rooms, size_t n,
                                     const char *const *types, size_t types_n, int64_t *ret);

/* A current state event with an empty state key. */
struct outline_state {
    int64_t room, type; /* TYPE_CREATE, TYPE_NAME, TYPE_ENCRYPTION */
    struct str json;    /* of TYPE_ENCRYPTION: p NULL */
};
const struct err *outlines_state(struct tx *tx, const int64_t *rooms, size_t n,
                                 const struct outline_state **ret, size_t *ret_n);

/* The senders (users.id) of events, by position; 0 for those that are gone. */
const struct err *outlines_senders(struct tx *tx, const int64_t *positions, size_t n, int64_t *ret);

#endif
