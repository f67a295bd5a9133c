#include "server/sync/sync.h"

#include <stdlib.h>

enum { HEROES = 5 };

static int summary_by_position(const void *x, const void *y)
{
    const struct room_member *a = x, *b = y;
    return a->position < b->position ? -1 : a->position > b->position;
}

/* Keeps the members who joined first, oldest first. */
static void summary_add_hero(struct room_member *heroes, size_t *n, const struct room_member *m)
{
    if (*n < HEROES) {
        heroes[(*n)++] = *m;
    } else if (m->position < heroes[HEROES - 1].position) {
        heroes[HEROES - 1] = *m;
    } else {
        return;
    }
    qsort(heroes, *n, sizeof *heroes, summary_by_position);
}

static void summary_add_heroes(struct sync *s, struct room *room, enum membership membership,
                               struct room_member *heroes, size_t *n)
{
    const struct room_member *members;
    size_t members_n;
    room_list_members(s->job, room, membership, false, &members, &members_n);
    for (size_t i = 0; i < members_n; i++)
        if (members[i].user != s->caller->user)
            summary_add_hero(heroes, n, &members[i]);
}

const struct err *sync_heroes(struct sync *s, struct room *room, const char *const **ret,
                              size_t *ret_n)
{
    const char *name, *alias;
    TRY(room_state_text(s->job, room, "m.room.name", "name", &name));
    TRY(room_state_text(s->job, room, "m.room.canonical_alias", "alias", &alias));
    *ret = NULL;
    *ret_n = 0;
    if ((name && *name) || (alias && *alias))
        return NULL;
    struct room_member heroes[HEROES];
    size_t n = 0;
    summary_add_heroes(s, room, MEMBERSHIP_JOIN, heroes, &n);
    summary_add_heroes(s, room, MEMBERSHIP_INVITE, heroes, &n);
    if (n == 0) { /* all others have left: the client shows who was there */
        summary_add_heroes(s, room, MEMBERSHIP_LEAVE, heroes, &n);
        summary_add_heroes(s, room, MEMBERSHIP_BAN, heroes, &n);
    }
    const char **ids = arena_alloc_array(s->job->arena, n + 1, sizeof *ids);
    for (size_t i = 0; i < n; i++)
        ids[i] = heroes[i].user_id;
    *ret = ids;
    *ret_n = n;
    return NULL;
}
