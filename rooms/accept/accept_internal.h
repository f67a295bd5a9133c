/* Shared by the files that take in events of other servers.
 *
 *     steps.def       the checks in their order
 *     accept.c        room_accept: runs of usual events, and those of a fork
 *     accept_many.c   usual events of many rooms
 *     accept_fork.c   events of a fork: the states before and after them
 *     history.c       older events; history_ends.c: where they are missing
 *     outliers.c      state and auth events
 *     steps.c         the checks of one event; accept_judge.c: those by authorization rules
 *     accept_store.c  what becomes of a checked event
 *
 * An intake is one call of room_accept. */
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
    size_t n, all_n; /* of the present run; of the call */
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

/* ---- steps.c: the checks of one event ---- */

/* The events that an event cites for its authorization. */
struct cited_events {
    const struct event *events[EVENT_AUTH_MAX];
    bool rejected[EVENT_AUTH_MAX];
    size_t n;
};

enum accept_way { WAY_USUAL = 1, WAY_FORK = 2, WAY_HISTORY = 4, WAY_OUTLIER = 8 };

enum check_progress {
    CHECK_UNDECIDED, /* after all steps: it is accepted */
    CHECK_CONCLUDED,
    CHECK_FORK,        /* usual: it is of a fork, which is checked otherwise */
    CHECK_AFTER_COMMIT /* usual: it needs what the write has drafted */
};

/* An event on its way through the steps (rooms/accept/steps.def). */
struct event_check {
    struct intake *in; /* set by the caller, ... */
    const struct event *event;
    enum accept_way way;
    size_t i; /* usual, fork: the event is in->events[i] */
    const struct err *(*find_state)(struct event_check *c); /* for STEP_STATE */
    struct fork *fork;
    const struct state_view *before; /* ... here: the state before the event; NULL: the current
                                        one, with the drafted events */
    const struct known_event *known; /* stored off the timeline; NULL: it is not stored */
    struct cited_events cited;
    enum check_progress progress;
    enum pdu_step step;          /* the last that was made; STEP_NONE: none objected */
    enum accept_verdict verdict; /* with CHECK_CONCLUDED */
    const char *why;             /* the reason; NULL: none is needed */
};

/* Makes the steps in their order until one of them concludes. */
const struct err *event_check_run(struct event_check *c);

static inline void event_check_conclude(struct event_check *c, enum accept_verdict verdict,
                                        const char *why)
{
    c->progress = CHECK_CONCLUDED;
    c->verdict = verdict;
    c->why = why;
}

/* The steps by name. */
typedef const struct err *event_step(struct event_check *c);
#define EVENT_STEP(step, name, check, ways) event_step check;
#include "rooms/accept/steps.def"

/* ---- accept_store.c: what becomes of it ---- */

/* Ends a concluded event: stores it off the timeline if it was rejected or soft-failed, with the
 * state before it as a difference from the current one. */
const struct err *accept_conclude(struct event_check *c);
/* Writes a reference to the state before the event, with few entries of its own. */
const struct err *accept_refer_to_state(struct intake *in, const struct state_view *state,
                                        int64_t *ret_ref);
/* The same, always whole. */
const struct err *accept_write_state_ref(struct intake *in, const struct state_view *state,
                                         int64_t *ret_ref);
/* Stores an event with such a reference off the timeline. */
const struct err *accept_store_off_timeline(struct intake *in, const struct event *e,
                                            enum event_status status, int64_t ref);
/* Adds events[i] to the write. is_lost: a state event that does not become current. */
const struct err *accept_put(struct intake *in, size_t i, int64_t moved_from, bool is_lost,
                             const struct draft_event **ret);

/* ---- accept_fork.c ---- */

/* Leaves the event for room_accept (is_large). */
void accept_leave_large(struct intake *in, size_t i);
/* The states after the event's parents, and after the room's other extremities. */
struct around {
    struct state_view *views; /* of the parents, then of the others */
    size_t parents_n, others_n;
};

/* Events of a fork in one write, each of which is the only parent of the next. */
struct fork {
    const struct event *newest; /* NULL: none was accepted */
    struct around around;       /* others_n do not change with the following events */
    struct state_view *before;  /* the first, ... */
    struct state_view *after;   /* ... and after the newest */
    struct state_view now;      /* the current state then */
    size_t keys;                /* compared so far */
    size_t weighed;             /* events of auth chains that state resolution read so far */
    bool is_large, can_grow;
};
/* Takes an event whose state before it is not the current one, as the first of its write. */
const struct err *accept_on_fork(struct intake *in, size_t i, struct fork *ret);
/* Takes a further event with one parent. ret_taken false: the previous ones must be committed
 * first. */
const struct err *accept_go_on_fork(struct intake *in, size_t i, struct fork *f, bool *ret_taken);

/* ---- accept.c ---- */

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

/* history_ends.c: notes that some of the event's parents are not in the timeline. */
const struct err *history_ends_note(struct lookup *l, struct write *w, const struct event *e,
                                    int at, int64_t position);

#endif
