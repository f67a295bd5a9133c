/* Shared by the accept*.c files. An intake is one call of room_accept. */
#ifndef ROOMS_ACCEPT_ACCEPT_INTERNAL_H
#define ROOMS_ACCEPT_ACCEPT_INTERNAL_H

#include "rooms/accept/accept.h"
#include "rooms/state/lookup.h"
#include "rooms/state/state_view.h"
#include "rooms/write/room_write.h"

struct intake {
    struct job *job;
    struct room *room;
    struct lookup *lookup;
    const struct incoming *events;
    struct accept_outcome *outcomes;
    size_t n, all_n; /* of the present step; of the call */
    /* The write that is being prepared. */
    struct room_write w;
    int *changes;                  /* of events[i] in the write; 0: none */
    const struct event **left;     /* events[i] redacted, if its redaction is stored; else NULL */
    int64_t *redactions;           /* position of that redaction */
    uint64_t off_timeline_version; /* the room's, before the events were looked up */
    bool has_redactions;           /* as of off_timeline_version, for all events */
    int64_t seen_head;             /* the room's, before they were looked up, ... */
    bool seen_quiet;               /* ... and nothing was in the committer's queue */
    size_t off_timeline_n;         /* events of the write that are stored off the timeline */
    const int64_t *refs;           /* reserved ids for references to states, ... */
    size_t refs_n;                 /* ... how many are left, ... */
    size_t refs_more;              /* ... how many more the write may need */
    bool leaves_large;             /* room_accept_unless_large */
    bool was_fork;                 /* the newest run ended with an event of a fork */
};

/* Puts the missing events that an event needs into its outcome: true if there are any. */
const struct err *accept_find_missing(struct intake *in, size_t i, bool *ret_missing);

/* The events that an event cites for its authorization, and the create event of the room. */
struct cited_events {
    const struct event *events[EVENT_AUTH_MAX];
    bool rejected[EVENT_AUTH_MAX];
    size_t n;
};
const struct err *accept_read_cited(struct intake *in, const struct event *e,
                                    struct cited_events *ret);
/* Checks the list of auth events, then the event by the state that they form. *ret_why: NULL when
 * allowed. */
const struct err *accept_judge_by_cited(struct intake *in, const struct event *e,
                                        const struct cited_events *c, const char **ret_why);
/* Checks the event by the state of the view; NULL: by the current state with the drafted events. */
const struct err *accept_judge_by_state(struct intake *in, const struct event *e,
                                        const struct state_view *view, const char **ret_why);

/* Stores an event off the timeline, with the state before it as a difference from the current one.
 */
const struct err *accept_store_off_timeline(struct intake *in, size_t i, enum event_status status,
                                            const char *why, const struct state_view *state);

/* Leaves the event for room_accept (is_large). */
void accept_leave_large(struct intake *in, size_t i);
/* The states after the event's parents, and after the room's other extremities. */
struct around {
    struct state_view *views; /* of the parents, then of the others */
    size_t parents_n, others_n;
};

/* accept_fork.c: events of a fork in one write, each of which is the only parent of the next. */
struct fork {
    const struct event *newest; /* NULL: none was accepted */
    struct around around;       /* others_n do not change with the following events */
    struct state_view *after;   /* the newest */
    struct state_view now;      /* the current state then */
    size_t keys;                /* compared so far */
    size_t weighed;             /* events of auth chains that state resolution read so far */
    bool can_grow;
};
/* Takes an event whose state before it is not the current one, as the first of its write. */
const struct err *accept_on_fork(struct intake *in, size_t i, struct fork *ret);
/* Takes a further new event with one parent. ret_taken false: the previous ones must be committed
 * first. */
const struct err *accept_go_on_fork(struct intake *in, size_t i, struct fork *f, bool *ret_taken);
/* Writes a reference to a state, for events of the same write. */
const struct err *accept_write_state_ref(struct intake *in, const struct state_view *state,
                                         int64_t *ret_ref);
/* Stores an event with such a reference off the timeline. */
const struct err *accept_store_off_timeline_known(struct intake *in, const struct event *e,
                                                  enum event_status status, int64_t ref);

/* While the state is partial, the sender's member event is taken from the auth events of their
 * event, so that clients can show the sender. With the room's lock held. */
const struct err *accept_add_sender(struct intake *in, const struct event *e);

/* events[i] as it goes into the write. */
struct draft_event *accept_draft(struct intake *in, size_t i, int64_t moved_from);
void accept_init(struct intake *in, struct job *job, struct room *room,
                 const struct incoming *events, size_t n, struct accept_outcome *outcomes);
/* The ids of the events from `from` on and of those they cite, of the room's extremities, and of
 * its create event if no event cites it. Notes the room's versions at that time. */
void accept_wanted_ids(struct intake *in, size_t from, const char *const **ret, size_t *ret_n);
/* Builds and queues the usual events from `from` on. ret_next: the first that was not taken;
 * ret_fork: it is of a fork. A queued write must be ended. */
const struct err *accept_begin_usual(struct intake *in, size_t from, size_t *ret_next,
                                     bool *ret_fork, bool *ret_queued);
const struct err *accept_end(struct intake *in, size_t from, size_t to);

/* rooms/accept/history.c: notes that some of the event's parents are not in the timeline. */
const struct err *history_note_backward_extremity(struct intake *in, const struct event *e, int at,
                                                  int64_t position);

#endif
