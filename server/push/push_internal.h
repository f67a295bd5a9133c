/* Shared by the files of the pushes.
 *
 *   push.c           life, and when a pusher has its turn
 *   push_follow.c    the feed listener, and the work that follows it
 *   push_evaluate.c  which users an event notifies
 *   push_queue.c     what a pusher is to send
 *   push_table.c     users and their pushers in memory
 *   push_slices.c    which users this node sends to; loading them
 *   push_save.c      stores cursors
 *   push_catch_up.c  what a pusher that is behind was not sent, from SQL
 *   push_counts.c    a user's unread rooms and messages
 *   push_body.c      the request
 *   push_send.c      one turn of one pusher
 *
 * One lock guards all of it, and is only held briefly. Users and pushers come and go on the thread
 * that follows the log alone, which may read the maps without the lock. While a pusher is busy, the
 * front of its queue belongs to the sending thread. */
#ifndef SERVER_PUSH_PUSH_INTERNAL_H
#define SERVER_PUSH_PUSH_INTERNAL_H

#include "base/lock.h"
#include "base/map.h"
#include "base/worker/worker.h"
#include "http/client/client.h"
#include "rooms/room.h"
#include "rooms/write/unread_evaluate.h"
#include "server/push/push.h"
#include "storage/db/feed.h"
#include "storage/nodes/lease.h"
#include "storage/users/pushers.h"

enum {
    PUSH_QUEUE_MAX = 16,          /* events of a pusher */
    PUSH_BYTES_MAX = 64 << 20,    /* of events in queues */
    PUSH_SEEN_MAX = 20000,        /* changes that are not looked at yet; beyond, SQL has them */
    PUSH_REPLAY_MAX = 200 * 1000, /* positions of the log that a new holder looks at */
    PUSH_BADGE_MS = 500,          /* counts that change together are sent once */
    PUSH_TIMEOUT_MS = 10 * 1000,
    PUSH_REPLY_MAX = 64 * 1024
};

/* ---- what is sent ---- */

/* An event that notifies; shared by the pushers that are to send it. */
struct push_notice {
    int refs; /* under the lock */
    int64_t position, room, thread;
    int64_t since_mono; /* when it came */
    size_t bytes;
    bool is_redacted; /* under the lock */
    bool is_state, is_encrypted;
    bool is_member, is_looked_up; /* a member event; found in the database */
    const struct event *event;    /* a reference */
    /* Members of the request that are the same for all: by id only, and whole. */
    struct buf ids, whole;
    char *tweaks; /* JSON, by the predefined rules */
    bool is_loud; /* they make a sound or highlight */
};

struct push_item {
    struct push_notice *notice; /* a reference */
    char *tweaks;               /* NULL: the notice's */
    bool is_loud;
    bool is_dead; /* read or redacted meanwhile */
};

struct push_gateway {
    char *name; /* scheme and authority of its URL */
    int pushers_n;
    int64_t retry_at, retry_interval; /* mono_ms(); 0: it answers */
    int64_t answer_ms;                /* how long an answer takes, on average */
};

struct live_pusher {
    /* Does not change. */
    int64_t id, user, since; /* since: what came up to there is not sent */
    char *app_id, *pushkey, *url, *data;
    struct push_gateway *gateway;
    int64_t set_ts;
    bool by_id_only, has_counts, is_enabled;
    bool is_trusted; /* the operator gave the URL */

    bool is_busy, is_dropped; /* is_dropped: the thread that works on it destroys it */
    bool is_listed;           /* in p->dirty */
    struct push_item queue[PUSH_QUEUE_MAX];
    size_t first, n;
    int64_t behind;      /* what came after this position is not in the queue; 0: all is */
    int64_t catching_up; /* what `behind` was, while the queue is filled from SQL; 0: it is not */
    int64_t sent;        /* the newest position that was sent */
    int64_t badge;       /* as sent last; -1: unknown */
    int64_t badge_due_mono; /* 0: no */
    int64_t retry_at, retry_interval;
    int refusals; /* of the front */
};

struct push_count {
    int64_t n;
    bool is_stale;
    unsigned serial; /* times that it became stale */
};

struct push_user {
    int64_t user;
    char *user_id;
    int slice;
    bool may_ignore;   /* has a list of ignored users */
    bool has_counted;  /* the rooms that have unread messages from before are in the map */
    struct map counts; /* rooms.id -> struct push_count */
    struct live_pusher **pushers;
    size_t pushers_n;
};

/* ---- all of it ---- */

enum push_seen_kind { SEEN_EVENT, SEEN_RECEIPT, SEEN_PUSHERS };

/* A change that is to be looked at. */
struct push_seen {
    struct push_seen *next;
    enum push_seen_kind kind;
    int64_t position, room, user, thread;
    int64_t read, redacts;     /* positions: a receipt's event, a redaction's target */
    const struct event *event; /* a reference */
    bool is_looked_up, is_lost;
};

enum push_slice_state { SLICE_NONE, SLICE_WANTED, SLICE_LOADED, SLICE_LOST };

struct push_slice {
    int64_t fence;
    enum push_slice_state state;
    int64_t from, saved; /* positions: its users were notified up to there when it was loaded; as
                            stored */
};

enum push_work { PUSH_FOLLOW, PUSH_SAVE };

struct pushes {
    struct lock lock;
    struct node *node;
    struct lease_job *lease; /* (const) */
    struct http_client *http;
    struct push_slice slices[LEASE_SLICES];
    struct map users;    /* users.id -> struct push_user */
    struct map pushers;  /* pushers.id -> struct live_pusher */
    struct map gateways; /* name -> struct push_gateway */
    struct map notices;  /* position -> struct push_notice */
    size_t notices_bytes;
    int64_t heard; /* the newest position that the listener has seen */
    struct push_seen *seen, **seen_last;
    size_t seen_n;
    bool is_reading; /* the front of `seen` is being looked at */
    bool has_missed; /* changes were missed: all is loaded again */
    bool stopping, is_running;
    int64_t *dirty; /* pushers whose cursors are to be stored */
    size_t dirty_n, dirty_cap;
    bool must_save;
    int64_t saved_mono;

    struct worker_pool *pool;
    /* number: the pusher, text: its gateway; retries: of gateways that failed or are slow */
    struct worker_kind *turns, *retries;
    struct worker_kind *follows; /* number: enum push_work */

    _Atomic int64_t sent, badges, failed, rejected, dropped, delay_us;
};

/* ---- push.c ---- */

/* Gives it a turn once it is due, if it has something to send. */
void push_consider_locked(struct pushes *p, struct live_pusher *x);
/* Its gateway has answered, in that time. */
void push_gateway_well_locked(struct pushes *p, struct push_gateway *g, int64_t ms);
void push_gateway_failed_locked(struct pushes *p, struct push_gateway *g, int64_t at_least_ms);
void push_pusher_failed_locked(struct live_pusher *x);
void push_schedule(struct pushes *p, enum push_work work, int64_t due_mono);

/* ---- push_queue.c ---- */

struct push_notice *push_notice_create(const struct push_seen *s); /* with one reference */
void push_notice_unref_locked(struct pushes *p, struct push_notice *n);
/* In the order of the log, each once. What does not fit leaves the pusher behind. */
void push_queue_add_locked(struct pushes *p, struct live_pusher *x, struct push_notice *n,
                           const char *tweaks, bool is_loud);
/* Keeps what is up to that position, after which the pusher is behind. */
void push_queue_cut_locked(struct pushes *p, struct live_pusher *x, int64_t position);
/* The first that is to be sent; drops those before it that are not. NULL: none. */
struct push_item *push_queue_front_locked(struct pushes *p, struct live_pusher *x);
void push_queue_pop_locked(struct pushes *p, struct live_pusher *x);
void push_queue_clear_locked(struct pushes *p, struct live_pusher *x);
/* The user has read events of the room up to there. thread: as in struct change_receipt. */
void push_queue_read_locked(struct live_pusher *x, int64_t room, int64_t thread, int64_t position);
/* Where its cursor is; *ret_behind: whether something follows it. */
int64_t push_queue_cursor_locked(const struct live_pusher *x, bool *ret_behind);

/* ---- push_table.c ---- */

/* The pushers of a user as they are in the database. */
void push_table_put_locked(struct pushes *p, int64_t user, const struct pusher_row *rows, size_t n);
void push_table_drop_user_locked(struct pushes *p, struct push_user *u);
/* slices: a bit for each. */
void push_table_drop_slices_locked(struct pushes *p, uint32_t slices);
void push_pusher_destroy_locked(struct pushes *p, struct live_pusher *x);

/* ---- push_slices.c ---- */

void push_slices_init(struct pushes *p);
bool push_slice_is_valid_locked(const struct pushes *p, int slice);
/* Forgets what was lost, loads what was taken. */
const struct err *push_slices_follow(struct pushes *p);

/* ---- push_follow.c ---- */

const struct err *push_follow(struct pushes *p);
void push_seen_add_locked(struct pushes *p, const struct push_seen *s);
void push_seen_clear_locked(struct pushes *p);
/* All that was published up to there was looked at. */
int64_t push_clear_position_locked(const struct pushes *p);

/* ---- push_evaluate.c ---- */

/* slices: a bit for each whose users it is for. */
const struct err *push_evaluate(struct pushes *p, struct job *job, const struct push_seen *s,
                                uint32_t slices);
/* For one pusher that is behind. */
const struct err *push_evaluate_for(struct pushes *p, struct job *job, const struct push_seen *s,
                                    struct live_pusher *x);

/* ---- push_counts.c ---- */

void push_counts_touch_locked(struct push_user *u, int64_t room);
void push_counts_destroy(struct push_user *u);
const struct err *push_counts_badge(struct pushes *p, struct job *job, int64_t user, int64_t *ret);
/* Counts may have become less: they are sent, unless a notification is sent before. is_sure: also
 * to those that were sent none yet. */
void push_counts_due_locked(struct pushes *p, struct push_user *u, bool is_sure);

/* ---- push_body.c ---- */

/* Fills what is the same for all. */
const struct err *push_body_notice(struct pushes *p, struct job *job, struct room *room,
                                   const struct event *e, struct push_notice *n);
/* Tweaks of a rule's actions as a JSON object. */
void push_body_tweaks(const json_t *actions, struct buf *out);

struct push_message {
    const struct live_pusher *pusher;
    const struct push_notice *notice; /* NULL: counts only */
    const char *tweaks;
    bool is_loud, is_target;
    int64_t unread; /* -1: not sent */
};
void push_body_write(const struct push_message *m, struct buf *out);
/* Synapse's: what makes a sound, highlights, or may do so, as it is encrypted. */
bool push_body_is_high(bool is_loud, bool is_encrypted);

/* ---- push_send.c, push_catch_up.c, push_save.c ---- */

void push_send(struct pushes *p, struct job *job, struct live_pusher *x);
const struct err *push_catch_up(struct pushes *p, struct job *job, struct live_pusher *x);
void push_note_dirty_locked(struct pushes *p, struct live_pusher *x);
enum { PUSH_ALL_SLICES = -1 };
const struct err *push_save(struct pushes *p, int slice);

#endif
