/* Requests a room's events from its servers, one server after the other until one answers, within a
 * budget of requests, events, bytes and time ("Backfilling and retrieving missing events",
 * "Retrieving events", "Retrieving event authorisation information").
 *
 * Received events are checked (federation/in/pdu.h) and live in the job's arena. If no server
 * answers, the result is empty: errors are our own failures. */
#ifndef FEDERATION_IN_ASK_H
#define FEDERATION_IN_ASK_H

#include "federation/in/pdu.h"
#include "rooms/room.h"

enum {
    ASKED_MAX = 5,
    MISSING_LIMIT = 20 /* events in one reply to get_missing_events */
};

struct ask {
    struct job *job;
    struct room *room;
    struct {
        const char *name;
        bool is_away;        /* unreachable, or it asked us to wait */
        bool is_passed_over; /* its answers were of no use */
        bool failed;         /* the last request to it failed, so it may have what is missing */
    } servers[ASKED_MAX];
    size_t servers_n;
    size_t answered; /* index of the server asked last */
    int answers;     /* to all requests */
    int requests;    /* left in the budget */
    size_t events, bytes;
    size_t denied;     /* events so far that closed federation does not let us check */
    int64_t wait_ms;   /* the shortest time that one of the servers asked us to wait */
    bool may_come_yet; /* what the last request did not get may be available later */
    bool takes_losses; /* gives up on what may be available later */
    int64_t deadline_mono_ms;
};

/* first (NULL: none) is asked before the room's other servers. */
void ask_init(struct ask *a, struct job *job, struct room *room, const char *first);
bool ask_may_go_on(const struct ask *a);                /* each budget has something left */
bool ask_find_server(const struct ask *a, size_t *ret); /* the next to be asked */
/* True if, in the last request to all, no server answered, or not the first, which should know. The
 * failure may be temporary, so what is missing may be available later. */
bool ask_failed(const struct ask *a);
/* Stops asking the server that answered last: its answer was of no use. */
void ask_skip(struct ask *a);

struct events {
    const struct event **list;
    size_t n;
};

/* The events between the room's head (earliest) and these events. */
const struct err *ask_missing(struct ask *a, const char *const *earliest, size_t earliest_n,
                              const char *const *latest, size_t latest_n, int64_t min_depth,
                              struct events *ret);
/* These events and those before them. */
const struct err *ask_backfill(struct ask *a, const char *const *ids, size_t n, size_t limit,
                               struct events *ret);

/* Fetches and stores the auth events of these, and theirs (outliers_store), as far as available. */
const struct err *ask_auth(struct ask *a, const struct event *const *events, size_t n);

/* The ids of the state before the event. The state is stored by then, except for a few events that
 * no server has. *ret_known is false if no server has the state, or all of it, now. */
const struct err *ask_state_before(struct ask *a, const char *event_id, const char *const **ret,
                                   size_t *ret_n, bool *ret_known);
/* The same after the event, which is fetched too. */
const struct err *ask_state_after(struct ask *a, const char *event_id, const char *const **ret,
                                  size_t *ret_n, bool *ret_known);

#endif
