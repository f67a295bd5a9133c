#include "rooms/state/auth_index.h"
#include "rooms/rooms.h"

#include "base/mem.h"
#include "storage/db/feed.h"
#include "storage/rooms/auth_nodes.h"

enum {
    PAGE = 4096, /* nodes that are loaded first; later pages are larger */
    PAGE_MAX = 1 << 20,
    EVENTS_BYTES = 4 << 20, /* of the events kept for one room */
    NUMBERS_BYTES = 4 << 20,
    MAP_BYTES = 2 * sizeof(struct map_slot)
};

struct auth_indexes {
    struct cache cache; /* by rooms.id: those that no job uses */
};

/* ---- one room's ---- */

static size_t auth_index_bytes_of(const struct auth_index *x)
{
    return sizeof *x + x->graph.bytes + x->numbers_bytes + x->events_bytes;
}

static void forget_numbers(struct auth_index *x)
{
    for (struct map_slot *s = NULL; (s = map_next(&x->numbers, s));)
        free(s->value);
    map_finish(&x->numbers);
    x->numbers = (struct map){0};
    x->numbers_bytes = 0;
}

static void forget_events(struct auth_index *x)
{
    for (struct map_slot *s = NULL; (s = map_next(&x->events, s));) {
        struct auth_index_event *kept = s->value;
        event_unref(kept->event);
        free(kept);
    }
    map_finish(&x->events);
    map_finish(&x->by_node);
    x->events = x->by_node = (struct map){0};
    x->events_bytes = 0;
}

static void auth_index_destroy(struct auth_index *x)
{
    forget_numbers(x);
    forget_events(x);
    map_finish(&x->extra);
    auth_graph_finish(&x->graph);
    free(x->pending);
    free(x);
}

struct auth_number *auth_index_remember(struct auth_index *x, struct str id, uint32_t node,
                                        bool is_power)
{
    struct auth_number *number = map_get(&x->numbers, id);
    if (number)
        return number;
    number = mem_alloc(sizeof *number + id.n);
    number->node = node;
    number->is_power = is_power;
    number->n = (uint32_t)id.n;
    memcpy(number->id, id.p, id.n);
    map_put(&x->numbers, (struct str){number->id, id.n}, number);
    x->numbers_bytes += sizeof *number + id.n + MAP_BYTES;
    return number;
}

const struct event *auth_index_event(struct auth_index *x, const char *id, bool *ret_rejected)
{
    const struct auth_index_event *kept = map_get(&x->events, str_of(id));
    if (!kept)
        return NULL;
    *ret_rejected = kept->rejected;
    return kept->event;
}

void auth_index_keep(struct auth_index *x, const struct known_event *e, uint32_t node)
{
    const struct event *event = e->e.event;
    struct auth_index_event *kept = map_get(&x->events, str_of(event->event_id));
    if (!e->is_stored)
        return;
    if (!kept) {
        kept = mem_alloc(sizeof *kept);
        *kept = (struct auth_index_event){.event = event_ref(event),
                                          .rejected = e->e.status == EVENT_REJECTED};
        map_put(&x->events, str_of(event->event_id), kept);
        x->events_bytes += sizeof *kept + event_bytes(event) + MAP_BYTES;
    }
    if (node && !kept->node)
        map_put_int(&x->by_node, node, kept);
    kept->node = node ? node : kept->node;
}

/* Drops the data besides the graph when they exceed the bound. */
static void auth_index_trim(struct auth_index *x)
{
    map_finish(&x->extra);
    x->extra = (struct map){0};
    auth_graph_cut(&x->graph, x->known_n);
    if (x->events_bytes > EVENTS_BYTES)
        forget_events(x);
    if (x->numbers_bytes <= NUMBERS_BYTES)
        return;
    if (x->known_n > x->stored_n) { /* pending and CURRENT nodes are found again */
        auth_graph_cut(&x->graph, x->stored_n);
        for (uint32_t node = 1; node <= x->stored_n; node++)
            x->graph.nodes[node].flags = 0;
        x->known_n = x->stored_n;
        x->state_position = -1;
    }
    forget_numbers(x);
    x->has_all_numbers = false;
}

/* ---- loading ---- */

static void auth_index_fill(void *ctx, uint32_t node, const uint32_t *cites, size_t n,
                            uint32_t power)
{
    struct auth_index *x = ctx;
    if (node == x->graph.from - 1)
        auth_graph_fill(&x->graph, cites, n, power);
}

static const struct err *auth_index_load(struct auth_graph *g, uint32_t node)
{
    struct auth_index *x = (struct auth_index *)((char *)g - offsetof(struct auth_index, graph));
    size_t loaded = g->n + 1 - g->from, more = 3 * loaded;
    more = more < PAGE ? PAGE : more > PAGE_MAX ? PAGE_MAX : more;
    uint32_t to = g->from - 1, from = to > more ? to - (uint32_t)more : 0;
    arena_auto struct arena *a = arena_create(); /* for large results */
    struct arena *was = x->job->arena;
    job_use_arena(x->job, a);
    const struct err *e = auth_nodes_page(job_tx(x->job), x->room_id, from, to, auth_index_fill, x);
    job_use_arena(x->job, was);
    return e;
}

static const struct err *auth_index_make(struct job *job, struct room *room,
                                         struct auth_index **ret)
{
    uint32_t newest;
    bool lacks, came;
    TRY(auth_nodes_newest(job_tx(job), room->id, &newest, &lacks, &came));
    if (came) { /* numbers must be in order */
        TRY(auth_nodes_drop(job_tx(job), room->id));
        newest = 0;
        lacks = false;
    }
    struct auth_index *x = mem_zalloc(sizeof *x);
    auth_graph_init(&x->graph, newest);
    x->graph.load = auth_index_load;
    x->room_id = room->id;
    x->entry.key = cache_key_int(&x->room_id);
    x->stored_n = x->known_n = newest;
    x->state_position = -1;
    x->lacks = lacks;
    x->has_all_numbers = newest == 0;
    *ret = x;
    return NULL;
}

/* ---- all of them ---- */

static void auth_index_destroy_entry(struct cache_entry *e)
{
    auth_index_destroy((struct auth_index *)e);
}

static const struct cache_kind auth_index_kind = {.name = "auth_events",
                                                  .rank = RANK_CACHE,
                                                  .share = 8,
                                                  .by_id = true,
                                                  .destroy = auth_index_destroy_entry};

static struct auth_index *auth_index_take(struct auth_indexes *all, int64_t room,
                                          uint64_t *ret_epoch)
{
    CACHE_LOCKED(&all->cache);
    struct auth_index *x = cache_find_locked(&all->cache, cache_key_int(&room));
    *ret_epoch = cache_epoch_locked(&all->cache);
    if (x)
        cache_take_locked(&all->cache, &x->entry);
    return x;
}

static bool give_locked(struct auth_indexes *all, struct auth_index *x)
{
    if (x->epoch != cache_epoch_locked(&all->cache) || cache_peek_locked(&all->cache, x->entry.key))
        return false;
    x->entry.bytes = auth_index_bytes_of(x);
    cache_add_locked(&all->cache, &x->entry);
    return true;
}

static void give(struct auth_indexes *all, struct auth_index *x)
{
    cache_lock(&all->cache);
    bool is_kept = give_locked(all, x);
    cache_unlock(&all->cache);
    if (!is_kept)
        auth_index_destroy(x);
}

/* Assigns the numbers again if nodes lacked auth events that have been stored since. */
static const struct err *auth_index_renew(struct job *job, struct room *room, struct auth_index **x)
{
    uint32_t newest;
    bool lacks, came;
    TRY(auth_nodes_newest(job_tx(job), room->id, &newest, &lacks, &came));
    if (!came)
        return NULL;
    auth_index_destroy(*x);
    *x = NULL;
    return auth_index_make(job, room, x);
}

const struct err *auth_index_open(struct job *job, struct room *room, struct lookup *lookup,
                                  struct auth_index **ret)
{
    uint64_t epoch;
    const struct err *e = NULL;
    struct auth_index *x = auth_index_take(job->rooms->auth_indexes, room->id, &epoch);
    if (!x)
        TRY(auth_index_make(job, room, &x));
    else if (x->lacks)
        e = auth_index_renew(job, room, &x);
    if (x) {
        x->job = job;
        x->room = room;
        x->lookup = lookup;
        x->epoch = epoch;
    }
    if (e && x)
        auth_index_close(x, false);
    if (!e)
        *ret = x;
    return e;
}

void auth_index_close(struct auth_index *x, bool is_good)
{
    struct auth_indexes *all = x->job->rooms->auth_indexes;
    auth_index_trim(x);
    x->job = NULL;
    x->room = NULL;
    x->lookup = NULL;
    if (is_good)
        give(all, x);
    else
        auth_index_destroy(x);
}

void auth_indexes_forget(struct auth_indexes *all, int64_t room)
{
    CACHE_LOCKED(&all->cache);
    struct auth_index *x = cache_peek_locked(&all->cache, cache_key_int(&room));
    if (x)
        cache_drop_locked(&all->cache, &x->entry);
    else
        cache_move_epoch_locked(&all->cache); /* a job may be using it */
}

void auth_indexes_forget_event(struct auth_indexes *all, int64_t room, const char *event_id)
{
    CACHE_LOCKED(&all->cache);
    struct auth_index *x = cache_peek_locked(&all->cache, cache_key_int(&room));
    struct auth_index_event *kept = x ? map_remove(&x->events, str_of(event_id)) : NULL;
    if (!kept)
        return;
    size_t bytes = sizeof *kept + event_bytes(kept->event) + MAP_BYTES;
    x->events_bytes -= bytes;
    cache_resize_locked(&all->cache, &x->entry, x->entry.bytes - bytes);
    if (kept->node)
        map_remove_int(&x->by_node, kept->node);
    event_unref(kept->event);
    free(kept);
}

void auth_indexes_on_changes(void *ctx, const struct change *changes, size_t n)
{
    struct auth_indexes *all = ctx;
    if (!n) /* else auth_index_find reads the changes */
        cache_forget_all(&all->cache);
}

struct auth_indexes *auth_indexes_create(struct node *node)
{
    struct auth_indexes *all = mem_zalloc(sizeof *all);
    cache_init(&all->cache, node->caches, &auth_index_kind, NULL);
    return all;
}

void auth_indexes_destroy(struct auth_indexes *all)
{
    if (!all)
        return;
    cache_finish(&all->cache);
    free(all);
}
