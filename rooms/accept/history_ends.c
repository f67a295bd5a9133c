/* Backward extremities (rooms/accept/history.h). */
#include "rooms/accept/accept_internal.h"
#include "rooms/accept/history.h"
#include "storage/rooms/backward_extremities.h"

/* Which of the row's events are still not in the timeline. */
static const struct err *still_missing(struct job *job, struct room *room,
                                       const struct backward_extremity *row,
                                       const char *const **ret, size_t *ret_n)
{
    struct lookup *l = lookup_create(job, room->version, room->id);
    const char **ids = arena_alloc_array(job->arena, row->missing_n + 1, sizeof *ids);
    size_t n = 0;
    for (size_t i = 0; i < row->missing_n; i++)
        ids[i] = event_id_from_bytes(job->arena, room->version, row->missing[i]);
    TRY(lookup_load(l, ids, row->missing_n));
    for (size_t i = 0; i < row->missing_n; i++) {
        const struct known_event *known;
        TRY(lookup_get(l, ids[i], &known));
        if (!known || !known_is_placed(known))
            ids[n++] = ids[i];
    }
    *ret = ids;
    *ret_n = n;
    return NULL;
}

/* Keeps the rows that still are backward extremities, and deletes the others. */
static const struct err *keep_ends(struct job *job, struct room *room,
                                   const struct backward_extremity *rows, size_t rows_n,
                                   struct history_end *ret, size_t *ret_n)
{
    size_t n = 0;
    for (size_t i = 0; i < rows_n; i++) {
        struct history_end *end = &ret[n];
        TRY(still_missing(job, room, &rows[i], &end->missing, &end->missing_n));
        if (!end->missing_n) {
            TRY(backward_extremity_delete(job_tx(job), room->id, rows[i].event->position));
            continue;
        }
        end->event_id = rows[i].event->event->event_id;
        end->position = rows[i].event->position;
        end->depth = rows[i].event->event->depth;
        n++;
    }
    *ret_n = n;
    return NULL;
}

const struct err *history_ends(struct job *job, struct room *room, size_t max,
                               const struct history_end **ret, size_t *ret_n)
{
    const struct backward_extremity *rows;
    struct history_end *list = arena_alloc_array(job->arena, max + 1, sizeof *list);
    size_t rows_n, n;
    do {
        TRY(backward_extremities_read(job_tx(job), room->id, (int64_t)max, &rows, &rows_n));
        TRY(keep_ends(job, room, rows, rows_n, list, &n));
    } while (!n && rows_n == max); /* none of these: try the next rows */
    *ret = list;
    *ret_n = n;
    return NULL;
}

const struct err *history_ends_note(struct lookup *l, struct write *w, const struct event *e,
                                    int at, int64_t position)
{
    struct arena *a = l->job->arena;
    struct str *missing = arena_alloc_array(a, e->prev_n + 1, sizeof *missing);
    size_t n = 0;
    for (size_t i = 0; i < e->prev_n; i++) {
        const struct known_event *known;
        TRY(lookup_get(l, e->prev_events[i], &known));
        if (known && known_is_placed(known))
            continue;
        struct str id = event_id_to_bytes(a, l->version, e->prev_events[i]);
        if (id.p)
            missing[n++] = id;
    }
    if (n)
        backward_extremity_write(w, l->room, at, position, missing, n);
    return NULL;
}
