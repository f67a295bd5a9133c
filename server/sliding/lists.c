#include "server/sliding/facts.h"

#include "base/mem.h"
#include "storage/db/intern.h"

enum { UPDATES_MAX = 64 /* with more changed rooms a list is made anew, which then is cheaper */ };

/* All of the user's rooms, at the end of the range. */
static const struct err *lists_rooms(struct sliding_sync *s, const struct session_room **ret,
                                     size_t *ret_n)
{
    session_rooms(s->who.job, s->who.session, ret, ret_n);
    return sync_rooms_at_end(&s->who, &s->range, *ret, *ret_n, ret, ret_n);
}

static const struct err *list_children(struct sliding_sync *s, const struct sliding_list *list,
                                       const struct map **ret)
{
    *ret = NULL;
    return list->filters.spaces.present ? facts_children(s, &list->filters.spaces, ret) : NULL;
}

/* ---- making ---- */

static const struct err *list_fill(struct sliding_sync *s, const struct sliding_list *list,
                                   const struct room_facts *facts, size_t n,
                                   struct sliding_order *order)
{
    const struct map *children;
    TRY(list_children(s, list, &children));
    for (size_t i = 0; i < n; i++)
        if (facts_match(s->who.job->arena, &list->filters, children, &facts[i]))
            sliding_order_add(order, facts[i].at.room, facts[i].activity);
    sliding_order_sort(order);
    return NULL;
}

/* ---- keeping up to date ---- */

/* Whether the list must be made anew. */
static bool list_is_outdated(const struct sliding_sync *s, const struct sliding_list *list)
{
    unsigned needed = facts_needed(&list->filters);
    if (s->changed_n > UPDATES_MAX)
        return true;
    for (size_t i = 0; i < s->account.n; i++) {
        const char *type = s->account.list[i].type;
        if ((needed & FACT_DIRECT && strcmp(type, "m.direct") == 0) ||
            (needed & FACT_TAGS && strcmp(type, "m.tag") == 0))
            return true;
    }
    for (size_t i = 0; needed & FACT_SPACES && i < list->filters.spaces.n; i++) {
        int64_t id;
        if (intern_find(s->who.job->storage->intern, INTERN_ROOM, list->filters.spaces.items[i],
                        &id) ||
            map_get_int(&s->changed_ids, id))
            return true;
    }
    return false;
}

/* Rooms that leave the list let others in, of which something may have to be sent. */
static void list_move_room(struct sliding_sync *s, struct sliding_order *order,
                           const struct room_facts *facts, bool is_match)
{
    size_t at = sliding_order_find(order, facts->at.room);
    bool was_there = at < order->n;
    if (was_there && is_match && order->rooms[at].activity == facts->activity)
        return;
    s->is_quick &= !was_there || is_match;
    if (was_there)
        sliding_order_remove(order, at);
    if (is_match)
        sliding_order_insert(order, facts->at.room, facts->activity);
}

/* A room that only had messages matches as before. */
static bool list_must_match(const struct sliding_sync *s, const struct room_facts *facts)
{
    return facts->at.membership != MEMBERSHIP_JOIN || facts->at.position > s->range.since ||
           facts->state_moved > s->range.since;
}

static const struct err *list_update(struct sliding_sync *s, const struct sliding_list *list,
                                     struct sliding_order *order)
{
    const struct session_room *at = s->changed;
    struct room_facts *facts, *again;
    const struct map *children;
    TRY(facts_read(s, facts_needed(&list->filters) & FACT_STATE, at, s->changed_n, &facts));
    for (size_t i = 0; i < s->changed_n; i++) {
        if (!list_must_match(s, &facts[i])) {
            bool is_there = sliding_order_find(order, facts[i].at.room) < order->n;
            list_move_room(s, order, &facts[i], is_there);
            continue;
        }
        TRY(facts_read(s, facts_needed(&list->filters), &at[i], 1, &again));
        TRY(list_children(s, list, &children));
        list_move_room(s, order, again,
                       facts_match(s->who.job->arena, &list->filters, children, again));
    }
    return NULL;
}

/* ---- all lists ---- */

/* Those that were in use are known up to now. */
static const struct err *lists_take_known(struct sliding_sync *s, struct sliding_orders *was,
                                          struct sliding_orders *now, unsigned *ret_needed,
                                          size_t *ret_missing)
{
    for (size_t i = 0; i < s->request->lists_n; i++) {
        const struct sliding_list *list = &s->request->lists[i];
        struct sliding_order *order = &now->lists[i];
        if (!list_is_outdated(s, list) && sliding_orders_take(was, list->filters.text, order)) {
            TRY(list_update(s, list, order));
            continue;
        }
        order->filters = mem_strdup(list->filters.text.p);
        *ret_needed |= facts_needed(&list->filters);
        ++*ret_missing;
        s->is_quick = false;
    }
    return NULL;
}

static const struct err *lists_make_missing(struct sliding_sync *s, struct sliding_orders *now,
                                            unsigned needed)
{
    const struct session_room *rooms;
    size_t n;
    struct room_facts *facts;
    TRY(lists_rooms(s, &rooms, &n));
    TRY(facts_read(s, needed, rooms, n, &facts));
    for (size_t i = 0; i < now->n; i++)
        if (!now->lists[i].rooms)
            TRY(list_fill(s, &s->request->lists[i], facts, n, &now->lists[i]));
    return NULL;
}

static const struct err *lists_open(struct sliding_sync *s, struct sliding_orders *was)
{
    struct sliding_orders *now = s->orders;
    unsigned needed = 0;
    size_t missing = 0;
    if (was && (was->number != s->base->number || was->until < s->range.since)) {
        sliding_orders_destroy(was);
        was = NULL;
    }
    s->is_quick = was && was->is_settled && was->rules_hash == s->request->rules_hash &&
                  s->request->begins_at_top && !s->direct_changed;
    const struct err *e = lists_take_known(s, was, now, &needed, &missing);
    sliding_orders_destroy(was);
    if (!e && missing)
        e = lists_make_missing(s, now, needed);
    now->until = s->range.until;
    now->rules_hash = s->request->rules_hash;
    return e;
}

const struct err *sliding_open_lists(struct sliding_sync *s)
{
    s->orders = sliding_orders_create(s->request->lists_n);
    return lists_open(s, connection_take_orders(s->who.job, &s->caller));
}
