/* Work on rooms that is done in threads of its own, one item for each room and server.
 *
 * It is fair: an item that goes on stands behind all others, and neither a server nor a room has
 * more than its share of the threads. Work that fails is tried again, later and later, or as soon
 * as an event comes that it waits for. */
#ifndef FEDERATION_IN_ROOM_WORK_H
#define FEDERATION_IN_ROOM_WORK_H

#include "storage/db/job.h"

struct work_item {
    int64_t room;
    const char *server;
    int attempts;  /* that failed, one after the other */
    bool is_large; /* it has answered WORK_LARGE: one such item at a time is done */
};

enum work_result {
    WORK_DONE,
    WORK_AGAIN, /* when it is its turn again */
    WORK_LARGE, /* the same, and from now on it takes long: others go on beside it */
    WORK_LATER  /* it failed for now */
};
typedef enum work_result work_function(void *ctx, struct job *job, const struct work_item *item);

struct room_work;
struct room_work *room_work_create(struct node *node, work_function *fn, void *ctx);
void room_work_start(struct room_work *w, int threads);
void room_work_stop(struct room_work *w); /* waits for what is being done */
void room_work_destroy(struct room_work *w);

/* There is something to do. An item that is being done is done once more afterwards; one that waits
 * after a failure, or fails now, waits, though not for long. False: too many are waiting. */
bool room_work_add(struct room_work *w, int64_t room, const char *server);

/* By the work itself, before it answers WORK_LATER: it is not to be done again within that time,
 * but for an event that it awaits. */
void room_work_rest(struct room_work *w, const struct work_item *what, int64_t ms);
/* By the work itself, before it answers WORK_LATER: any of these events would help (the first
 * AWAITED_MAX). The item is then due when one of them comes by another way. */
enum { AWAITED_MAX = 20 };
void room_work_await(struct room_work *w, const struct work_item *what,
                     const char *const *event_ids, size_t n);
void room_work_event_came(struct room_work *w, const char *event_id);
bool room_work_awaits(struct room_work *w); /* any event; cheap */

size_t room_work_waiting(struct room_work *w); /* items, for metrics */

#endif
