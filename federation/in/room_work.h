/* Work on rooms: a kind of work (base/worker/worker.h) with one item for each room and server, on a
 * pool of its own.
 *
 * Servers are served in turn, and neither a server nor a room gets more than its share of the
 * threads. Failed work is retried with growing pauses, or as soon as an event arrives that it waits
 * for. */
#ifndef FEDERATION_IN_ROOM_WORK_H
#define FEDERATION_IN_ROOM_WORK_H

#include "storage/db/job.h"

struct work_item {
    int64_t room;
    const char *server;
    int attempts;     /* failed in a row */
    bool is_large;    /* returned WORK_LARGE: one such item is done at a time */
    int64_t *rest_ms; /* set by room_work_rest() */
};

enum work_result {
    WORK_DONE,
    WORK_AGAIN, /* continue when its turn comes */
    WORK_LARGE, /* the same, but from now on it takes long: others continue meanwhile */
    WORK_LATER  /* failed; retry later */
};
typedef enum work_result work_function(void *ctx, struct job *job, const struct work_item *item);

struct room_work;
struct room_work *room_work_create(struct node *node, int threads, work_function *fn, void *ctx);
void room_work_start(struct room_work *w);
void room_work_stop(struct room_work *w); /* waits for running work */
void room_work_destroy(struct room_work *w);

/* Adds work. An item that is being done is done again afterwards; one that has failed, or fails
 * now, waits, but not for long. False if too many are waiting. */
bool room_work_add(struct room_work *w, int64_t room, const char *server);

/* Called by the work before it returns WORK_LATER: not to be retried within that time, except for
 * an event that it awaits. */
void room_work_rest(struct room_work *w, const struct work_item *what, int64_t ms);
/* Called by the work before it returns WORK_LATER: any of these events would help (the first
 * AWAITED_MAX). The item is due once one of them arrives. */
enum { AWAITED_MAX = 20 };
void room_work_await(struct room_work *w, const struct work_item *what,
                     const char *const *event_ids, size_t n);
void room_work_event_came(struct room_work *w, const char *event_id);
bool room_work_awaits(struct room_work *w); /* any event; cheap */

size_t room_work_waiting(struct room_work *w); /* items, for metrics */

#endif
