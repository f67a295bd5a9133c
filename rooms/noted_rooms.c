#include "rooms/noted_rooms.h"

#include "base/clock.h"
#include "storage/rooms/noted_rooms.h"
#include "storage/rooms/retention.h"

enum { PAGE = 500, PAGES_MAX = 20, OUTLIERS_AT_ONCE = 2000 };

/* Keeps the room if it was used, for example by an invite, since it was listed. */
static const struct err *noted_rooms_remove_one(struct job *job, const struct noted_room *room,
                                                int64_t position)
{
    for (int64_t n = OUTLIERS_AT_ONCE; n == OUTLIERS_AT_ONCE;)
        TRY(noted_room_drop_outliers(job_tx(job), room->id, position, OUTLIERS_AT_ONCE, &n));
    struct write *w = write_begin(job);
    write_change(
        w, &(struct change){.kind = CHANGE_STATE, .room = room->id, .local.resets_room = true});
    noted_room_write_gone(w, room, position);
    const struct err *e = write_commit(job, w, NULL);
    return e && e->code == ERR_CONFLICT ? NULL : e;
}

static bool noted_rooms_is_among(const int64_t *ids, size_t n, int64_t id)
{
    for (size_t i = 0; i < n; i++)
        if (ids[i] == id)
            return true;
    return false;
}

static const struct err *sweep_page(struct job *job, int64_t position, bool *ret_more)
{
    const struct noted_room *rooms;
    const int64_t *kept;
    size_t n, kept_n;
    TRY(noted_rooms_list(job_tx(job), position, PAGE, &rooms, &n));
    *ret_more = n == PAGE;
    int64_t *ids = arena_alloc_array(job->arena, n + 1, sizeof *ids);
    for (size_t i = 0; i < n; i++)
        ids[i] = rooms[i].id;
    TRY(noted_rooms_keep(job_tx(job), ids, n, position, &kept, &kept_n));
    for (size_t i = 0; i < n; i++)
        if (!noted_rooms_is_among(kept, kept_n, ids[i]))
            TRY(noted_rooms_remove_one(job, &rooms[i], position));
    return NULL;
}

const struct err *noted_rooms_sweep(struct job *job, int64_t now_ms)
{
    int64_t position;
    bool more = true;
    TRY(log_times_position(job_tx(job), now_ms - RETENTION_ROOMS_DAYS * DAY_MS, &position));
    for (int i = 0; position && more && i < PAGES_MAX; i++)
        TRY(sweep_page(job, position, &more));
    return NULL;
}
