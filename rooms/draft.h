/* A draft: events being built, one after the other, on the head of a room that the caller has
 * locked. Nothing of it touches the room until draft_apply_head. */
#ifndef ROOMS_DRAFT_H
#define ROOMS_DRAFT_H

#include "rooms/append.h"
#include "storage/rooms.h"
#include "storage/write.h"

struct draft_event {
    const struct new_event *wanted;
    const struct event *event; /* kept by the arena */
    int at;                    /* its change in the write */
    int64_t type;              /* event_types.id */
    struct draft_event *next;  /* the one built before */
};

struct draft {
    struct job *job;
    struct room *room;
    const struct author *author;
    struct write *write;
    struct draft_event *newest;
    int64_t built_on; /* the version of the room's head */
    int64_t version, depth, notify_total, highlight_total;
    const char **extremities;
    size_t extremities_n;
    bool changes_state; /* or what is cached of it: other writers must wait for the commit */
};

void draft_init(struct draft *d, struct job *job, struct room *room, const struct author *author,
                struct write *w);

/* The state event of that key as the draft would leave it; NULL when there is none. */
const struct err *draft_state(struct draft *d, const char *type, const char *state_key,
                              const struct event **ret);

/* Builds and checks an event without adding it. M_FORBIDDEN when the rules refuse it. */
const struct err *draft_build(struct draft *d, const struct new_event *wanted,
                              const struct event **ret);

/* Builds, checks and adds one event to the write. M_FORBIDDEN when the rules refuse it. */
const struct err *draft_add(struct draft *d, const struct new_event *wanted,
                            const struct event **ret);

/* The head that the write stores. */
void draft_head(const struct draft *d, struct room_head *ret);
/* Makes it the head that the next writer builds upon. */
void draft_apply_head(const struct draft *d);

#endif
