#include "server/sliding/sliding.h"

#include "storage/db/intern.h"

struct choosing {
    struct sliding_sync *s;
    struct map by_id; /* room -> 1 + its place in s->rooms */
    size_t cap;
};

static struct sliding_room *choose_room(struct choosing *c, int64_t room)
{
    struct sliding_sync *s = c->s;
    size_t at = (size_t)(uintptr_t)map_get_int(&c->by_id, room);
    if (at)
        return &s->rooms[at - 1];
    if (s->rooms_n == c->cap) {
        struct sliding_room *was = s->rooms;
        c->cap = c->cap ? c->cap * 2 : 32;
        s->rooms = arena_alloc_array(s->who.job->arena, c->cap, sizeof *s->rooms);
        if (was)
            memcpy(s->rooms, was, s->rooms_n * sizeof *was);
    }
    struct sliding_room *r = &s->rooms[s->rooms_n++];
    map_put_int(&c->by_id, room, (void *)(uintptr_t)s->rooms_n);
    r->at.room = room;
    r->required.me = s->who.caller->user_id;
    return r;
}

static void room_add_config(struct sliding_room *r, const struct sliding_config *config)
{
    required_add(&r->required, &config->required);
    if (config->timeline_limit > r->timeline_limit)
        r->timeline_limit = config->timeline_limit;
}

static void room_add_list(struct choosing *c, size_t list, int64_t room)
{
    struct sliding_room *r = choose_room(c, room);
    r->lists[list / 64] |= UINT64_C(1) << list % 64;
    room_add_config(r, &c->s->request->lists[list].config);
}

/* ---- by lists ---- */

static bool list_has_place(const struct sliding_list *list, size_t at)
{
    bool has = list->is_whole;
    for (size_t i = 0; i < list->ranges_n && !has; i++)
        has = (int64_t)at >= list->ranges[i].first && (int64_t)at <= list->ranges[i].last;
    return has;
}

static void choose_all_of_list(struct choosing *c, size_t list)
{
    const struct sliding_order *order = &c->s->orders->lists[list];
    for (size_t i = 0; i < order->n; i++)
        if (list_has_place(&c->s->request->lists[list], i))
            room_add_list(c, list, order->rooms[i].room);
}

static void choose_changed_of_list(struct choosing *c, size_t list)
{
    const struct sliding_order *order = &c->s->orders->lists[list];
    for (size_t i = 0; i < c->s->changed_n; i++) {
        size_t at = sliding_order_find(order, c->s->changed[i].room);
        if (at < order->n && list_has_place(&c->s->request->lists[list], at))
            room_add_list(c, list, c->s->changed[i].room);
    }
}

/* ---- by subscriptions ---- */

/* Rooms that do not exist, or that the user never had to do with, are ignored. */
static const struct err *choose_subscribed(struct choosing *c,
                                           const struct sliding_subscription *sub)
{
    struct sliding_sync *s = c->s;
    struct session_room at;
    int64_t room;
    TRY(intern_find(s->who.job->storage->intern, INTERN_ROOM, sub->room_id, &room));
    if (!room || !session_get_room(s->who.session, room, &at) || at.forgotten ||
        at.membership == MEMBERSHIP_NONE || (s->is_quick && !map_get_int(&s->changed_ids, room)))
        return NULL;
    struct sliding_room *r = choose_room(c, room);
    r->is_subscribed = true;
    room_add_config(r, &sub->config);
    return NULL;
}

/* ---- what is known of each ---- */

/* Rooms that the user had no membership in at the end of the range are dropped. */
static const struct err *choose_find_memberships(struct sliding_sync *s)
{
    struct session_room *list = arena_alloc_array(s->who.job->arena, s->rooms_n + 1, sizeof *list);
    size_t n = 0, kept = 0, there_n;
    const struct session_room *there;
    for (size_t i = 0; i < s->rooms_n; i++)
        if (session_get_room(s->who.session, s->rooms[i].at.room, &list[n])) {
            s->rooms[n] = s->rooms[i];
            n++;
        }
    TRY(sync_rooms_at_end(&s->who, &s->range, list, n, &there, &there_n));
    for (size_t i = 0; i < n && kept < there_n; i++)
        if (s->rooms[i].at.room == there[kept].room) {
            s->rooms[kept] = s->rooms[i];
            s->rooms[kept].at = there[kept];
            kept++;
        }
    s->rooms_n = kept;
    return NULL;
}

static void choose_find_sent(struct sliding_sync *s)
{
    for (size_t i = 0; i < s->rooms_n; i++) {
        struct sliding_room *r = &s->rooms[i];
        r->sent = sliding_state_find(s->base, r->at.room);
        r->since = !r->sent ? 0 : r->sent->until ? r->sent->until : s->range.since;
        r->is_changed = map_get_int(&s->changed_ids, r->at.room);
    }
}

/* Read together, since each would be a query of its own. */
static const struct err *choose_find_bumps(struct sliding_sync *s)
{
    struct room_outline *o = arena_alloc_array(s->who.job->arena, s->rooms_n + 1, sizeof *o);
    struct sliding_room **of = arena_alloc_array(s->who.job->arena, s->rooms_n + 1, sizeof *of);
    size_t n = 0;
    for (size_t i = 0; i < s->rooms_n; i++) {
        struct sliding_room *r = &s->rooms[i];
        r->bump = r->at.position;
        if (r->at.membership != MEMBERSHIP_JOIN || (r->sent && !r->sent->until && !r->is_changed))
            continue;
        of[n] = r;
        o[n++].room = r->at.room;
    }
    TRY(outlines_get(s->who.job, OUTLINE_BUMP, o, n));
    for (size_t i = 0; i < n; i++)
        of[i]->bump = o[i].bump;
    return NULL;
}

/* Changes in other rooms are not sent: what the client has of them ends here. */
static void choose_mark_behind(const struct choosing *c)
{
    struct sliding_sync *s = c->s;
    for (size_t i = 0; i < s->changed_n; i++) {
        const struct sliding_sent *sent = sliding_state_find(s->base, s->changed[i].room);
        if (!sent || sent->until || map_get_int(&c->by_id, s->changed[i].room))
            continue;
        struct sliding_sent behind = *sent;
        behind.until = s->range.since;
        sliding_draft_put(&s->draft, &behind);
    }
}

static const struct err *choose_all(struct choosing *c)
{
    struct sliding_sync *s = c->s;
    for (size_t i = 0; i < s->request->lists_n; i++) {
        if (s->is_quick)
            choose_changed_of_list(c, i);
        else
            choose_all_of_list(c, i);
    }
    for (size_t i = 0; i < s->request->subscriptions_n; i++)
        TRY(choose_subscribed(c, &s->request->subscriptions[i]));
    TRY(choose_find_memberships(s));
    choose_find_sent(s);
    TRY(choose_find_bumps(s));
    choose_mark_behind(c);
    return NULL;
}

const struct err *sliding_choose_rooms(struct sliding_sync *s)
{
    struct choosing c = {.s = s};
    const struct err *e = choose_all(&c);
    map_finish(&c.by_id);
    return e;
}
