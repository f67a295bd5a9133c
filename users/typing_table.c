#include "users/typing_internal.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/worker/worker.h"

enum { ROOMS_MAX = 65536 }; /* those with the newest changes */

/* ---- rooms, newest change first ---- */

static void typing_unlink_locked(struct typing *t, struct typing_room *r, enum typing_order o)
{
    struct typing_room *newer = r->order[o].newer, *older = r->order[o].older;
    if (!r->order[o].at)
        return;
    *(newer ? &newer->order[o].older : &t->order[o].newest) = older;
    *(older ? &older->order[o].newer : &t->order[o].oldest) = newer;
}

void typing_move_locked(struct typing *t, struct typing_room *r, enum typing_order o, int64_t at)
{
    typing_unlink_locked(t, r, o);
    struct typing_room *newer = NULL, *older = t->order[o].newest;
    for (; older && older->order[o].at > at; older = older->order[o].older)
        newer = older;
    r->order[o].at = at;
    r->order[o].newer = newer;
    r->order[o].older = older;
    *(newer ? &newer->order[o].older : &t->order[o].newest) = r;
    *(older ? &older->order[o].newer : &t->order[o].oldest) = r;
}

void typing_drop_room_locked(struct typing *t, struct typing_room *r)
{
    for (enum typing_order o = 0; o < TYPING_ORDERS; o++)
        typing_unlink_locked(t, r, o);
    map_remove_int(&t->rooms, r->room);
    for (size_t i = 0; i < r->n; i++)
        free(r->typers[i].user_id);
    free(r->typers);
    free(r);
}

struct typing_room *typing_room_locked(struct typing *t, int64_t room)
{
    struct typing_room *r = map_get_int(&t->rooms, room);
    if (r)
        return r;
    struct typing_room *oldest = t->order[t->serials_by_clock ? BY_POSITION : BY_SERIAL].oldest;
    if (t->rooms.n >= ROOMS_MAX && oldest)
        typing_drop_room_locked(t, oldest);
    r = mem_zalloc(sizeof *r);
    r->room = room;
    map_put_int(&t->rooms, room, r);
    return r;
}

/* ---- who types ---- */

struct typer *typing_find_user_locked(struct typing_room *r, int64_t user)
{
    for (size_t i = 0; i < r->n; i++)
        if (r->typers[i].user == user)
            return &r->typers[i];
    return NULL;
}

struct typer *typing_put_user_locked(struct typing *t, struct typing_room *r, int64_t user,
                                     const char *user_id, int64_t until_ms, bool *ret_is_new)
{
    struct typer *who = typing_find_user_locked(r, user);
    if (!who && r->n >= TYPING_USERS_MAX)
        return NULL;
    *ret_is_new = !who;
    if (!who) {
        r->typers = mem_realloc_array(r->typers, r->n + 1, sizeof *r->typers);
        who = &r->typers[r->n++];
        *who = (struct typer){.user = user, .user_id = mem_strdup(user_id)};
    }
    who->until_ms = until_ms;
    typing_note_end_locked(t, until_ms);
    return who;
}

void typing_remove_user_locked(struct typing_room *r, struct typer *who)
{
    free(who->user_id);
    *who = r->typers[--r->n];
}

void typing_note_end_locked(struct typing *t, int64_t until_ms)
{
    if (until_ms >= t->next_end_ms)
        return;
    t->next_end_ms = until_ms;
    worker_add_due(t->ends, (struct worker_key){0}, mono_ms() + until_ms - now_ms());
}
