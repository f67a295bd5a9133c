/* What lists of rooms are sorted and filtered by: a few hundred bytes a room, so that a user with
 * thousands of rooms needs none of them in the cache of rooms. A cache of its own, which follows
 * the log; missing ones are read together, in at most three statements. */
#ifndef ROOMS_READ_OUTLINES_H
#define ROOMS_READ_OUTLINES_H

#include "base/cache.h"
#include "storage/db/job.h"

struct change;
struct outlines;

struct outlines *outlines_create(struct cache_budget *b);
void outlines_destroy(struct outlines *o); /* NULL-safe */
void outlines_on_changes(void *outlines, const struct change *changes,
                         size_t n); /* a listener (storage/db/feed.h) */

/* The parts beside `newest`. */
enum { OUTLINE_STATE = 1, OUTLINE_BUMP = 2 };

struct room_outline {
    int64_t room;
    int64_t newest; /* position of the newest event; 0: none */
    /* OUTLINE_BUMP: of the newest event that counts as activity for a client's order of rooms
     * (MSC4186, bump_stamp); of an older one if it is not among the newest few hundred. */
    int64_t bump;
    /* OUTLINE_STATE, of the current state: */
    bool is_encrypted;
    const char *type, *name; /* NULL: none */
    int64_t state_moved;     /* name or encryption did not change after this position */
};

/* Of n rooms, each with its `room` set: fills the rest. Texts are in the job's arena. */
const struct err *outlines_get(struct job *job, unsigned parts, struct room_outline *rooms,
                               size_t n);

#endif
