/* One write to a room, from the room's lock to the commit. Whatever changes a room's head or its
 * state is written so:
 *
 *     struct room_write w = {.job = job, .room = room, .author = author};
 *     TRY(room_write_begin(&w, WRITE_ALONE));       // takes the room's lock
 *     e = draft_put(&w.draft, ...);                 // builds on the head
 *     if (e)
 *         room_write_abandon(&w);
 *     else
 *         room_write_enqueue(&w);                   // queue order is room order; releases the lock
 *     return e ? e : room_write_finish(&w, NULL);   // waits for the commit
 *
 * If the write fails, others may have built on it: the room is dropped from the cache, and the next
 * writer reloads it. Errors of room_write_begin and room_write_finish are ERR_CONFLICT if another
 * writer was first (writer_retry), or failures. */
#ifndef ROOMS_WRITE_ROOM_WRITE_H
#define ROOMS_WRITE_ROOM_WRITE_H

#include "rooms/write/draft.h"

enum write_turn {
    WRITE_BEHIND,       /* builds on writes that are still queued; changes no state */
    WRITE_STATE_BEHIND, /* the same, and changes state */
    WRITE_ALONE,        /* builds when no state is queued; while its own is, others wait */
    WRITE_EXCLUSIVE /* builds without the lock on what is committed; others wait from the begin */
};

struct room_write {
    struct job *job; /* set by the caller, ... */
    struct room *room;
    const struct author *author; /* NULL: events of other servers */
    const uint64_t *looked_up;   /* room->off_timeline_version before the caller's look-ups, which
                                    must still be valid; NULL: there were none */
    struct write *write;         /* ... and open for rows from begin to enqueue */
    struct draft draft;
    enum write_turn turn;
    uint64_t foreign_heads; /* room->foreign_heads when the draft was begun */
    bool is_locked;         /* the caller has the room's lock */
    bool renews_head;       /* the unchanged head gets a new version, so that the write fails if
                               another process has changed the room */
    bool resets_room;       /* the room is reloaded after the write */
    bool is_off_timeline;   /* it changes events off the timeline (room_note_off_timeline) */
    bool is_busy;           /* it keeps the room busy */
    bool is_ahead;          /* its state is ahead of the log: counted in room->state_queued */
};

const struct err *room_write_begin(struct room_write *w, enum write_turn turn);
/* From here on as WRITE_EXCLUSIVE: others wait, and the lock is released. */
void room_write_keep_alone(struct room_write *w);
/* Queues the write, makes its head that of the room, and releases the lock. */
void room_write_enqueue(struct room_write *w);
/* Waits for the commit. ret_position (may be NULL): of the last change. */
const struct err *room_write_wait(struct room_write *w, int64_t *ret_position);
/* Lets the writers go on that waited for this one. */
void room_write_release(struct room_write *w);
/* room_write_wait and room_write_release. */
const struct err *room_write_finish(struct room_write *w, int64_t *ret_position);
/* Instead of enqueue and finish. */
void room_write_abandon(struct room_write *w);
/* room_write_enqueue and room_write_finish. */
const struct err *room_write_commit(struct room_write *w);

#endif
