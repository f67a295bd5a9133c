#include "server/sync/read/summary.h"

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

static void summary_add_heroes(const struct sync_reader *who, struct room *room,
                               enum membership membership, struct room_member *heroes, size_t *n)
{
    const struct room_member *members;
    size_t members_n;
    room_list_members(who->job, room, membership, false, &members, &members_n);
    for (size_t i = 0; i < members_n; i++)
        if (members[i].user != who->caller->user)
            summary_add_hero(heroes, n, &members[i]);
}

static const struct err *summary_read_heroes(const struct sync_reader *who, struct room *room,
                                             struct sync_summary *ret)
{
    const char *name, *alias;
    TRY(room_state_text(who->job, room, "m.room.name", "name", &name));
    TRY(room_state_text(who->job, room, "m.room.canonical_alias", "alias", &alias));
    if ((name && *name) || (alias && *alias))
        return NULL;
    struct room_member heroes[HEROES];
    size_t n = 0;
    summary_add_heroes(who, room, MEMBERSHIP_JOIN, heroes, &n);
    summary_add_heroes(who, room, MEMBERSHIP_INVITE, heroes, &n);
    if (n == 0) { /* all others have left: the client shows who was there */
        summary_add_heroes(who, room, MEMBERSHIP_LEAVE, heroes, &n);
        summary_add_heroes(who, room, MEMBERSHIP_BAN, heroes, &n);
    }
    const char **ids = arena_alloc_array(who->job->arena, n + 1, sizeof *ids);
    for (size_t i = 0; i < n; i++)
        ids[i] = heroes[i].user_id;
    ret->heroes = ids;
    ret->heroes_n = n;
    return NULL;
}

const struct err *sync_summary_read(const struct sync_reader *who, struct room *room,
                                    struct sync_summary *ret)
{
    struct sync_summary summary = {.joined = room_joined_count(room),
                                   .invited = room_invited_count(room)};
    TRY(summary_read_heroes(who, room, &summary));
    *ret = summary;
    return NULL;
}

static bool summary_has_member_event(const struct sync_timeline *line)
{
    for (size_t i = 0; i < line->shown_n; i++)
        if (line->shown[i]->is_state && strcmp(line->shown[i]->event->type, "m.room.member") == 0)
            return true;
    for (size_t i = 0; i < line->hidden_n; i++)
        if (strcmp(line->hidden[i]->event->type, "m.room.member") == 0)
            return true;
    return false;
}

bool sync_summary_is_due(const struct sync_room *room, const struct sync_timeline *line)
{
    return room->is_full || line->limited || summary_has_member_event(line);
}
