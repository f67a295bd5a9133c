/* Shared by a parked request and the source that it waits for.
 *
 * http/ embeds a waiter in every request. A handler that may wait subscribes the waiter to its
 * source (for instance an active user's session) BEFORE it reads, then returns reply_wait(). The
 * source calls wake() from any thread, any number of times; the request's handler then runs again.
 * When the request ends in any way, http/ calls leave(), and the source forgets the waiter. */
#ifndef BASE_WAITER_H
#define BASE_WAITER_H

#include <stdbool.h>
#include <stdint.h>

struct waiter {
    struct waiter *prev, *next;      /* the source's list, under the source's lock */
    void *source;                    /* NULL: not subscribed */
    int64_t about;                   /* the source's own: which part of it is waited for */
    void (*wake)(struct waiter *w);  /* set by http/; thread-safe, never blocks, takes only locks
                                        of rank RANK_HTTP_QUEUE and above */
    void (*leave)(struct waiter *w); /* set by the source when it subscribes the waiter */
    bool is_displaced; /* set by the source: too many wait there, so this one must answer now */
};

#endif
