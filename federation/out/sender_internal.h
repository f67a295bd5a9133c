/* What the files of the sender share.
 *
 *   sender.c        the threads, and whose turn it is
 *   sender_pending.c   the feed listener: which destinations have news
 *   sender_work.c   one turn of one destination: build, send, acknowledge or back off
 *   sender_build.c  the transaction
 *   sender_divide.c what the other server refuses: found by dividing the transaction, set aside
 *   sender_catch_up.c  what a destination was not told, from SQL
 *   sender_keeper.c the thread that does what needs the database, or a clock
 *   sender_save.c   cursors to the database; destinations at start-up
 *
 * One lock guards it all, and is held for moments only. While a destination is `busy`, its cursor
 * and the front of its queue belong to the thread that sends; everybody may add at the end. */
#ifndef FEDERATION_OUT_SENDER_INTERNAL_H
#define FEDERATION_OUT_SENDER_INTERNAL_H

#include "base/lock.h"
#include "base/map.h"
#include "federation/out/edu_out.h"
#include "federation/out/sender.h"
#include "federation/peer/request.h"
#include "storage/db/feed.h"

enum {
    TRANSACTION_PDUS = 50, /* server-server-api, "Transactions" */
    TRANSACTION_EDUS = 100,
    TRANSACTION_BYTES = 1 << 20, /* of PDUs: reverse proxies have their bounds */
    QUEUE_MAX = 10000,           /* events remembered for a destination that answers, ... */
    BACKLOG_MAX = 500,           /* ... and for one that does not; beyond, only the newest of each
                                    room are sent */
    GATHER_US = 10000, /* from one transaction to the next: what comes meanwhile goes along */
    TYPING_MS = 20000, /* how long a typing user is news */
    TYPING_MAX = 50,   /* notices that wait */
    RECEIPT_ROOMS_MAX = 200,
    DESTINATIONS_MAX = 100000, /* in memory */
    LAST_ERROR_MAX = 120
};

/* An event that a destination is to be sent. */
struct outgoing {
    int64_t position, room;
    const struct event *event; /* a reference; NULL: to be read from the database */
};

/* What EDU sources read from the log. */
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
    bool is_denied;  /* by closed federation: nothing is ever kept for it */
    bool is_stored;  /* it has a row */
    bool is_busy;    /* a thread works on it */
    bool is_waiting; /* it stands in one of the lists of those whose turn comes */
    bool is_dirty;   /* to be saved */
    struct destination *next;

    /* The cursor, and what lies beyond it. */
    int64_t sent, saved; /* position; as in the database */
    int64_t attempted;   /* where the transaction ended that was not acknowledged: a repetition ends
                            there, too; 0: none */
    struct outgoing *queue;
    size_t first, n, cap; /* of the queue: queue[first .. first + n) */
    bool is_live;         /* the queue has everything after `sent`; else up to its last, then SQL */
    int64_t skipped;      /* the newest event that did not come into the queue, not being live */
    bool may_skip;        /* it was away for long */
    int64_t pending[PENDING_KINDS]; /* positions of the newest */
    int64_t to_device_sent;         /* up to where messages may be deleted; 0: nothing to do */
    struct receipt_room *receipt_rooms;
    size_t receipt_rooms_n;
    int64_t receipt_rooms_from; /* the list has every room with receipts after this position */

    /* Never stored. */
    int64_t presence_from, presence_to; /* what it was not told of presence; equal: nothing */
    struct typing_notice *typing;
    size_t typing_n;

    /* How it answers. Times are now_ms(). */
    int64_t failing_since, retry_at, retry_interval; /* 0: it answers */
    bool is_refusing;     /* it can be reached, but does not take what we send */
    int refusals;         /* of the same transaction in a row */
    int64_t divide_until; /* where the refused transaction ended that is being divided; 0: none */
    int refused_run; /* how many were set aside in a row, with nothing taken between them, ... */
    int64_t refused_run_ts; /* ... and since when */
    bool must_resend;       /* of what was set aside, some is to be sent again */
    int64_t last_attempt, last_success;
    int64_t began_us; /* the last turn; mono_us() */
    char last_error[LAST_ERROR_MAX];
};

/* A change whose room was not in memory when it was published: a thread with a database connection
 * looks who is concerned. No cursor passes it before. */
struct unresolved {
    struct unresolved *next;
    enum change_kind kind;
    int64_t position, room, user;
    const struct event *event; /* a reference */
};

struct destination_list {
    struct destination *first, **last;
};

struct sender {
    struct lock lock;
    struct node *node;
    struct map destinations; /* name -> struct destination */
    int64_t heard;           /* the newest position that the listener has seen */
    struct unresolved *unresolved, **last_unresolved;
    struct destination **touched; /* by the changes that the listener is about */
    size_t touched_n, touched_cap;
    bool must_scan;              /* changes were missed: ask the database who has news */
    bool has_scanned;            /* before that no server is sent anything */
    int64_t presence_position;   /* told to destinations so far */
    void (*on_return)(void *of); /* a server is back; NULL: no one asked */
    void *on_return_of;
    const struct err *(*each_second)(struct job *job); /* the same */

    struct destination_list ready, retries; /* retries: those that failed the last time */
    int busy_retries, threads_n;
    pthread_t *threads, keeper;
    pthread_cond_t work, keep; /* for senders, for the keeper */
    bool running, stopping, must_save, must_look;
    uint64_t serial; /* of transactions of typing alone */

    _Atomic int64_t transactions, pdus, edus, failures, refused_pdus, microseconds, catch_ups;
    _Atomic int64_t divisions, refused_item;
};

/* ---- sender.c ---- */

/* The destination of that name, made when there is none; NULL: not one that we may contact. */
struct destination *sender_destination_locked(struct sender *s, const char *server);
/* Puts it into the list of those whose turn comes when there is something to do and it may be
 * done now. */
void sender_consider_locked(struct sender *s, struct destination *d);
void sender_consider_all_locked(struct sender *s);
void sender_succeeded_locked(struct sender *s, struct destination *d);
void sender_failed_locked(struct sender *s, struct destination *d, const char *why,
                          int64_t at_least_ms);

/* ---- sender_keeper.c ---- */

void *sender_keep(void *sender); /* a thread */

/* ---- the queue (sender_queue.c) ---- */

/* In the order of positions; takes a reference. */
void queue_add_locked(struct destination *d, const struct outgoing *o);
void queue_drop_until_locked(struct destination *d, int64_t position);
void queue_clear_locked(struct destination *d);

/* Typing notices (sender_queue.c): one for each user and room, the newest. */
void typing_put_locked(struct destination *d, const struct typing_notice *t);
/* Drops those that are too old. */
void typing_expire_locked(struct destination *d);
/* Was told: drops it, unless there is a newer one. */
void typing_sent_locked(struct destination *d, const struct typing_notice *t);

/* ---- sender_pending.c ---- */

void sender_on_changes(void *ctx, const struct change *changes, size_t n);
void sender_on_typing(void *ctx, int64_t room, const char *user_id, bool typing);
/* How far cursors may go. */
int64_t sender_clear_position_locked(const struct sender *s);
/* Work of the keeper. */
const struct err *sender_resolve(struct sender *s, struct job *job);
const struct err *sender_spread_presence(struct sender *s, struct job *job);
/* The rooms with receipts after `from`; false: not known. */
bool sender_receipt_rooms(struct job *job, struct sender *s, const char *server, int64_t from,
                          const int64_t **ret, size_t *ret_n);

/* ---- sender_catch_up.c ---- */

/* Fills the queue of one that is not live. */
const struct err *sender_catch_up(struct sender *s, struct job *job, struct destination *d);

/* ---- sender_build.c ---- */

/* A PDU, or an EDU that lies in the log. */
struct transaction_item {
    int64_t position;
    const char *type, *event_id; /* "": an EDU */
    struct str json;
};

struct transaction {
    int64_t from, until; /* what the cursor is, and becomes */
    char id[32];
    struct buf body; /* empty: there is nothing to send */
    size_t pdus_n, edus_n;
    const struct transaction_item *items; /* without presence and typing */
    size_t items_n;
    int64_t presence_to;
    bool has_to_device;
    const struct typing_notice *typing; /* that go along */
    size_t typing_n;
};

/* The caller finishes the body. */
const struct err *sender_build(struct sender *s, struct job *job, struct destination *d,
                               struct transaction *ret);

/* Canonical, for it is signed: members in their order, stored bytes as they are. */
void sender_write_body(const struct sender *s, const struct str *edus, size_t edus_n,
                       const struct str *pdus, size_t pdus_n, struct buf *out);

/* ---- sender_work.c ---- */

/* PUTs that body under that id. */
const struct err *sender_put(struct job *job, const char *server, const char *id, struct str body,
                             struct fed_reply *ret);
void sender_advance(struct sender *s, struct destination *d, const struct transaction *t);
void sender_back_off(struct sender *s, struct destination *d, const struct transaction *t,
                     const char *why, bool is_refusing, int64_t at_least_ms);

/* One turn of a destination that the caller has made busy. */
void sender_work(struct sender *s, struct arena *a, struct destination *d);

/* ---- sender_divide.c ---- */

/* Does this status say that the content is not wanted, rather than that the server is away? */
bool sender_is_refusal(int status);
/* The destination refused the transaction with this answer. */
void sender_refused(struct sender *s, struct job *job, struct destination *d,
                    const struct transaction *t, const char *why);
/* It took one. */
void sender_taken(struct sender *s, struct destination *d);
/* Sends one of those again that were set aside, when some are asked for. */
void sender_resend(struct sender *s, struct job *job, struct destination *d);

/* ---- sender_save.c ---- */

const struct err *sender_save(struct sender *s, struct job *job);
const struct err *sender_scan(struct sender *s, struct job *job);

#endif
