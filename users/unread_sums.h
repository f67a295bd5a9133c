/* The arithmetic of the cache of unread counts. It keeps sums since an arbitrary position: one of a
 * room, and for each reader the sum up to where they have read; the difference is unread. So an
 * event costs one addition for the room, however many users read it, and one for each user that it
 * notifies otherwise than the rest. A receipt costs a subtraction of what came after it, found in
 * the room's newest events (its ring). The database is asked only if the ring does not reach back
 * far enough.
 *
 * Not thread-safe: the lock of the cache (unread.c) guards it. */
#ifndef USERS_UNREAD_SUMS_H
#define USERS_UNREAD_SUMS_H

#include "base/cache.h"
#include "users/receipts.h"
#include "users/unread_internal.h"

enum {
    UNREAD_RING = 32,             /* newest events of a room */
    UNREAD_EXCEPTIONS = 16,       /* newest events that count otherwise for a reader */
    UNREAD_THREADS_MAX = 2000,    /* of a room; with more the room is dropped */
    UNREAD_THREADS_A_READER = 100 /* with something unread, counted from the newest */
};

/* Scopes of reading, besides the position of a thread's root; as in struct change_receipt. */
enum { READ_EVERYTHING = 0, READ_MAIN = RECEIPT_OF_MAIN };

struct newest_event {
    int64_t position, thread;
    struct unread_tally adds;
};

struct ring_event {
    struct newest_event e;
    char *sender; /* NULL for a state event, which counts even if its sender is ignored */
};

/* Both kinds of thread lists are sorted by root. */
struct thread_sum {
    int64_t root;
    struct unread_tally sum;
    char *root_id; /* NULL: not looked up yet */
};

struct thread_reader {
    int64_t root, read_up_to;
    struct unread_tally read;
};

struct room_sums {
    int64_t room;
    struct unread_tally main;
    struct thread_sum *threads;
    size_t threads_n;
    struct ring_event ring[UNREAD_RING];
    size_t ring_n;      /* ever added */
    int64_t ring_from;  /* the ring holds every event after this position */
    struct map readers; /* users.id -> struct reader */
};

struct reader_sums {
    struct cache_entry entry;
    int64_t user;
    struct room_sums *room; /* NULL: it has left it */
    bool loaded;
    uint64_t touched; /* changes that concerned this reader */
    int64_t read_up_to, main_read_up_to;
    struct unread_tally main_read;
    struct thread_reader *threads; /* a thread missing here has been read up to a sum of zero */
    size_t threads_n;
    struct newest_event exceptions[UNREAD_EXCEPTIONS]; /* what they add beyond the room's */
    size_t exceptions_n;
    int64_t exceptions_from;      /* all after this position are here */
    struct ignored_list *ignored; /* whose events add nothing; NULL: none */
    int64_t caught_up;            /* position: those up to here are in the sums */
};

/* applied: the position up to which the log was followed. */
struct room_sums *room_sums_create(int64_t room, int64_t applied);
void room_sums_destroy(struct room_sums *r); /* must have no readers */
void room_sums_add_event(struct room_sums *r, const struct newest_event *e, const char *sender);
struct thread_sum *room_sums_thread(struct room_sums *r, int64_t root); /* created if missing */
struct thread_sum *room_sums_find_thread(struct room_sums *r, int64_t root); /* NULL: missing */

struct reader_sums *reader_create(struct room_sums *r, int64_t user); /* not loaded yet */
void reader_leave(struct reader_sums *x);                             /* removes it from its room */
void reader_destroy(struct reader_sums *x); /* the same, unless it has left it */
/* Its memory, with its part of the room's. */
size_t reader_bytes(const struct reader_sums *x);

/* The reader has read up to a position, by a receipt or by sending an event. False if that is too
 * far back; the reader must then be dropped. */
bool reader_read(struct reader_sums *x, int64_t scope, int64_t position);
/* An event, already added to the room, counts otherwise for this reader. */
void reader_add_exception(struct reader_sums *x, const struct newest_event *e);

/* Gives the reader what was loaded from the database at position `until`; false if the ring does
 * not reach back to it any more. ignored: the users that were ignored when loading; takes a
 * reference. */
bool reader_install(struct reader_sums *x, const struct standing *s, struct ignored_list *ignored,
                    int64_t until);
void reader_set_ignored(struct reader_sums *x,
                        struct ignored_list *ignored);                /* must be the same users */
bool reader_ignores(const struct reader_sums *x, const char *sender); /* sender NULL: false */
/* Call before using a reader: subtracts what ignored users sent since the last time, so that their
 * events cost nothing when they are sent. False if the ring does not reach back so far; the reader
 * is then no longer loaded. */
bool reader_catch_up(struct reader_sums *x);
/* The reader's current standing: only what is unread, in the arena. */
void reader_standing(struct arena *a, const struct reader_sums *x, struct standing *ret);

#endif
