/* Numbering auth events: those without a number are found in one walk by the database, put in
 * order, and stored. */
#include "rooms/state/auth_index.h"

#include "base/mem.h"
#include "rooms/state/state_view.h"
#include "storage/rooms/auth_nodes.h"

enum {
    FIND_AT_ONCE = 20000,
    HISTORY_AT_ONCE = 20000,
    HISTORY_MAX = 200 * 1000, /* further events are found by their ids */
    WRITE_AT_ONCE = 20000,
    PENDING_MAX = 32, /* new numbers that may be unsaved: they are found again if they are lost */
    FRESH_MAX = 2000 * 1000, /* more than any room has; each takes 300 bytes for the time */
};

/* An event without a number. */
struct fresh {
    struct str id;
    const struct str *auth;
    size_t auth_n, next; /* next: index in auth, while it is on the stack */
    bool is_power, is_extra, is_missing, on_stack;
    uint32_t node;
};

struct discovery {
    struct auth_index *x;
    struct arena *arena;    /* the job's, until the end of the discovery */
    struct arena *outlives; /* the job's own, for x->extra */
    struct map found;       /* event id -> struct fresh */
    struct map history;     /* the same for events that were read ahead */
    struct fresh **fresh;   /* whose event is known */
    size_t fresh_n, fresh_cap, extra_n;
};

static const struct auth_number *number_of(const struct auth_index *x, struct str id)
{
    const struct auth_number *number = map_get(&x->numbers, id);
    return number ? number : map_get(&x->extra, id);
}

static void add_fresh(struct discovery *d, struct fresh *f)
{
    map_put(&d->found, f->id, f);
    if (f->is_missing)
        return;
    if (d->fresh_n == d->fresh_cap) {
        size_t cap = d->fresh_cap ? d->fresh_cap * 2 : 64;
        struct fresh **grown = arena_alloc_array(d->arena, cap, sizeof(struct fresh *));
        if (d->fresh_n)
            memcpy(grown, d->fresh, d->fresh_n * sizeof(struct fresh *));
        d->fresh = grown;
        d->fresh_cap = cap;
    }
    d->fresh[d->fresh_n++] = f;
    d->extra_n += f->is_extra;
}

static const struct str *auth_of(struct discovery *d, const struct event *e, size_t *ret_n)
{
    struct str *auth = arena_alloc_array(d->arena, e->auth_n + 1, sizeof *auth);
    size_t n = 0;
    for (size_t i = 0; i < e->auth_n; i++) {
        struct str id = event_id_to_bytes(d->arena, d->x->room->version, e->auth_events[i]);
        if (id.p)
            auth[n++] = id;
    }
    *ret_n = n;
    return auth;
}

static void auth_index_find_describe(struct discovery *d, struct fresh *f, const struct event *e)
{
    f->auth = auth_of(d, e, &f->auth_n);
    f->is_power = e->state_key && !*e->state_key && strcmp(e->type, "m.room.power_levels") == 0;
}

/* An event that is not stored may be one of the intake. */
static void add_unstored(struct discovery *d, struct fresh *f)
{
    const char *id = event_id_from_bytes(d->arena, d->x->room->version, f->id);
    const struct known_event *known = lookup_peek(d->x->lookup, id);
    f->is_missing = !known;
    f->is_extra = known != NULL;
    if (known)
        auth_index_find_describe(d, f, known->e.event);
}

/* Takes the events that are complete in the lookup, without a query; ret: the others. */
static size_t take_looked_up(struct discovery *d, const struct str *ids, size_t n, struct str *ret)
{
    size_t others = 0;
    for (size_t i = 0; i < n; i++) {
        const char *id = event_id_from_bytes(d->arena, d->x->room->version, ids[i]);
        const struct known_event *known = lookup_peek(d->x->lookup, id);
        bool is_extra = known && !known->is_stored && event_is_being_taken(known->e.position);
        if (!is_extra && !(known && known->is_stored && d->x->has_all_numbers)) {
            ret[others++] = ids[i];
            continue;
        }
        if (map_get(&d->found, ids[i]))
            continue;
        struct fresh *f = arena_alloc(d->arena, sizeof *f);
        *f = (struct fresh){.id = ids[i], .is_extra = is_extra};
        auth_index_find_describe(d, f, known->e.event);
        add_fresh(d, f);
    }
    return others;
}

/* ---- the first time ---- */

/* Reads all state that the room ever had, which is most of the auth chains: following ids is much
 * slower. */
static const struct err *read_history(struct discovery *d)
{
    struct auth_history_place after = {0};
    size_t n = HISTORY_AT_ONCE;
    while (n == HISTORY_AT_ONCE && d->history.n < HISTORY_MAX) {
        const struct auth_node_row *rows;
        TRY(auth_nodes_history(job_tx(d->x->job), d->x->room_id, d->x->room->version, &after,
                               HISTORY_AT_ONCE, &rows, &n));
        struct fresh *all = arena_alloc_array(d->arena, n + 1, sizeof *all);
        for (size_t i = 0; i < n; i++) {
            all[i] = (struct fresh){.id = rows[i].event_id,
                                    .auth = rows[i].auth,
                                    .auth_n = rows[i].auth_n,
                                    .is_power = rows[i].is_power};
            map_put(&d->history, all[i].id, &all[i]);
        }
    }
    return NULL;
}

static bool take_from_history(struct discovery *d, struct str id)
{
    struct fresh *f = map_get(&d->history, id);
    if (f && !number_of(d->x, id) && !map_get(&d->found, id))
        add_fresh(d, f);
    return f != NULL;
}

/* Takes events from the history that are in the auth chains of those found from `from` on. */
static void take_chains_from_history(struct discovery *d, size_t from)
{
    for (size_t i = from; d->history.n && i < d->fresh_n; i++)
        for (size_t k = 0; k < d->fresh[i]->auth_n; k++)
            take_from_history(d, d->fresh[i]->auth[k]);
}

/* ---- by their ids ---- */

static void take_row(struct discovery *d, const struct auth_node_row *row)
{
    if (row->node) {
        auth_index_remember(d->x, row->event_id, row->node, row->is_power);
        return;
    }
    /* Pending numbers are not in the database. */
    if (number_of(d->x, row->event_id) || map_get(&d->found, row->event_id))
        return;
    struct fresh *f = arena_alloc(d->arena, sizeof *f);
    *f = (struct fresh){
        .id = row->event_id, .auth = row->auth, .auth_n = row->auth_n, .is_power = row->is_power};
    if (!row->is_stored)
        add_unstored(d, f);
    add_fresh(d, f);
}

/* Lists unknown events that those found from `from` on cite, and the unknown ones of `others`. */
static size_t list_wanted(struct discovery *d, size_t from, const struct str *others,
                          size_t others_n, const struct str **ret)
{
    size_t most = others_n + 1, n = 0;
    for (size_t i = from; i < d->fresh_n; i++)
        most += d->fresh[i]->auth_n;
    struct str *ids = arena_alloc_array(d->arena, most, sizeof *ids);
    for (; n < others_n; n++)
        ids[n] = others[n];
    for (size_t i = from; i < d->fresh_n; i++)
        for (size_t k = 0; k < d->fresh[i]->auth_n; k++) {
            struct str id = d->fresh[i]->auth[k];
            if (!number_of(d->x, id) && !map_get(&d->found, id))
                ids[n++] = id;
        }
    *ret = ids;
    return n;
}

static const struct err *find_all(struct discovery *d, const struct str *ids, size_t n)
{
    struct str *others = arena_alloc_array(d->arena, n + 1, sizeof *others);
    const struct str *next;
    n = take_looked_up(d, ids, n, others);
    if (!d->x->graph.n) {
        TRY(read_history(d));
        size_t left = 0;
        for (size_t i = 0; i < n; i++)
            if (!take_from_history(d, others[i]))
                others[left++] = others[i];
        n = left;
    }
    take_chains_from_history(d, 0);
    n = list_wanted(d, 0, others, n, &next);
    for (size_t from = d->fresh_n; n;) {
        const struct auth_node_row *rows;
        size_t rows_n;
        TRY(auth_nodes_find(job_tx(d->x->job), d->x->room_id, d->x->room->version, next, n,
                            FIND_AT_ONCE, &rows, &rows_n));
        for (size_t i = 0; i < rows_n; i++)
            take_row(d, &rows[i]);
        if (d->fresh_n > FRESH_MAX)
            return err(ERR_TOO_LARGE, "The room's state depends on too many auth events");
        /* All of them again, as it is not known where the LIMIT ended the walk. */
        from = rows_n < FIND_AT_ONCE ? from : 0;
        take_chains_from_history(d, from);
        n = list_wanted(d, from, NULL, 0, &next);
        from = d->fresh_n;
    }
    return NULL;
}

/* ---- their order ---- */

static void add_to_graph(struct discovery *d, struct fresh *f, struct auth_node_new *row)
{
    uint32_t *cites = arena_alloc_array(d->arena, f->auth_n + 1, sizeof *cites);
    struct str *lacks = arena_alloc_array(d->arena, f->auth_n + 1, sizeof *lacks);
    *row = (struct auth_node_new){.event_id = f->id, .is_power = f->is_power};
    row->cites = cites;
    row->lacks = lacks;
    for (size_t i = 0; i < f->auth_n && i < EVENT_AUTH_MAX; i++) {
        const struct fresh *cited = map_get(&d->found, f->auth[i]);
        const struct auth_number *number = cited ? NULL : number_of(d->x, f->auth[i]);
        uint32_t node = cited ? cited->node : number ? number->node : 0;
        if (cited && cited->is_missing)
            lacks[row->lacks_n++] = f->auth[i];
        if (!node) /* it is missing, or on a cycle */
            continue;
        cites[row->cites_n++] = node;
        if (!row->power && (cited ? cited->is_power : number->is_power))
            row->power = node;
    }
    f->node = auth_graph_add(&d->x->graph, cites, row->cites_n, row->power);
    row->node = f->node;
}

/* Numbers each event after all events that it cites. */
static void auth_index_find_put_in_order(struct discovery *d, bool extra,
                                         struct auth_node_new *rows, size_t *rows_n)
{
    struct fresh **stack = arena_alloc_array(d->arena, d->fresh_n + 1, sizeof(struct fresh *));
    for (size_t i = 0; i < d->fresh_n; i++) {
        size_t depth = 0;
        if (!d->fresh[i]->node && d->fresh[i]->is_extra == extra)
            stack[depth++] = d->fresh[i];
        while (depth) {
            struct fresh *f = stack[depth - 1], *cited = NULL;
            f->on_stack = true;
            while (f->next < f->auth_n && !cited) {
                cited = map_get(&d->found, f->auth[f->next++]);
                if (cited && (cited->node || cited->on_stack || cited->is_missing ||
                              cited->is_extra != extra))
                    cited = NULL;
            }
            if (cited) {
                stack[depth++] = cited;
                continue;
            }
            add_to_graph(d, f, &rows[(*rows_n)++]);
            f->on_stack = false;
            depth--;
        }
    }
}

static const struct err *store_numbers(struct discovery *d, const struct auth_node_new *rows,
                                       size_t n)
{
    struct auth_index *x = d->x;
    for (size_t i = 0; i < n; i += WRITE_AT_ONCE) {
        size_t some = n - i < WRITE_AT_ONCE ? n - i : WRITE_AT_ONCE;
        TRY(auth_nodes_write(job_tx(x->job), x->room_id, rows + i, some));
        x->stored_n += (uint32_t)some;
    }
    x->known_n = x->stored_n;
    return NULL;
}

/* Stores the pending nodes of the graph as rows. */
static const struct err *store_pending(struct discovery *d)
{
    struct auth_index *x = d->x;
    size_t n = x->known_n - x->stored_n;
    struct auth_node_new *rows = arena_alloc_array(d->arena, n + 1, sizeof *rows);
    for (size_t i = 0; i < n; i++) {
        const struct auth_node *node = &x->graph.nodes[x->stored_n + 1 + i];
        const struct auth_number *number = x->pending[i];
        rows[i] = (struct auth_node_new){.event_id = {number->id, number->n},
                                         .node = number->node,
                                         .power = node->power,
                                         .is_power = number->is_power,
                                         .cites = node->cites,
                                         .cites_n = node->cites_n};
    }
    return n ? store_numbers(d, rows, n) : NULL;
}

static bool some_lack(const struct auth_node_new *rows, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (rows[i].lacks_n)
            return true;
    return false;
}

/* New numbers are stored many at once, as each event of a fork brings few. */
static const struct err *keep_numbers(struct discovery *d, const struct auth_node_new *rows,
                                      size_t n)
{
    struct auth_index *x = d->x;
    size_t pending_n = x->known_n - x->stored_n;
    bool lack = some_lack(rows, n);
    if (!x->pending)
        x->pending = mem_zalloc(PENDING_MAX * sizeof *x->pending);
    if (lack || pending_n + n > PENDING_MAX) {
        TRY(store_pending(d));
        pending_n = 0;
    }
    if (lack || n > PENDING_MAX)
        TRY(store_numbers(d, rows, n));
    x->lacks = x->lacks || lack;
    for (size_t i = 0; i < n; i++) {
        struct auth_number *number =
            auth_index_remember(x, rows[i].event_id, rows[i].node, rows[i].is_power);
        if (rows[i].node > x->stored_n)
            x->pending[pending_n++] = number;
    }
    x->known_n = n ? rows[n - 1].node : x->known_n;
    return NULL;
}

static void note_extra(struct discovery *d, const struct auth_node_new *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct auth_number *number = arena_alloc(d->outlives, sizeof *number + rows[i].event_id.n);
        number->node = rows[i].node;
        number->is_power = rows[i].is_power;
        number->n = (uint32_t)rows[i].event_id.n;
        memcpy(number->id, rows[i].event_id.p, rows[i].event_id.n);
        map_put(&d->x->extra, (struct str){number->id, rows[i].event_id.n}, number);
    }
}

static const struct err *discover(struct discovery *d, const struct str *ids, size_t n)
{
    size_t stored_n = 0, extra_n = 0;
    TRY(find_all(d, ids, n));
    struct auth_node_new *rows = arena_alloc_array(d->arena, d->fresh_n + 1, sizeof *rows);
    /* Stored events are numbered below those that are only for this job. Once there are any of
     * these, all auth events of the current state have numbers. */
    if (d->x->graph.n == d->x->known_n)
        auth_index_find_put_in_order(d, false, rows, &stored_n);
    TRY(keep_numbers(d, rows, stored_n));
    auth_index_find_put_in_order(d, true, rows + stored_n, &extra_n);
    note_extra(d, rows + stored_n, extra_n);
    return NULL;
}

static const struct err *discover_all(struct auth_index *x, const struct str *ids, size_t n)
{
    arena_auto struct arena *a = arena_create(); /* there may be many the first time */
    struct arena *was = x->job->arena;
    struct discovery d = {.x = x, .arena = a, .outlives = was};
    job_use_arena(x->job, a);
    const struct err *e = discover(&d, ids, n);
    job_use_arena(x->job, was);
    map_finish(&d.found);
    map_finish(&d.history);
    return e;
}

/* ---- looking them up ---- */

/* Adds unstored events that these cite, so that all are looked up in one query. */
static size_t with_unstored(struct auth_index *x, const char *const *ids, size_t n,
                            struct str **ret)
{
    struct arena *a = x->job->arena;
    struct map seen = {0};
    size_t cap = n + 16, asked = 0;
    struct str *list = arena_alloc_array(a, cap, sizeof *list);
    const char **stack = arena_alloc_array(a, cap, sizeof *stack);
    size_t depth = n;
    if (n)
        memcpy(stack, ids, n * sizeof *stack);
    while (depth) {
        const char *id = stack[--depth];
        struct str bytes = event_id_to_bytes(a, x->room->version, id);
        const struct known_event *known = lookup_peek(x->lookup, id);
        if (!bytes.p || number_of(x, bytes) || map_get(&seen, bytes))
            continue;
        map_put(&seen, bytes, (void *)id);
        size_t more = known ? known->e.event->auth_n : 0;
        if (asked + depth + more + 1 > cap) {
            cap = 2 * (asked + depth + more + 1);
            struct str *grown = arena_alloc_array(a, cap, sizeof *grown);
            const char **deeper = arena_alloc_array(a, cap, sizeof *deeper);
            if (asked)
                memcpy(grown, list, asked * sizeof *list);
            if (depth)
                memcpy(deeper, stack, depth * sizeof *stack);
            list = grown;
            stack = deeper;
        }
        list[asked++] = bytes;
        for (size_t i = 0; i < more; i++)
            stack[depth++] = known->e.event->auth_events[i];
    }
    map_finish(&seen);
    *ret = list;
    return asked;
}

/* Events that became or ceased to be current state since the last look-up. */
struct moved {
    const struct auth_node_state *list;
    size_t n;
    int64_t to; /* position */
};

static const struct err *find_moved(struct auth_index *x, struct moved *ret)
{
    *ret = (struct moved){0};
    {
        LOCKED(&x->room->lock);
        ret->to = x->room->state_position;
    }
    if (ret->to == x->state_position)
        return NULL;
    return auth_nodes_state(job_tx(x->job), x->room_id, x->state_position, &ret->list, &ret->n);
}

static void auth_index_find_mark_current(struct auth_index *x, const struct moved *moved)
{
    for (size_t i = 0; i < moved->n; i++) {
        const struct auth_node_state *s = &moved->list[i];
        const struct auth_number *number = s->node ? NULL : number_of(x, s->event_id);
        uint32_t node = s->node ? s->node : number ? number->node : 0;
        if (node && s->is_current)
            x->graph.nodes[node].flags |= AUTH_NODE_CURRENT;
        else if (node)
            x->graph.nodes[node].flags &= (uint8_t)~AUTH_NODE_CURRENT;
    }
    x->state_position = moved->to;
}

const struct err *auth_index_find(struct auth_index *x, const char *const *ids, size_t n,
                                  uint32_t *ret)
{
    struct moved moved;
    struct str *unstored;
    TRY(find_moved(x, &moved));
    size_t asked_n = with_unstored(x, ids, n, &unstored);
    struct str *asked = arena_alloc_array(x->job->arena, asked_n + moved.n + 1, sizeof *asked);
    memcpy(asked, unstored, asked_n * sizeof *asked);
    for (size_t i = 0; i < moved.n; i++)
        if (!moved.list[i].node && !number_of(x, moved.list[i].event_id))
            asked[asked_n++] = moved.list[i].event_id;
    if (asked_n)
        TRY(discover_all(x, asked, asked_n));
    auth_index_find_mark_current(x, &moved);
    for (size_t i = 0; i < n; i++) {
        struct str id = event_id_to_bytes(x->job->arena, x->room->version, ids[i]);
        const struct auth_number *number = id.p ? number_of(x, id) : NULL;
        ret[i] = number ? number->node : 0;
    }
    return NULL;
}

static const char *id_of_extra(struct auth_index *x, uint32_t node)
{
    for (struct map_slot *s = NULL; (s = map_next(&x->extra, s));) {
        const struct auth_number *number = s->value;
        if (number->node == node)
            return event_id_from_bytes(x->job->arena, x->room->version,
                                       (struct str){number->id, number->n});
    }
    return NULL;
}

static const char *id_in_memory(struct auth_index *x, uint32_t node)
{
    const struct auth_index_event *kept = map_get_int(&x->by_node, node);
    if (kept)
        return kept->event->event_id;
    if (node > x->known_n)
        return id_of_extra(x, node);
    if (node <= x->stored_n)
        return NULL;
    const struct auth_number *number = x->pending[node - x->stored_n - 1];
    return event_id_from_bytes(x->job->arena, x->room->version,
                               (struct str){number->id, number->n});
}

const struct err *auth_index_ids(struct auth_index *x, const uint32_t *nodes, size_t n,
                                 const char *const **ret, size_t *ret_n)
{
    struct arena *a = x->job->arena;
    const char **ids = arena_alloc_array(a, n + 1, sizeof *ids);
    uint32_t *unread = arena_alloc_array(a, n + 1, sizeof *unread);
    const struct known_event *found;
    const uint32_t *found_nodes;
    size_t ids_n = 0, unread_n = 0, found_n = 0;
    for (size_t i = 0; i < n; i++) {
        const char *id = id_in_memory(x, nodes[i]);
        if (id)
            ids[ids_n++] = id;
        else
            unread[unread_n++] = nodes[i];
    }
    if (unread_n)
        TRY(auth_nodes_events(job_tx(x->job), x->room_id, unread, unread_n, &found, &found_nodes,
                              &found_n));
    for (size_t i = 0; i < found_n; i++) {
        lookup_add(x->lookup, &found[i]);
        auth_index_keep(x, &found[i], found_nodes[i]);
        ids[ids_n++] = found[i].e.event->event_id;
    }
    *ret = ids;
    *ret_n = ids_n;
    return NULL;
}
