/* A change: one entry of the log. All have a kind, a position and, as ids of the database, the room
 * and the user that they concern; the rest depends on the kind.
 *
 * What a change points to belongs to its writer; the feed copies what it keeps. */
#ifndef STORAGE_DB_CHANGE_H
#define STORAGE_DB_CHANGE_H

#include "base/str.h"
#include "matrix/event.h"

#include <assert.h>

/* The numbers are stored in log_batches, where nodes of the version before read them: a new kind is
 * added at the end, and they skip it (CHANGE_UNKNOWN). So a new kind may only say what they can do
 * without. Of a changed kind they ignore new members; none may change its meaning. */
enum change_kind {
    CHANGE_EVENT,        /* room, user: the sender */
    CHANGE_STATE,        /* room: its state changed without a new event, when a fork was resolved */
    CHANGE_RECEIPT,      /* room, user */
    CHANGE_ACCOUNT_DATA, /* user, room (0: global) */
    CHANGE_TO_DEVICE,    /* user: a message waits for a device of theirs */
    CHANGE_DEVICE_LIST,  /* user: their devices or cross-signing keys changed */
    CHANGE_PRESENCE,     /* user */
    CHANGE_PROFILE,      /* user */
    CHANGE_DEVICE_KEYS,  /* user: one-time or fallback key counts of a device changed (wakes no
                            reader) */
    CHANGE_ACCOUNT,      /* user: tokens of theirs ended, or the account was locked, made an
                            administrator and so on: all that is cached of it is stale */
    CHANGE_TO_SERVER,  /* to-device messages wait for a server, or the operator ran a command on it
                          (is_asked) */
    CHANGE_TYPING,     /* room, user. No row stores it but that of log_batches */
    CHANGE_FORGET,     /* user: forgot the room, which they have left (wakes no reader) */
    CHANGE_KIND_COUNT, /* of those that are written */
    /* Read from a newer version. Of it is known what all kinds have, such as the room's head. */
    CHANGE_UNKNOWN = CHANGE_KIND_COUNT
};

struct change_event {
    const struct event *event;
    const char *client_txn;   /* transaction id ... */
    int64_t client_device;    /* ... and the device row it came from; 0: none */
    int64_t thread;           /* position of the thread root; 0: main timeline */
    int64_t parent;           /* position of the event it relates to; 0: none */
    int64_t redacts_position; /* a redaction that applies: its target; 0: none */
    int64_t redacted_by;      /* position of the redaction of this event; 0: none */
    /* Cumulative counters of the room (docs/architecture.md, "Unread"), and what the event itself
     * adds to them. */
    int64_t notify_total, highlight_total;
    int notify, highlight;
    bool has_children; /* others relate to it; only in the ring */
    bool is_withheld;  /* a redaction that is not applied, or a dummy; not sent to clients */
    bool is_lost;      /* a state event: not the current one, an older one won */
    bool follows_gap;  /* some of its prev events are not stored */
    bool is_relayed;   /* from another server, to be sent on to the others */
};

struct change_state {
    const struct event *event; /* became current (again), or ended; NULL: see resets_room */
    int64_t event_position;
    bool is_end; /* the key has no event any more */
};

struct change_receipt {
    const char *user_id;
    struct str json; /* {"$event":{"m.read":{"@user":{...}}}}, as it is sent to clients */
    int64_t event;   /* position of the event that was read */
    int64_t thread;  /* users/receipts.h */
    bool is_private; /* m.read.private: for its own user */
};

struct change_account_data {
    bool is_push_rules; /* type m.push_rules */
};

/* CHANGE_TO_DEVICE, CHANGE_DEVICE_KEYS */
struct change_device {
    const char *device_id;
};

struct change_device_list {
    const char *user_id; /* of the user; is_private: of the one whose keys they signed */
    bool is_private;     /* only the user is notified */
};

struct change_account {
    const char *user_id;
    bool is_erasure; /* their content is erased from here on */
};

struct change_to_server {
    const char *server;
};

struct change_typing {
    const char *user_id;
    int64_t until_ms; /* now_ms() until which they type; 0: they have stopped */
    bool is_repeated; /* they type on: the list of the room's typing users stays as it is */
};

/* Not in the ring. local.audience: the rooms in which it is sent. */
struct change_presence {
    const char *user_id, *status_msg;
    int64_t state, last_active_ts; /* storage/users/presence.h */
    int64_t until_ms;              /* now_ms() until which it is known to be that */
    /* The device whose state this is about, 0: that of another server's user; is_ended: none, they
     * have ended. */
    int64_t device, device_state;
    bool is_ended;
};

/* How the counters of one user differ from those of the room at an event. */
struct push_action {
    int64_t user;
    int notify, highlight;
};

/* What the next event of a room builds on. */
struct change_head {
    int64_t version, depth, notify_total, highlight_total;
    const char *const *extremities; /* event ids */
    size_t extremities_n;
};

/* What the writer knows of a change, and the rows that store the change do not say: another process
 * that follows the log derives it as is said here, or the log has to carry it. The ring keeps the
 * flags only.
 *
 * All other members follow from the rows with the change's position. Of receipts, account data,
 * device lists, presence, profiles, accounts and key counts there is one row for many changes: it
 * has the position of the newest, which includes the earlier ones. */
struct change_local {
    /* EVENT: users with other counts than the room's. Stored in push_actions, but by user: to be
     * looked up for the users whose counts are in memory. */
    const struct push_action *actions;
    size_t actions_n;
    /* EVENT, a redaction: its target in redacted form. To be read at redacts_position, where it
     * has replaced the original. */
    const struct event *redacted_event;
    /* DEVICE_LIST, PRESENCE, PROFILE: rooms whose members are sent it (session_fill_audience).
     * Those that the user has joined, which may be others by the time the log is read. */
    const int64_t *audience;
    size_t audience_n;
    /* EVENT, STATE, the last of a write of the room: the head after it. In rooms, where it may be a
     * later one by now. */
    const struct change_head *head;
    /* EVENT, STATE: so much of the room changed that it must be reloaded. A resync, a join and the
     * removal of a room store no row by which that is seen: the log has to carry it. */
    bool resets_room;
    bool is_foreign; /* another process made the change; not stored */
    /* EVENT, STATE, of a member: the local user has push rules of their own. In account_data. */
    bool has_own_rules;
    int64_t rules_as_of; /* that was read when all changes up to this position were stored */
    /* TO_SERVER: the database has a command of the operator. It is in destinations.asked, which has
     * no position: the log has to carry it. */
    bool is_asked;
};

struct change {
    enum change_kind kind;
    int64_t position;   /* given by the committer */
    int64_t room, user; /* database ids; 0: none */
    union {
        struct change_event event;
        struct change_state state;
        struct change_receipt receipt;
        struct change_account_data account_data;
        struct change_device device;
        struct change_device_list device_list;
        struct change_account account;
        struct change_to_server to_server;
        struct change_typing typing;
        struct change_presence presence;
    };
    struct change_local local;
};

/* The event that came, or whose place in the state changed; NULL for other kinds, and for a
 * CHANGE_STATE without one. */
static inline const struct event *change_any_event(const struct change *c)
{
    return c->kind == CHANGE_EVENT   ? c->event.event
           : c->kind == CHANGE_STATE ? c->state.event
                                     : NULL;
}

/* The state event that became the current one, or ended as such; NULL if none did. */
static inline const struct event *change_state_event(const struct change *c)
{
    const struct event *e = change_any_event(c);
    bool is_lost = c->kind == CHANGE_EVENT && c->event.is_lost;
    return e && e->state_key && !is_lost ? e : NULL;
}

static inline bool change_ends_state(const struct change *c)
{
    return c->kind == CHANGE_STATE && c->state.is_end;
}

/* Where the event of change_state_event() is in the log. */
static inline int64_t change_state_position(const struct change *c)
{
    return c->kind == CHANGE_STATE ? c->state.event_position : c->position;
}

/* For functions whose callers have looked at the kind. */
static inline const struct change_event *change_as_event(const struct change *c)
{
    assert(c->kind == CHANGE_EVENT);
    return &c->event;
}

static inline const struct change_receipt *change_as_receipt(const struct change *c)
{
    assert(c->kind == CHANGE_RECEIPT);
    return &c->receipt;
}

#endif
