/* Shared by the files of the sender.
 *
 *   sender.c           the work, and when a destination has its turn
 *   sender_pending.c   the feed listener: which destinations have pending changes
 *   sender_work.c      one turn of one destination: build, send, acknowledge or back off
 *   sender_build.c     the transaction
 *   sender_divide.c    finds what the other server refuses by dividing the transaction
 *   sender_catch_up.c  what a destination was not sent, from SQL
 *   sender_keeper.c    work for all destinations that needs the database or a timer
 *   sender_save.c      stores cursors; loads destinations of slices that were taken
 *   sender_slices.c    which destinations this node sends to
 *
 * A destination that has something to do is an item of s->turns, or of s->retries if it failed the
 * last time (base/worker/worker.h); the item is due when its back-off ends.
 *
 * One lock guards all of it, and is only held briefly. While a destination is `busy`, its cursor
 * and the front of its queue belong to the sending thread; any thread may add at the end. */
#ifndef FEDERATION_OUT_SENDER_INTERNAL_H
#define FEDERATION_OUT_SENDER_INTERNAL_H

#include "base/lock.h"
#include "base/map.h"
#include "base/worker/worker.h"
#include "federation/out/edu_out.h"
#include "federation/out/sender.h"
#include "federation/peer/request.h"
#include "storage/db/feed.h"
#include "storage/nodes/lease.h"

enum {
    TRANSACTION_PDUS = 50, /* server-server-api, "Transactions" */
    TRANSACTION_EDUS = 100,
    TRANSACTION_BYTES = 1 << 20, /* of PDUs: reverse proxies have limits */
    QUEUE_MAX = 10000,           /* events in memory for a destination that answers */
    BACKLOG_MAX = 500,           /* and for one that does not; beyond, only the newest of each
                                    room are sent */
    GATHER_US = 10000,           /* between transactions, so that later events are sent together */
    TYPING_MS = 20000,           /* a typing notice is dropped after this time */
    TYPING_MAX = 50,             /* waiting notices */
    RECEIPT_ROOMS_MAX = 200,
    DESTINATIONS_MAX = 100000, /* in memory */
    LAST_ERROR_MAX = 120
};

/* An event to be sent to a destination. */
struct outgoing {
    int64_t position, room;
    const struct event *event; /* a reference; NULL: not loaded */
};

/* The changes that EDU sources read from the log. */
enum pending { PENDING_TO_DEVICE, PENDING_DEVICE_LISTS, PENDING_RECEIPTS, PENDING_KINDS };

struct typing_notice {
    int64_t room, since; /* mono_ms */
    char *user_id;
    bool typing;
};

struct receipt_room {
    int64_t room, newest; /* position */
};

struct destination {
    char *server;
    int slice;       /* (const) of the lease */
    bool is_dropped; /* the slice was lost: the thread that works on it destroys it */
    bool is_denied;  /* by closed federation: nothing is kept for it */
    bool is_stored;  /* it has a row */
    bool is_busy;    /* a thread works on it */
    bool is_dirty;   /* to be saved */
    bool is_listed;  /* in s->dirty */
    bool is_waiting; /* it is an item that is due at waits_until (now_ms(); 0: at once) */
    int64_t waits_until;

    /* The cursor, and what follows it. */
    int64_t sent, saved; /* position; as in the database */
    int64_t attempted;   /* end of the unacknowledged transaction, so that a retry ends there too;
                            0: none */
    struct outgoing *queue;
    size_t first, n, cap; /* of the queue: queue[first .. first + n) */
    bool is_live;         /* the queue has all events after `sent`; otherwise SQL has the rest */
    int64_t skipped;      /* the newest event not added to the queue while not live */
    bool may_skip;        /* it was unreachable for long */
    int64_t pending[PENDING_KINDS]; /* positions of the newest */
    int64_t to_device_sent;         /* messages up to here may be deleted; 0: none */
    struct receipt_room *receipt_rooms;
    size_t receipt_rooms_n;
    int64_t receipt_rooms_from; /* the list has every room with receipts after this position */

    /* Never stored. */
    int64_t presence_from, presence_to; /* presence not sent yet; equal: none */
    struct typing_notice *typing;
    size_t typing_n;

    /* How it answers. Times are now_ms(). */
    int64_t failing_since, retry_at, retry_interval; /* 0: it answers */
    bool is_refusing;                                /* reachable, but refuses what we send */
    int refusals;                                    /* of the same transaction in a row */
    int64_t divide_until;   /* end of the refused transaction being divided; 0: none */
    int refused_run;        /* items refused in a row, with nothing accepted in between */
    int64_t refused_run_ts; /* start of that run */
    bool must_resend;       /* some refused items must be sent again */
    int64_t last_attempt, last_success;
    int64_t began_us; /* the last turn; mono_us() */
    char last_error[LAST_ERROR_MAX];
};

/* A change whose room was not in memory when it was published: a thread with a database connection
 * finds the destinations. No cursor passes it before. */
struct unresolved {
    struct unresolved *next;
    enum change_kind kind;
    int64_t position, room, user;
    const struct event *event; /* a reference */
};

/* A part of the destinations, all of which one node sends to. While it is not held here, what is
 * in memory of its destinations is only how they answer other requests. */
struct sender_slice {
    int64_t fence;    /* 0: not held */
    bool has_scanned; /* until then no transaction is sent */
};

struct sender {
    struct lock lock;
    struct node *node;
    struct lease_job *lease; /* (const) */
    struct sender_slice slices[LEASE_SLICES];
    int64_t no_handover_until; /* mono_ms(): the database did not take the last one */
    struct map destinations;   /* name -> struct destination */
    int64_t heard;             /* the newest position that the listener has seen */
    struct unresolved *unresolved, **last_unresolved;
    struct destination **touched; /* by the changes that the listener is handling */
    size_t touched_n, touched_cap;
    bool must_scan;              /* changes were missed: ask the database for pending ones */
    int64_t presence_position;   /* presence up to here is marked for sending */
    void (*on_return)(void *of); /* a server is reachable again; may be NULL */
    void *on_return_of;

    struct worker_pool *pool;
    struct worker_kind *turns, *retries; /* the text of a key: the server */
    struct worker_kind *keeper;          /* the number of a key: enum keeper_work */
    bool is_running, stopping;
    struct destination **dirty; /* to be saved, all with a row */
    size_t dirty_n, dirty_cap;
    bool must_save;    /* a save is due */
    int64_t last_save; /* mono_ms() */
    int64_t advanced;  /* position at which idle destinations were last moved to the end */
    uint64_t serial;   /* of transactions with only typing or presence */

    _Atomic int64_t transactions, pdus, edus, failures, refused_pdus, microseconds, catch_ups;
    _Atomic int64_t divisions, refused_items;
};

/* ---- sender.c ---- */

/* The destination of that name, created if missing; NULL if it is not allowed. */
struct destination *sender_destination_locked(struct sender *s, const char *server);
/* The same; NULL also if another node sends to it. */
struct destination *sender_held_locked(struct sender *s, const char *server);
void sender_destination_destroy(struct destination *d);
/* Gives it a turn, once its back-off ends, if it has something to do. */
void sender_consider_locked(struct sender *s, struct destination *d);
void sender_consider_all_locked(struct sender *s);
void sender_succeeded_locked(struct sender *s, struct destination *d);
void sender_failed_locked(struct sender *s, struct destination *d, const char *why,
                          int64_t at_least_ms);

/* ---- sender_slices.c ---- */

void sender_slices_init(struct sender *s); /* before the leases are started */
/* Is the slice still held as when its destinations were loaded? */
bool sender_slice_is_valid_locked(const struct sender *s, int slice);
bool sender_may_send(struct sender *s, const struct destination *d);
/* Changes were missed. */
void sender_slices_miss_locked(struct sender *s);
/* Waits until no destination is busy, within that time. */
void sender_slices_settle(struct sender *s, int within_ms);

/* ---- sender_keeper.c ---- */

enum keeper_work { KEEPER_SCAN, KEEPER_RESOLVE, KEEPER_SAVE, KEEPER_PRESENCE };
struct worker_kind *sender_keeper_create(struct sender *s); /* one work at a time */
void sender_keep(struct sender *s, enum keeper_work work, int64_t due_mono);

/* ---- the queue (sender_queue.c) ---- */

/* In order of positions; takes a reference. */
void queue_add_locked(struct destination *d, const struct outgoing *o);
void queue_drop_until_locked(struct destination *d, int64_t position);
void queue_clear_locked(struct destination *d);

/* Typing notices (sender_queue.c): one for each user and room, the newest. */
void typing_put_locked(struct destination *d, const struct typing_notice *t);
/* Drops notices that are too old. */
void typing_expire_locked(struct destination *d);
/* The notice was sent: drops it unless there is a newer one. */
void typing_sent_locked(struct destination *d, const struct typing_notice *t);

/* ---- sender_pending.c ---- */

void sender_on_typing(void *ctx, int64_t room, const char *user_id, bool typing);
/* The position up to which cursors may advance. */
int64_t sender_clear_position_locked(const struct sender *s);
/* Run by the keeper. */
const struct err *sender_resolve(struct sender *s, struct job *job);
const struct err *sender_spread_presence(struct sender *s, struct job *job);
/* The rooms with receipts after `from`; false if unknown. */
bool sender_receipt_rooms(struct job *job, struct sender *s, const char *server, int64_t from,
                          const int64_t **ret, size_t *ret_n);

/* ---- sender_catch_up.c ---- */

/* Fills the queue of a destination that is not live. */
const struct err *sender_catch_up(struct sender *s, struct job *job, struct destination *d);

/* ---- sender_build.c ---- */

/* A PDU, or an EDU from the log. */
struct transaction_item {
    int64_t position;
    const char *type, *event_id; /* "": an EDU */
    struct str json;
};

struct transaction {
    int64_t from, until; /* the cursor before and after */
    char id[32];
    struct buf body; /* empty: nothing to send */
    size_t pdus_n, edus_n;
    const struct transaction_item *items; /* without presence and typing */
    size_t items_n;
    int64_t presence_to;
    bool has_to_device;
    const struct typing_notice *typing; /* notices in it */
    size_t typing_n;
};

/* The caller must call buf_finish on the body. */
const struct err *sender_build(struct sender *s, struct job *job, struct destination *d,
                               struct transaction *ret);

/* Canonical, since it is signed: members in order, stored bytes unchanged. */
void sender_write_body(const struct sender *s, const struct str *edus, size_t edus_n,
                       const struct str *pdus, size_t pdus_n, struct buf *out);

/* ---- sender_work.c ---- */

/* PUTs that body under that transaction id. */
const struct err *sender_put(struct job *job, const char *server, const char *id, struct str body,
                             struct fed_reply *ret);
void sender_advance(struct sender *s, struct destination *d, const struct transaction *t);
void sender_back_off(struct sender *s, struct destination *d, const struct transaction *t,
                     const char *why, bool is_refusing, int64_t at_least_ms);

/* One turn of a destination that the caller has marked busy. */
void sender_work(struct sender *s, struct job *job, struct destination *d);

/* ---- sender_divide.c ---- */

/* Whether the status means that the content is refused, rather than that the server is
 * unavailable. */
bool sender_is_refusal(int status);
/* The destination refused the transaction with this answer. */
void sender_refused(struct sender *s, struct job *job, struct destination *d,
                    const struct transaction *t, const char *why);
/* The destination accepted a transaction. */
void sender_taken(struct sender *s, struct destination *d);
/* Sends the next refused item again, if there is one to be resent. */
void sender_resend(struct sender *s, struct job *job, struct destination *d);

/* ---- sender_save.c ---- */

/* It is saved soon; or, if it has no row yet, once it has one. */
void sender_note_dirty_locked(struct sender *s, struct destination *d);
const struct err *sender_save(struct sender *s, struct job *job);
/* Of a slice that another node will hold: all of it, once, and what is idle is moved to the end. */
const struct err *sender_save_slice(struct sender *s, struct job *job, int slice);
const struct err *sender_scan(struct sender *s, struct job *job);

#endif
