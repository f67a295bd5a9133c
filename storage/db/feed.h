/* The feed: the newest changes of the log, in memory, in order.
 *
 * The committer publishes each committed change here and calls the listeners (in commit order, in
 * its thread), which update caches and wake readers. A cursor inside the ring is served from
 * memory; an older one from SQL by index. Changes of one room are chained, newest to oldest, and so
 * are changes that concern one user, so that a reader visits only those. */
#ifndef STORAGE_DB_FEED_H
#define STORAGE_DB_FEED_H

#include "base/str.h"
#include "matrix/event.h"

enum change_kind {
    CHANGE_EVENT,   /* room, event, user = sender */
    CHANGE_STATE,   /* room: its state changed without a new event, when a fork was resolved. event
                       became current (again), or ended (is_end); NULL with resets_room */
    CHANGE_RECEIPT, /* room, user; json: {"$event":{"m.read":{"@user":{...}}}} content; private_to:
                       only its own user */
    CHANGE_ACCOUNT_DATA, /* user, room (0: global), json: the whole event {"type":…,"content":…} */
    CHANGE_TO_DEVICE,    /* user, device */
    CHANGE_DEVICE_LIST, /* user: their devices or cross-signing keys changed; private_to_user: only
                           `user` is notified; they signed keys of user_id */
    CHANGE_PRESENCE,    /* user; json: the whole m.presence event */
    CHANGE_PROFILE,     /* user */
    CHANGE_DEVICE_KEYS, /* user, device: its one-time or fallback key counts changed (wakes no
                           reader) */
    CHANGE_ACCOUNT,     /* user: tokens of theirs ended, or the account was locked, made an
                           administrator and so on: all that is cached of it is stale */
    CHANGE_TO_SERVER, /* device: name of a server for which to-device messages wait, or on which the
                         operator ran a command (is_asked) */
    CHANGE_KIND_COUNT
};

/* How the counters of one user differ from those of the room at an event. */
struct push_action {
    int64_t user;
    int notify, highlight;
};

struct change {
    enum change_kind kind;
    int64_t position;          /* given by the committer */
    int64_t room, user;        /* database ids; 0: none */
    const char *user_id;       /* text of `user`, if a reader needs it (device lists, receipts) */
    const char *device;        /* to-device: the target device */
    const struct event *event; /* CHANGE_EVENT */
    const char *client_txn;    /* CHANGE_EVENT: transaction id ... */
    int64_t client_device;     /* ... and the device row it came from; 0: none */
    struct str json;           /* what is sent to clients, ready to splice */
    bool private_to_user;      /* receipts: m.read.private */
    /* CHANGE_EVENT, as stored: cumulative counters of the room (docs/architecture.md, "Unread"). */
    int64_t thread; /* position of the thread root; 0: main timeline. RECEIPT: users/receipts.h */
    int64_t notify_total, highlight_total;
    int notify, highlight;             /* what the event itself adds to them, and ... */
    const struct push_action *actions; /* ... and users with other counts; not kept in the ring */
    size_t actions_n;
    int64_t redacts_position;           /* CHANGE_EVENT, a redaction that applies: its target ... */
    const struct event *redacted_event; /* ... and its redacted form; not kept in the ring */
    int64_t redacted_by;     /* CHANGE_EVENT: position of the redaction of this event; 0: none */
    const int64_t *audience; /* DEVICE_LIST, PRESENCE, PROFILE: rooms whose members are sent it; not
                                kept in the ring (users/session.h, session_fill_audience) */
    size_t audience_n;
    int64_t parent;      /* CHANGE_EVENT: position of the event it relates to; 0: none. RECEIPT: of
                            the event that was read */
    bool has_children;   /* CHANGE_EVENT: others relate to it; only in the ring */
    bool is_withheld;    /* CHANGE_EVENT: a redaction that is not applied, or a dummy; not sent to
                            clients */
    bool is_push_rules;  /* CHANGE_ACCOUNT_DATA: type m.push_rules */
    bool is_lost;        /* CHANGE_EVENT, a state event: not the current one, an older one won */
    bool follows_gap;    /* CHANGE_EVENT: some of its prev events are not stored */
    bool is_end;         /* CHANGE_STATE: the key has no event any more */
    bool resets_room;    /* EVENT, STATE: so much of the room changed that it must be reloaded */
    bool is_relayed;     /* CHANGE_EVENT from another server, to be sent on to the others */
    int64_t state_event; /* CHANGE_STATE: position of the event */
    bool is_asked;       /* CHANGE_TO_SERVER: the database has the command */
    bool has_own_rules;  /* member events: the local user has push rules of their own */
    bool is_erasure;     /* ACCOUNT: the content of user_id is erased from here on */
};

struct feed;

struct feed *feed_create(size_t entries, size_t bytes_max, int64_t position);
void feed_destroy(struct feed *f);
void feed_add_metrics(struct feed *f, struct buf *out);

/* Listeners: registered at start-up, called with each batch of committed changes, in order, before
 * the writers learn of their success. They only touch memory and never block for long. A call with
 * n == 0 means that changes were missed (feed_reset): forget everything cached, wake all readers.
 */
typedef void feed_listener(void *ctx, const struct change *changes, size_t n);
void feed_listen(struct feed *f, feed_listener *fn, void *ctx);
/* Called when all listeners have seen a batch and feed_position() has moved: the time to wake
 * readers, which would find nothing before. */
void feed_listen_settled(struct feed *f, void (*fn)(void *ctx), void *ctx);

/* Called by the committer. Copies what it keeps (events by reference). */
void feed_publish(struct feed *f, const struct change *changes, size_t n);

/* Called by the committer after it missed changes of the log: the ring starts anew after this
 * position. */
void feed_reset(struct feed *f, int64_t position);

/* The position of the newest change that every listener has seen: readers may read up to it. */
int64_t feed_position(struct feed *f);
/* The position of the newest change in the ring; listeners may not have seen it yet. */
int64_t feed_newest(struct feed *f);
/* Does the ring hold every change after this position? */
bool feed_covers(struct feed *f, int64_t since);

/* The changes of a room (user) after `since`, oldest first, at most max of them: the NEWEST max
 * when there are more (then *ret_more). Copied into the arena, which also holds the references to
 * events. Only when feed_covers(since); kinds is a bit set (1u << CHANGE_EVENT). */
void feed_read_room(struct feed *f, struct arena *a, int64_t room, int64_t since, int64_t until,
                    unsigned kinds, size_t max, const struct change **ret, size_t *ret_n,
                    bool *ret_more);
void feed_read_user(struct feed *f, struct arena *a, int64_t user, int64_t since, int64_t until,
                    unsigned kinds, size_t max, const struct change **ret, size_t *ret_n,
                    bool *ret_more);
/* Position of the newest change of a room (user, kind); 0 when it has had none since this process
 * started. */
int64_t feed_room_position(struct feed *f, int64_t room);
int64_t feed_user_position(struct feed *f, int64_t user);
int64_t feed_kind_position(struct feed *f, enum change_kind kind);

#endif
