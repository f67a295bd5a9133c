/* What a write is made of. Private to write.c, batch.c and committer.c. */
#ifndef STORAGE_DB_WRITE_INTERNAL_H
#define STORAGE_DB_WRITE_INTERNAL_H

#include "storage/db/batch.h"

#include <semaphore.h>

struct write {
    struct arena *arena; /* the job's; not used by the job while it waits */
    struct change *changes;
    size_t changes_n, changes_cap;
    struct batch_row *rows, **last_row;
    struct statement *statements, **last_statement;
    struct write *next; /* in the committer's queue or batch */
    uint64_t number;    /* in the order in which they were queued */
    size_t bytes;       /* approximate size of what it sends to the database */
    bool is_large;
    sem_t done; /* posted when the write is finished, or when it is to lead */
    bool leads;
    bool failed;
    struct err err;
};

enum {
    WRITE_ROW_BYTES = 128, /* counted for a row, a statement or a change besides its values */
    WRITE_LARGE_BYTES = 256 * 1024 /* no message in a room is so large */
};

static inline bool write_is_large(const struct write *w)
{
    return w->is_large || w->bytes >= WRITE_LARGE_BYTES;
}

/* In the order in which they were queued; the committer's lock guards it. */
struct write_queue {
    struct write *first, **last;
};

static inline void write_queue_init(struct write_queue *q)
{
    q->first = NULL;
    q->last = &q->first;
}

static inline void write_queue_add(struct write_queue *q, struct write *w)
{
    w->next = NULL;
    *q->last = w;
    q->last = &w->next;
}

/* Cuts off the first ones, up to `last`. */
static inline struct write *write_queue_take(struct write_queue *q, struct write *last)
{
    struct write *taken = q->first;
    q->first = last->next;
    last->next = NULL;
    if (!q->first)
        q->last = &q->first;
    return taken;
}

#endif
