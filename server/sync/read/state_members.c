#include "rooms/state/state_at.h"
#include "server/sync/read/state_reading.h"
#include "storage/db/intern.h"
#include "storage/rooms/room_state.h"

enum { MEMBERS_A_PAGE = 500 };

/* Pages of members, so that the largest room fits into bounded memory. */
const struct err *sync_state_add_all_members(struct state_reading *r, int64_t at)
{
    struct job *job = r->who->job;
    struct arena *outer = job->arena;
    const struct err *e = NULL;
    const char *after = "";
    for (bool more = true; more && !e;) {
        arena_auto struct arena *page = arena_create();
        job_use_arena(job, page);
        const struct stored_event *list;
        size_t n;
        e = room_state_members_page(job_replica_tx(job), r->room->room->id, at, after,
                                    MEMBERS_A_PAGE, &list, &n);
        for (size_t i = 0; i < n && !e; i++)
            e = sync_state_add(r, &list[i]);
        more = !e && n == MEMBERS_A_PAGE;
        job_use_arena(job, outer);
        if (more)
            after = arena_strdup(outer, list[n - 1].event->state_key);
        if (!e)
            e = r->sink->end_page(r->sink->ctx);
    }
    return e;
}

/* ---- lazily loaded members ---- */

/* The users whose member events the reader needs: the senders of the timeline, and a few more. */
struct wanted_members {
    const char **users;
    size_t n;
};

static void state_want(const struct state_reading *r, struct wanted_members *list,
                       const char *user_id)
{
    if (!sync_state_is_wanted(r, "m.room.member", user_id))
        return;
    for (size_t i = 0; i < list->n; i++)
        if (strcmp(list->users[i], user_id) == 0)
            return;
    list->users[list->n++] = user_id;
}

static struct wanted_members state_want_members(const struct state_reading *r)
{
    const struct sync_timeline *line = r->line;
    const struct sync_state_wanted *wanted = r->wanted;
    struct wanted_members list = {0};
    list.users = arena_alloc_array(r->who->job->arena, line->shown_n + wanted->heroes_n + 1,
                                   sizeof *list.users);
    for (size_t i = 0; i < line->shown_n; i++)
        state_want(r, &list, line->shown[i]->event->sender);
    for (size_t i = 0; i < wanted->heroes_n; i++)
        state_want(r, &list, wanted->heroes[i]);
    if (r->room->is_full)
        state_want(r, &list, r->who->caller->user_id);
    return list;
}

/* Members whose events are newer than the returned state: reads their events at its position. */
static const struct err *state_add_older_members(struct state_reading *r, int64_t at,
                                                 const struct wanted_members *older)
{
    const struct stored_event *list;
    size_t n;
    if (!older->n)
        return NULL;
    TRY(room_state_members(job_replica_tx(r->who->job), r->room->room->id, at, older->users,
                           older->n, &list, &n));
    for (size_t i = 0; i < n; i++)
        TRY(sync_state_add(r, &list[i]));
    return NULL;
}

static const struct err *state_add_member(struct state_reading *r, int64_t at, const char *user_id,
                                          struct wanted_members *older)
{
    const struct event *e;
    int64_t position, user;
    TRY(room_state_at_head(r->who->job, r->room->room, "m.room.member", user_id, &e, &position));
    if (!e)
        return NULL;
    TRY(intern_find(r->who->job->storage->intern, INTERN_USER, user_id, &user));
    bool is_new = session_member_is_new(r->who->session, r->who->recipient, r->range->since,
                                        r->room->room->id, user, position > at ? at : position);
    if (!is_new && !r->wanted->filter->include_redundant_members && !r->room->is_full)
        return NULL;
    if (position > at) {
        older->users[older->n++] = user_id;
        return NULL;
    }
    return sync_state_add(r, &(struct stored_event){.position = position,
                                                    .room = r->room->room->id,
                                                    .sender = user,
                                                    .is_state = true,
                                                    .event = e});
}

/* Members in the timeline need not be sent again later. */
static const struct err *state_note_visible_members(struct state_reading *r)
{
    for (size_t i = 0; i < r->line->shown_n; i++) {
        const struct stored_event *e = r->line->shown[i];
        int64_t user;
        if (!e->is_state || strcmp(e->event->type, "m.room.member") != 0)
            continue;
        TRY(intern_find(r->who->job->storage->intern, INTERN_USER, e->event->state_key, &user));
        session_member_is_new(r->who->session, r->who->recipient, r->range->since,
                              r->room->room->id, user, e->position);
    }
    return NULL;
}

const struct err *sync_state_add_lazy_members(struct state_reading *r, int64_t at)
{
    TRY(state_note_visible_members(r));
    struct wanted_members list = state_want_members(r);
    struct wanted_members older = {
        arena_alloc_array(r->who->job->arena, list.n + 1, sizeof *older.users), 0};
    for (size_t i = 0; i < list.n; i++)
        TRY(state_add_member(r, at, list.users[i], &older));
    return state_add_older_members(r, at, &older);
}
