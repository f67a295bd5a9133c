#include "storage/db/epochs.h"

#include "base/mem.h"

#include <pthread.h>

/* Enough for restarts in a loop for a day; a client with a token of an older epoch does a full
 * sync. */
enum { EPOCHS_KEPT = 20000, EPOCHS_OFF_TIMELINE_BITS = 61 };

struct epochs {
    pthread_rwlock_t lock;
    struct epoch *list; /* in order */
    size_t n, cap;
};

struct epochs *epochs_create(void)
{
    struct epochs *e = mem_zalloc(sizeof *e);
    pthread_rwlock_init(&e->lock, NULL);
    epochs_add(e, &(struct epoch){0});
    return e;
}

void epochs_destroy(struct epochs *e)
{
    if (!e)
        return;
    pthread_rwlock_destroy(&e->lock);
    free(e->list);
    free(e);
}

static void epochs_add_locked(struct epochs *e, const struct epoch *epoch)
{
    if (e->n == e->cap) {
        e->cap = e->cap ? e->cap * 2 : 16;
        e->list = mem_realloc_array(e->list, e->cap, sizeof *e->list);
    }
    e->list[e->n++] = *epoch;
}

void epochs_add(struct epochs *e, const struct epoch *epoch)
{
    pthread_rwlock_wrlock(&e->lock);
    epochs_add_locked(e, epoch);
    pthread_rwlock_unlock(&e->lock);
}

SQL(epochs_prune_sql,
    "DELETE FROM log_epochs WHERE number < (SELECT max(number) FROM log_epochs) - $1")
SQL(epochs_list_sql,
    "SELECT epoch, begins, history_begins, stream_offset FROM log_epochs ORDER BY number")

const struct err *epochs_load(struct epochs *e, struct tx *tx)
{
    struct rows rows;
    TRY(db_exec(tx, &epochs_prune_sql, P(INT(EPOCHS_KEPT)), NULL));
    TRY(db_query(tx, &epochs_list_sql, NO_PARAMS, &rows));
    pthread_rwlock_wrlock(&e->lock);
    e->n = 0;
    while (rows_next(&rows))
        epochs_add_locked(e, &(struct epoch){row_int(&rows, 0), row_int(&rows, 1),
                                             row_int(&rows, 2), row_int(&rows, 3)});
    if (!e->n)
        epochs_add_locked(e, &(struct epoch){0});
    pthread_rwlock_unlock(&e->lock);
    return NULL;
}

int64_t epochs_current(struct epochs *e)
{
    pthread_rwlock_rdlock(&e->lock);
    int64_t id = e->list[e->n - 1].id;
    pthread_rwlock_unlock(&e->lock);
    return id;
}

/* Was this position given out before the epoch began? */
static bool epochs_is_before(const struct epoch *next, int64_t position)
{
    if (position <=
        -(1LL
          << EPOCHS_OFF_TIMELINE_BITS)) /* off the timeline: before all positions in a timeline */
        return true;
    return position >= 0 ? position <= next->begins : position >= next->history_begins;
}

static int64_t place_before(const struct epoch *next, int64_t position, bool *ret_lost)
{
    *ret_lost = !epochs_is_before(next, position);
    if (!*ret_lost)
        return position;
    return position >= 0 ? next->begins : next->history_begins;
}

int64_t epochs_place(struct epochs *e, int64_t epoch, int64_t position, bool *ret_lost)
{
    int64_t place = position;
    *ret_lost = false;
    pthread_rwlock_rdlock(&e->lock);
    size_t i = e->n;
    while (i > 0 && e->list[i - 1].id != epoch)
        i--;
    if (i > 0 && i < e->n)
        place = place_before(&e->list[i], position, ret_lost);
    else if (i == 0 && !epochs_is_before(&e->list[0], position)) {
        /* It began in a history that was lost, which may have parted from this one anywhere up to
         * the newest beginning of an epoch. */
        bool unused;
        place = place_before(&e->list[e->n - 1], position, &unused);
        *ret_lost = true;
    }
    pthread_rwlock_unlock(&e->lock);
    return place;
}

/* The last epoch that began before the position was given out. */
static const struct epoch *epochs_find_locked(const struct epochs *e, int64_t position)
{
    size_t i = e->n - 1;
    while (i > 0 && e->list[i].begins >= position)
        i--;
    return &e->list[i];
}

int64_t epochs_at(struct epochs *e, int64_t position)
{
    pthread_rwlock_rdlock(&e->lock);
    int64_t id = epochs_find_locked(e, position)->id;
    pthread_rwlock_unlock(&e->lock);
    return id;
}

int64_t epochs_stream_id(struct epochs *e, int64_t position)
{
    pthread_rwlock_rdlock(&e->lock);
    int64_t id = position + epochs_find_locked(e, position)->stream_offset;
    pthread_rwlock_unlock(&e->lock);
    return id;
}
