/* The rooms of a reply, by section. */
#include "rooms/room_cache.h"
#include "server/sync/sync.h"

static const struct err *write_rooms_one(struct sync *s, const struct session_room *at,
                                         enum sync_section section, struct buf *out, bool *ret_any)
{
    struct sync_room room = {.at = *at};
    *ret_any = false;
    TRY(room_get_by_id(s->who.job, at->room, &room.room));
    if (!room.room)
        return NULL;
    s->members_changed |= !room_state_is_older(room.room, s->range.since);
    if (!filter_wants_room(&s->filter, room.room->room_id))
        return NULL;
    TRY(sync_room_plan(&s->who, &s->range, s->full_state, s->filter.include_leave, &room));
    return room.section == section ? sync_write_room(s, &room, out, ret_any) : NULL;
}

/* Each room in an arena of its own, so that an account of any size fits into bounded memory. */
static const struct err *write_one_in_own_arena(struct sync *s, const struct session_room *at,
                                                enum sync_section section, struct buf *out,
                                                bool *ret_any)
{
    struct arena *outer = s->who.job->arena;
    arena_auto struct arena *own = arena_create();
    job_use_arena(s->who.job, own);
    const struct err *e = write_rooms_one(s, at, section, out, ret_any);
    job_use_arena(s->who.job, outer);
    return e;
}

static const struct err *write_section(struct sync *s, const struct session_room *rooms, size_t n,
                                       enum sync_section section, struct buf *out)
{
    bool any = false;
    buf_printf(out, "%s\"%s\":{", section ? "," : "", sync_section_name(section));
    for (size_t i = 0; i < n; i++) {
        if (!sync_room_may_be_in(&rooms[i], section))
            continue;
        size_t before = out->n;
        bool this_any;
        if (any)
            buf_add_char(out, ',');
        TRY(write_one_in_own_arena(s, &rooms[i], section, out, &this_any));
        if (!this_any) {
            out->n = before;
            continue;
        }
        any = s->any = true;
        if (s->range.is_initial)
            TRY(reply_flush(s->rp));
    }
    buf_add_char(out, '}');
    return NULL;
}

const struct err *sync_write_rooms(struct sync *s, struct buf *out)
{
    const struct session_room *rooms;
    size_t n;
    TRY(sync_rooms_at_end(&s->who, &s->range, s->rooms, s->rooms_n, &rooms, &n));
    BUF_LIT(out, ",\"rooms\":{");
    for (enum sync_section section = SYNC_JOIN; section < SYNC_SECTIONS; section++)
        TRY(write_section(s, rooms, n, section, out));
    buf_add_char(out, '}');
    return NULL;
}
