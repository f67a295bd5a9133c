/* Appending events of our own users to a room: the one way in for everything that is sent, joined,
 * kicked, redacted or set.
 *
 * The event is built on the head of the room under its lock (prev events, auth events, depth,
 * counters), checked against the room's state by the authorization rules, handed to the committer,
 * and answered when it is committed. Plain messages are queued one behind the other without
 * waiting; a state change keeps other writers out until it is committed. Who loses a race against
 * another node reloads and tries again, a bounded number of times. */
#ifndef ROOMS_WRITE_APPEND_H
#define ROOMS_WRITE_APPEND_H

#include "rooms/room.h"

/* A local user in whose name events are made. */
struct author {
    int64_t user; /* users.id */
    const char *user_id;
    int64_t device; /* devices.id; 0: none (server's doing) */
};

/* Whether a user has push rules of their own, and as of which room_cache_rules_position(). */
struct known_rules {
    bool is_known, has_own;
    int64_t as_of;
};

struct new_event {
    const char *type;
    const char *state_key;    /* NULL: not state */
    struct str content;       /* raw JSON of an object; checked and made canonical here */
    const char *redacts;      /* m.room.redaction only */
    const char *client_txn;   /* transaction id; NULL: none */
    const char *txn_scope;    /* the endpoint's path without the txn id; with client_txn */
    int64_t origin_server_ts; /* 0: now */
    struct str stripped; /* membership invite or knock: stripped state for room_members; p NULL:
                            made here */
    struct known_rules rules; /* of the target of a membership; not known: read when needed */
};

/* Appends the events as one atomic write. ret_ids: n event ids in the job's arena. When the event
 * (n == 1) has a client_txn that was used before, nothing is sent and the first id is returned.
 * M_FORBIDDEN when the rules refuse one of them. */
const struct err *room_append(struct job *job, struct room *room, const struct author *author,
                              const struct new_event *events, size_t n, const char **ret_ids);

struct new_room {
    const struct room_version *version;
    bool is_published; /* in the public directory */
    const char *alias; /* of this server, leads to the room; NULL: none */
};

/* Makes a new room with these first events (the first is m.room.create): one atomic write.
 * M_ROOM_IN_USE when the alias is taken. */
const struct err *room_append_new(struct job *job, const struct new_room *new_room,
                                  const struct author *author, const struct new_event *events,
                                  size_t n, const char **ret_room_id, const char **ret_ids);

/* Decides upon the room's state, which it sees through rooms/write/basis.h alone, what state event
 * is sent. It is called again when that state has changed before the event could be built.
 * *ret_stands: nothing is sent, for the event of that id, or (empty) the absence of one, says it
 * already. */
struct basis;
struct decision {
    const struct err *(*decide)(void *ctx, struct basis *on, struct new_event *ret,
                                const char **ret_stands);
    void *ctx;
};

/* Takes the decision and appends the event upon the very state that it was taken on. When the
 * author's current event of that key has the same content, nothing is sent and its id is returned.
 * Refusals, and that nothing is sent, are answered when what they rest on is committed. */
const struct err *room_decide_state(struct job *job, struct room *room, const struct author *author,
                                    const struct decision *decision, const char **ret_id);

/* The same for an event that does not depend on the state. */
const struct err *room_set_state(struct job *job, struct room *room, const struct author *author,
                                 const struct new_event *event, const char **ret_id);

#endif
