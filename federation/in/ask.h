/* Asking the servers of a room for its events, one server after the other until one answers, within
 * a budget of requests, events, bytes and time ("Backfilling and retrieving missing events",
 * "Retrieving events", "Retrieving event authorisation information").
 *
 * What comes back is checked (federation/in/pdu.h) and lives in the job's arena. When no server
 * answers, the result is empty: errors are our own failures. */
#ifndef FEDERATION_IN_ASK_H
#define FEDERATION_IN_ASK_H

#include "federation/in/pdu.h"
#include "rooms/room.h"

enum {
    ASKED_MAX = 5,
    MISSING_LIMIT = 20 /* events that one get_missing_events gives at most */
};

struct ask {
    struct job *job;
    struct room *room;
    struct {
        const char *name;
        bool is_away;        /* it cannot be reached, or wants to be left alone for now */
        bool is_passed_over; /* it does not have what is missing */
        bool failed;         /* when asked last: it may have what it did not give */
    } servers[ASKED_MAX];
    size_t servers_n;
    size_t answered; /* which of them was the last to answer */
    int answers;     /* to questions, of whatever kind */
    int requests;    /* what is left of the budget */
    size_t events, bytes;
    size_t denied;     /* events, so far, that closed federation does not let us check */
    int64_t wait_ms;   /* the least time for which one of the servers wants to be left alone */
    bool may_come_yet; /* what was asked for last and did not come: another time it may */
    bool takes_losses; /* what may come yet is not waited for: it is lost */
    int64_t deadline_mono_ms;
};

/* first (NULL: none in particular) is asked before the room's other servers. */
void ask_init(struct ask *a, struct job *job, struct room *room, const char *first);
bool ask_may_go_on(const struct ask *a);                /* something is left of each budget */
bool ask_find_server(const struct ask *a, size_t *ret); /* the first that is to be asked */
/* Did no server answer, or not the first, which should know, when all were asked last? Then what
 * did not come may come yet: the failure may pass. */
bool ask_failed(const struct ask *a);
/* What the last one answered was of no use: it is asked no more. */
void ask_skip(struct ask *a);

struct events {
    const struct event **list;
    size_t n;
};

/* What leads from the room's head (earliest) to these events. */
const struct err *ask_missing(struct ask *a, const char *const *earliest, size_t earliest_n,
                              const char *const *latest, size_t latest_n, int64_t min_depth,
                              struct events *ret);
/* These events and those before them. */
const struct err *ask_backfill(struct ask *a, const char *const *ids, size_t n, size_t limit,
                               struct events *ret);

/* Has the auth events of these, and theirs, stored (outliers_store) as far as they can be had. */
const struct err *ask_auth(struct ask *a, const struct event *const *events, size_t n);

/* The ids of the state before the event, stored by then; a little of it may be lost for good.
 * *ret_known false: no server tells, or not all of it now. */
const struct err *ask_state_before(struct ask *a, const char *event_id, const char *const **ret,
                                   size_t *ret_n, bool *ret_known);
/* The same after the event, which is fetched too. */
const struct err *ask_state_after(struct ask *a, const char *event_id, const char *const **ret,
                                  size_t *ret_n, bool *ret_known);

#endif
