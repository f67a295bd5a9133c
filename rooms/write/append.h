/* Appending events of our own users to a room: all messages, memberships, redactions and state go
 * through here.
 *
 * The event is built on the head of the room under its lock (prev events, auth events, depth,
 * counters), checked against the room's state by the authorization rules, handed to the committer,
 * and answered when it is committed. Events are queued one after the other without waiting; some
 * writers keep others out until they are committed (rooms/writer.h). If another node commits first,
 * the room is reloaded and the append retried, a bounded number of times. */
#ifndef ROOMS_WRITE_APPEND_H
#define ROOMS_WRITE_APPEND_H

#include "rooms/room.h"

/* The local user who sends the events. */
struct author {
    int64_t user; /* users.id */
    const char *user_id;
    int64_t device; /* devices.id; 0: none (sent by the server itself) */
};

/* Does a user have push rules of their own, as of this room_cache_rules_position()? */
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
 * M_FORBIDDEN if one of them is not allowed. */
const struct err *room_append(struct job *job, struct room *room, const struct author *author,
                              const struct new_event *events, size_t n, const char **ret_ids);

struct new_room {
    const struct room_version *version;
    bool is_published; /* in the public directory */
    const char *alias; /* of this server, points to the room; NULL: none */
};

/* Creates a room with these first events (the first is m.room.create) in one atomic write.
 * M_ROOM_IN_USE when the alias is taken. */
const struct err *room_append_new(struct job *job, const struct new_room *new_room,
                                  const struct author *author, const struct new_event *events,
                                  size_t n, const char **ret_room_id, const char **ret_ids);

/* Decides by the room's state, which it reads only through rooms/write/basis.h, what state event is
 * sent. It is called again if that state changes before the event is built. *ret_existing: nothing
 * is sent, since the event of that id, or (empty) the absence of one, already has that effect. */
struct basis;
struct decision {
    const struct err *(*decide)(void *ctx, struct basis *on, struct new_event *ret,
                                const char **ret_existing);
    void *ctx;
};

/* Calls the decision and appends the event on the very state that was read for it. If the author's
 * current event of that key has the same content, nothing is sent and its id is returned. Errors,
 * and results without an event, are returned when the state they are based on is committed. */
const struct err *room_decide_state(struct job *job, struct room *room, const struct author *author,
                                    const struct decision *decision, const char **ret_id);

/* The same for an event that does not depend on the state. */
const struct err *room_set_state(struct job *job, struct room *room, const struct author *author,
                                 const struct new_event *event, const char **ret_id);

#endif
