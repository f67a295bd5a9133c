/* State resolution: the parts that all versions share: finding conflicts, the state for checks, and
 * the outcome. */
#include "matrix/auth/state_res_internal.h"

void res_list_add(struct arena *a, struct res_list *list, struct res_node *node)
{
    if (list->n == list->size) {
        size_t size = list->size ? 2 * list->size : 64;
        struct res_node **nodes = arena_alloc_array(a, size, sizeof *nodes);
        if (list->n)
            memcpy(nodes, list->nodes, list->n * sizeof *nodes);
        list->nodes = nodes;
        list->size = size;
    }
    list->nodes[list->n++] = node;
}

struct res_node *res_node_of(struct res *r, const char *event_id)
{
    struct res_node *node = map_get(&r->nodes, str_of(event_id));
    if (node)
        return node;
    node = arena_alloc(r->a, sizeof *node + r->words * sizeof *node->in_chain_of);
    bool rejected = false;
    node->e = r->source->get_event(r->source->ctx, event_id, &rejected);
    node->rejected = rejected;
    node->id = event_id;
    map_put(&r->nodes, str_of(event_id), node);
    return node;
}

bool res_is(const struct res_node *node, const char *type, const char *state_key)
{
    const struct event *e = node->e;
    return e && e->state_key && strcmp(e->type, type) == 0 && strcmp(e->state_key, state_key) == 0;
}

static struct str slot_key(struct res *r, const char *type, const char *state_key)
{
    buf_clear(&r->key);
    buf_add(&r->key, type, strlen(type) + 1);
    buf_add_text(&r->key, state_key);
    return buf_str(&r->key);
}

static struct res_slot *make_slot(struct res *r, const char *type, const char *state_key)
{
    struct str key = slot_key(r, type, state_key);
    struct res_slot *slot = map_get(&r->slots, key);
    if (slot)
        return slot;
    slot = arena_alloc(r->a, sizeof *slot);
    key.p = arena_memdup(r->a, key.p, key.n);
    slot->type = key.p;
    slot->state_key = key.p + strlen(type) + 1;
    map_put(&r->slots, key, slot);
    *r->last_slot = slot;
    r->last_slot = &slot->next;
    return slot;
}

/* A slot that no set has is made when it is first needed. */
struct res_slot *res_find_slot(struct res *r, const char *type, const char *state_key)
{
    struct res_slot *slot = map_get(&r->slots, slot_key(r, type, state_key));
    if (slot || !r->source->agreed || r->v->state_res == STATE_RES_V2_1)
        return slot; /* v2.1 starts with the empty state */
    const char *id = r->source->agreed(r->source->ctx, type, state_key);
    if (!id)
        return NULL;
    slot = make_slot(r, type, state_key);
    slot->agreed_id = id;
    slot->unconflicted = true;
    slot->id = id;
    return slot;
}

void res_apply(struct res *r, const struct event *e)
{
    struct res_slot *slot = res_find_slot(r, e->type, e->state_key);
    if (!slot)
        slot = make_slot(r, e->type, e->state_key);
    slot->id = e->event_id;
}

struct res_node *res_create_of(struct res *r, const struct event *e)
{
    char id[EVENT_KEY_MAX + 1];
    size_t n = strlen(e->room_id);
    if (!r->v->room_id_is_create_hash || n < 2 || n >= sizeof id)
        return NULL;
    memcpy(id, e->room_id, n + 1);
    id[0] = '$';
    struct res_node *create = map_get(&r->nodes, (struct str){id, n});
    return create ? create : res_node_of(r, arena_strdup(r->a, id));
}

/* The state that an event is checked against. */
struct judged_by {
    struct auth_state state;
    struct res *r;
    struct res_node *node;
    bool use_auth_events;
};

static const struct event *find_for_auth(const struct auth_state *s, const char *type,
                                         const char *state_key)
{
    struct judged_by *j = s->ctx;
    struct res_slot *slot = res_find_slot(j->r, type, state_key);
    if (slot && slot->id) {
        struct res_node *node = res_node_of(j->r, slot->id);
        if (node->e)
            return node->e;
    }
    if (!j->use_auth_events)
        return NULL;
    for (size_t i = 0; i < j->node->auth_n; i++) {
        const struct res_node *auth = j->node->auth[i];
        if (!auth->rejected && res_is(auth, type, state_key))
            return auth->e;
    }
    if (!j->r->v->room_id_is_create_hash || strcmp(type, "m.room.create") != 0)
        return NULL;
    struct res_node *create = res_create_of(j->r, j->node->e);
    return create && !create->rejected && res_is(create, type, state_key) ? create->e : NULL;
}

bool res_allows(struct res *r, struct res_node *node, bool use_auth_events)
{
    if (use_auth_events)
        res_expand(r, &node, 1);
    struct judged_by j = {.r = r, .node = node, .use_auth_events = use_auth_events};
    j.state = (struct auth_state){.get = find_for_auth, .ctx = &j};
    return auth_check(node->e, &j.state) == NULL;
}

/* The keys of agreed state that events are checked against. */
struct asked {
    struct res *r;
    struct state_key *keys;
    size_t n;
    struct map seen;
};

static void state_res_ask(void *ctx, const char *type, const char *state_key)
{
    struct asked *asked = ctx;
    struct str key = slot_key(asked->r, type, state_key);
    if (map_get(&asked->r->slots, key) || map_get(&asked->seen, key))
        return;
    key.p = arena_memdup(asked->r->a, key.p, key.n);
    map_put(&asked->seen, key, asked);
    asked->keys[asked->n++] = (struct state_key){key.p, key.p + strlen(key.p) + 1};
}

void res_prepare(struct res *r, const struct res_list *list)
{
    enum { KEYS_OF_AN_EVENT = 16 };
    if (!r->source->prefetch_agreed || r->v->state_res == STATE_RES_V2_1)
        return;
    struct asked asked = {.r = r};
    asked.keys = arena_alloc_array(r->a, list->n * KEYS_OF_AN_EVENT + 1, sizeof *asked.keys);
    for (size_t i = 0; i < list->n; i++) {
        const struct event *e = list->nodes[i]->e;
        bool is_member = strcmp(e->type, "m.room.member") == 0;
        auth_events_for(r->v, e->type, e->sender, e->state_key, is_member ? event_content(e) : NULL,
                        state_res_ask, &asked);
    }
    if (asked.n)
        r->source->prefetch_agreed(r->source->ctx, asked.keys, asked.n);
    map_finish(&asked.seen);
}

/* Adds the sets to the slots. In v1 only different events are in conflict, from v2 on also a key
 * that some sets lack. Returns whether there is any conflict. */
static bool add_sets(struct res *r)
{
    for (size_t i = 0; i < r->sets_n; i++) {
        for (size_t k = 0; k < r->sets[i].n; k++) {
            const struct state_entry *entry = &r->sets[i].entries[k];
            struct res_slot *slot = make_slot(r, entry->type, entry->state_key);
            if (slot->sets_n == 0)
                slot->agreed_id = entry->event_id;
            else if (slot->agreed_id && strcmp(slot->agreed_id, entry->event_id) != 0)
                slot->agreed_id = NULL;
            if (slot->sets_n == 0 || slot->last_set != i)
                slot->sets_n++;
            slot->last_set = i;
        }
    }
    bool conflict = false;
    for (struct res_slot *slot = r->first_slot; slot; slot = slot->next) {
        slot->unconflicted =
            slot->agreed_id && (slot->sets_n == r->sets_n || r->v->state_res == STATE_RES_V1);
        conflict = conflict || !slot->unconflicted;
    }
    return conflict;
}

static void prefetch_conflicted(struct res *r)
{
    if (!r->source->prefetch)
        return;
    size_t n = 0, total = 0;
    for (size_t i = 0; i < r->sets_n; i++)
        total += r->sets[i].n;
    const char **ids = arena_alloc_array(r->a, total, sizeof *ids);
    for (size_t i = 0; i < r->sets_n; i++) {
        for (size_t k = 0; k < r->sets[i].n; k++) {
            const struct state_entry *entry = &r->sets[i].entries[k];
            if (!res_find_slot(r, entry->type, entry->state_key)->unconflicted)
                ids[n++] = entry->event_id;
        }
    }
    r->source->prefetch(r->source->ctx, ids, n);
}

static void add_candidate(struct res *r, struct res_slot *slot, struct res_node *node)
{
    for (struct res_candidate *c = slot->candidates; c; c = c->next)
        if (c->node == node)
            return;
    struct res_candidate *c = arena_alloc(r->a, sizeof *c);
    *c = (struct res_candidate){node, slot->candidates};
    slot->candidates = c;
    if (!node->conflicted)
        res_list_add(r->a, &r->conflicted, node);
    node->conflicted = true;
}

/* An event that is not stored cannot be checked, and one with another type or key than the set says
 * must not be: both count as absent. */
static void collect_conflicted(struct res *r)
{
    prefetch_conflicted(r);
    for (size_t i = 0; i < r->sets_n; i++) {
        for (size_t k = 0; k < r->sets[i].n; k++) {
            const struct state_entry *entry = &r->sets[i].entries[k];
            struct res_slot *slot = res_find_slot(r, entry->type, entry->state_key);
            if (slot->unconflicted)
                continue;
            struct res_node *node = res_node_of(r, entry->event_id);
            if (res_is(node, entry->type, entry->state_key))
                add_candidate(r, slot, node);
        }
    }
}

static void write_outcome(const struct res *r, struct state_set *ret)
{
    size_t n = 0;
    for (const struct res_slot *slot = r->first_slot; slot; slot = slot->next)
        n++;
    struct state_entry *entries = arena_alloc_array(r->a, n, sizeof *entries);
    n = 0;
    for (const struct res_slot *slot = r->first_slot; slot; slot = slot->next) {
        /* The agreed ids are the sets' own strings, the others may be an event's. */
        const char *id = slot->unconflicted ? slot->agreed_id
                         : slot->id         ? arena_strdup(r->a, slot->id)
                                            : NULL;
        if (id)
            entries[n++] = (struct state_entry){slot->type, slot->state_key, id};
    }
    *ret = (struct state_set){entries, n};
}

const struct err *state_resolve(struct arena *a, const struct room_version *v,
                                const struct state_res_source *source, const struct state_set *sets,
                                size_t n, struct state_set *ret)
{
    struct res r = {.a = a, .v = v, .source = source, .sets = sets, .sets_n = n};
    r.words = (n + 63) / 64;
    r.last_slot = &r.first_slot;
    const struct err *e = NULL;
    if (add_sets(&r)) {
        collect_conflicted(&r);
        e = v->state_res == STATE_RES_V1 ? res_resolve_v1(&r) : res_resolve_v2(&r);
    }
    if (!e)
        write_outcome(&r, ret);
    map_finish(&r.nodes);
    map_finish(&r.slots);
    buf_finish(&r.key);
    return e;
}
