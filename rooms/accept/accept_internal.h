/* What the files of taking in events share: an intake is one call of room_accept. */
#ifndef ROOMS_ACCEPT_ACCEPT_INTERNAL_H
#define ROOMS_ACCEPT_ACCEPT_INTERNAL_H

#include "rooms/accept/accept.h"
#include "rooms/state/lookup.h"
#include "rooms/state/state_view.h"
#include "rooms/write/draft.h"

struct intake {
    struct job *job;
    struct room *room;
    struct lookup *lookup;
    const struct incoming *events;
    struct accept_outcome *outcomes;
    size_t n, all_n; /* that are looked at now; that there are */
    /* The write that is being prepared. */
    struct write *write;
    struct draft draft;
    int *changes;              /* of events[i] in the write; 0: it makes none */
    const struct event **left; /* of events[i], when a redaction of it is here already; else NULL */
    int64_t *redactions;       /* position of that redaction */
    uint64_t off_timeline_version; /* the room's, before they were looked up */
    bool has_redactions;           /* as of off_timeline_version, of all events */
    int64_t seen_head;             /* the room's, before they were looked up, ... */
    bool seen_quiet;               /* ... and nothing was in the committer's queue */
    size_t off_timeline_n;         /* events of the write that are stored aside */
    const int64_t *refs;           /* ids for references to states, ... */
    size_t refs_n;                 /* ... that are left, ... */
    size_t refs_more;              /* ... and how many the write may need */
    bool moves;                    /* the write gives places to events that stood aside */
    bool leaves_large;             /* room_accept_unless_large */
    bool was_fork;                 /* the newest run ended with an event of a fork */
    bool locked; /* the room's lock is held; else `busy` alone keeps other writers out */
};

/* What an event needs that is not here goes into its outcome: true when anything is missing. */
const struct err *accept_find_missing(struct intake *in, size_t i, bool *ret_missing);

/* The events that an event cites for its authorization, and the create event of the room. */
struct cited_events {
    const struct event *events[EVENT_AUTH_MAX];
    bool rejected[EVENT_AUTH_MAX];
    size_t n;
};
const struct err *accept_read_cited(struct intake *in, const struct event *e,
                                    struct cited_events *ret);
/* By the list of auth events itself, then by the state they make up. *ret_why: NULL when allowed.
 */
const struct err *accept_judge_by_cited(struct intake *in, const struct event *e,
                                        const struct cited_events *c, const char **ret_why);
/* By a state that differs from the current one as the view says; NULL: by the current one, with
 * what is drafted. */
const struct err *accept_judge_by_state(struct intake *in, const struct event *e,
                                        const struct state_view *view, const char **ret_why);

/* Stores an event aside, with the state before it as a difference from the current one. */
const struct err *accept_store_off_timeline(struct intake *in, size_t i, enum event_status status,
                                            const char *why, const struct state_view *state);

/* Leaves the event for later. */
void accept_leave_large(struct intake *in, size_t i);
/* The states after the event's parents, and after the room's other extremities. */
struct around {
    struct state_view *views; /* first those of the parents */
    size_t parents_n, others_n;
};

/* accept_fork.c: events of a fork in one write, each of which is the only parent of the next. */
struct fork {
    const struct event *newest; /* NULL: none was accepted */
    struct around around;       /* others_n are not touched by those that follow */
    struct state_view *after;   /* the newest */
    struct state_view now;      /* what is current then */
    size_t keys;                /* that were looked at */
    bool can_grow;
};
/* One event whose state is not simply the current one, the first of its write. */
const struct err *accept_on_fork(struct intake *in, size_t i, struct fork *ret);
/* One that is new and has one parent. ret_taken false: it must wait for the commit of those before.
 */
const struct err *accept_go_on_fork(struct intake *in, size_t i, struct fork *f, bool *ret_taken);
/* A reference to a state, for events that are written with it. */
const struct err *accept_write_state_ref(struct intake *in, const struct state_view *state,
                                         int64_t *ret_ref);
/* Stores an event aside that has such a reference. */
const struct err *accept_store_off_timeline_known(struct intake *in, const struct event *e,
                                                  enum event_status status, int64_t ref);

/* While the member list is not complete, a member who speaks becomes known by what their event
 * cites, so that clients are shown who it was. With the room's lock held. */
const struct err *accept_add_sender(struct intake *in, const struct event *e);

/* events[i] as it goes into the write. */
struct draft_event *accept_draft(struct intake *in, size_t i, int64_t moved_from);
void accept_init(struct intake *in, struct job *job, struct room *room,
                 const struct incoming *events, size_t n, struct accept_outcome *outcomes);
/* The ids that the events from `from` on are and cite, the room's extremities, and its create event
 * where no event cites it. Notes when that was. */
void accept_wanted_ids(struct intake *in, size_t from, const char *const **ret, size_t *ret_n);
/* Builds and queues the usual events from `from` on, under the room's lock, which is held at the
 * start and not at the end. ret_next: the first that was not taken; ret_fork: for it is of a fork.
 * What was queued must be ended. */
const struct err *accept_begin_usual(struct intake *in, size_t from, size_t *ret_next,
                                     bool *ret_fork, bool *ret_queued);
const struct err *accept_end_usual(struct intake *in, size_t from, size_t to);

/* Begins in->write, with a draft on the room's head. */
void accept_begin_write(struct intake *in);

/* rooms/accept/history.c: notes that some of the event's parents are not in the timeline. */
const struct err *history_note_backward_extremity(struct intake *in, const struct event *e, int at,
                                                  int64_t position);

#endif
