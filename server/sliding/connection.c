#include "server/sliding/connection.h"

#include "base/mem.h"

#include <assert.h>
#include <stdlib.h>

enum { FORM = 1, REMOVED = UINT16_MAX };

/* ---- states ---- */

/* One piece of memory with copies of all. */
static struct sliding_state *state_create(int64_t number, const struct sliding_sent *rooms,
                                          size_t rooms_n, const struct str *configs,
                                          size_t configs_n)
{
    size_t texts = 0;
    for (size_t i = 0; i < configs_n; i++)
        texts += configs[i].n;
    size_t bytes = sizeof(struct sliding_state) + rooms_n * sizeof *rooms +
                   configs_n * sizeof *configs + texts;
    struct sliding_state *s = mem_zalloc(bytes);
    struct sliding_sent *own_rooms = (struct sliding_sent *)(s + 1);
    struct str *own_configs = (struct str *)(own_rooms + rooms_n);
    char *text = (char *)(own_configs + configs_n);
    if (rooms_n)
        memcpy(own_rooms, rooms, rooms_n * sizeof *rooms);
    for (size_t i = 0; i < configs_n; i++) {
        memcpy(text, configs[i].p, configs[i].n);
        own_configs[i] = (struct str){text, configs[i].n};
        text += configs[i].n;
    }
    s->number = number;
    s->rooms = own_rooms;
    s->rooms_n = rooms_n;
    s->configs = own_configs;
    s->configs_n = configs_n;
    s->bytes = bytes;
    s->refs = 1;
    return s;
}

struct sliding_state *sliding_state_ref(const struct sliding_state *s)
{
    struct sliding_state *own = (struct sliding_state *)s;
    __atomic_add_fetch(&own->refs, 1, __ATOMIC_RELAXED);
    return own;
}

void sliding_state_unref(struct sliding_state *s)
{
    if (s && __atomic_sub_fetch(&s->refs, 1, __ATOMIC_ACQ_REL) == 0)
        free(s);
}

const struct sliding_sent *sliding_state_find(const struct sliding_state *s, int64_t room)
{
    size_t low = 0, high = s->rooms_n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (s->rooms[middle].room < room)
            low = middle + 1;
        else
            high = middle;
    }
    return low < s->rooms_n && s->rooms[low].room == room ? &s->rooms[low] : NULL;
}

/* ---- codes ---- */

static void state_add_number(struct buf *b, uint64_t v)
{
    for (; v >= 0x80; v >>= 7)
        buf_add_char(b, (char)(v | 0x80));
    buf_add_char(b, (char)v);
}

static bool state_read_number(struct str *at, uint64_t max, uint64_t *ret)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 64 && at->n; shift += 7) {
        unsigned char c = (unsigned char)*at->p;
        *at = (struct str){at->p + 1, at->n - 1};
        v |= (uint64_t)(c & 0x7f) << shift;
        if (!(c & 0x80)) {
            *ret = v;
            return v <= max;
        }
    }
    return false;
}

void sliding_state_encode(const struct sliding_state *s, struct buf *out)
{
    int64_t last = 0;
    buf_add_char(out, FORM);
    state_add_number(out, s->configs_n);
    for (size_t i = 0; i < s->configs_n; i++) {
        state_add_number(out, s->configs[i].n);
        buf_add_str(out, s->configs[i]);
    }
    state_add_number(out, s->rooms_n);
    for (size_t i = 0; i < s->rooms_n; i++) {
        const struct sliding_sent *r = &s->rooms[i];
        state_add_number(out, (uint64_t)(r->room - last));
        state_add_number(out, (uint64_t)r->config << 2 | (r->is_dm ? 2u : 0) | (r->until ? 1u : 0));
        state_add_number(out, r->timeline_limit);
        if (r->until)
            state_add_number(out, (uint64_t)r->until);
        last = r->room;
    }
}

static bool state_read_configs(struct str *at, struct str *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint64_t bytes;
        if (!state_read_number(at, at->n, &bytes) || bytes > at->n)
            return false;
        list[i] = (struct str){at->p, bytes};
        *at = (struct str){at->p + bytes, at->n - bytes};
    }
    return true;
}

static bool state_read_room(struct str *at, int64_t after, size_t configs_n,
                            struct sliding_sent *ret)
{
    uint64_t distance, config, limit, until = 0;
    if (!state_read_number(at, (uint64_t)(INT64_MAX - after), &distance) || !distance ||
        !state_read_number(at, SLIDING_CONFIGS_MAX << 2, &config) || config >> 2 >= configs_n ||
        !state_read_number(at, UINT16_MAX, &limit) ||
        (config & 1 && !state_read_number(at, INT64_MAX, &until)))
        return false;
    *ret = (struct sliding_sent){.room = after + (int64_t)distance,
                                 .until = (int64_t)until,
                                 .config = (uint16_t)(config >> 2),
                                 .timeline_limit = (uint16_t)limit,
                                 .is_dm = config & 2};
    return true;
}

struct sliding_state *sliding_state_decode(int64_t number, struct str at)
{
    arena_auto struct arena *a = arena_create();
    uint64_t configs_n, rooms_n;
    if (!at.n || *at.p != FORM || at.n > SLIDING_STATE_BYTES_MAX)
        return NULL;
    at = (struct str){at.p + 1, at.n - 1};
    if (!state_read_number(&at, SLIDING_CONFIGS_MAX, &configs_n))
        return NULL;
    struct str *configs = arena_alloc_array(a, configs_n + 1, sizeof *configs);
    if (!state_read_configs(&at, configs, configs_n) || !state_read_number(&at, at.n, &rooms_n))
        return NULL;
    struct sliding_sent *rooms = arena_alloc_array(a, rooms_n + 1, sizeof *rooms);
    for (size_t i = 0; i < rooms_n; i++)
        if (!state_read_room(&at, i ? rooms[i - 1].room : 0, configs_n, &rooms[i]))
            return NULL;
    return at.n ? NULL : state_create(number, rooms, rooms_n, configs, configs_n);
}

/* ---- drafts ---- */

void sliding_draft_init(struct sliding_draft *d, struct arena *a, const struct sliding_state *base)
{
    *d = (struct sliding_draft){.arena = a, .base = base};
}

static void *draft_grow(struct sliding_draft *d, void *list, size_t n, size_t *cap, size_t size)
{
    if (n < *cap)
        return list;
    *cap = *cap ? *cap * 2 : 16;
    void *grown = arena_alloc_array(d->arena, *cap, size);
    if (n)
        memcpy(grown, list, n * size);
    return grown;
}

struct str sliding_draft_code(const struct sliding_draft *d, uint16_t config)
{
    return config < d->base->configs_n ? d->base->configs[config]
                                       : d->configs[config - d->base->configs_n];
}

uint16_t sliding_draft_config(struct sliding_draft *d, struct str code)
{
    size_t n = d->base->configs_n + d->configs_n;
    for (size_t i = 0; i < n; i++)
        if (str_eq(sliding_draft_code(d, (uint16_t)i), code))
            return (uint16_t)i;
    d->configs = draft_grow(d, d->configs, d->configs_n, &d->configs_cap, sizeof *d->configs);
    d->configs[d->configs_n++] = code;
    return (uint16_t)n;
}

void sliding_draft_put(struct sliding_draft *d, const struct sliding_sent *sent)
{
    d->changes = draft_grow(d, d->changes, d->changes_n, &d->changes_cap, sizeof *d->changes);
    d->changes[d->changes_n++] = *sent;
}

void sliding_draft_remove(struct sliding_draft *d, int64_t room)
{
    sliding_draft_put(d, &(struct sliding_sent){.room = room, .config = REMOVED});
}

bool sliding_draft_is_empty(const struct sliding_draft *d)
{
    return !d->changes_n;
}

static int draft_by_room(const void *x, const void *y)
{
    const struct sliding_sent *a = x, *b = y;
    return a->room < b->room ? -1 : a->room > b->room;
}

static size_t draft_merge(struct sliding_draft *d, struct sliding_sent *out)
{
    const struct sliding_state *base = d->base;
    size_t n = 0, i = 0, j = 0;
    if (d->changes_n)
        qsort(d->changes, d->changes_n, sizeof *d->changes, draft_by_room);
    while (i < base->rooms_n || j < d->changes_n) {
        bool is_kept =
            j == d->changes_n || (i < base->rooms_n && base->rooms[i].room < d->changes[j].room);
        if (is_kept) {
            out[n++] = base->rooms[i++];
            continue;
        }
        i += i < base->rooms_n && base->rooms[i].room == d->changes[j].room;
        if (d->changes[j].config != REMOVED)
            out[n++] = d->changes[j];
        j++;
    }
    return n;
}

struct sliding_state *sliding_draft_finish(struct sliding_draft *d, int64_t number)
{
    size_t max = d->base->configs_n + d->configs_n, configs_n = 0;
    struct sliding_sent *rooms =
        arena_alloc_array(d->arena, d->base->rooms_n + d->changes_n + 1, sizeof *rooms);
    struct str *configs = arena_alloc_array(d->arena, max + 1, sizeof *configs);
    int *moved = arena_alloc_array(d->arena, max + 1, sizeof *moved); /* 1 + the new place */
    size_t n = draft_merge(d, rooms);
    for (size_t i = 0; i < n; i++) { /* configs that no room has any more are left out */
        uint16_t was = rooms[i].config;
        if (!moved[was]) {
            configs[configs_n] = sliding_draft_code(d, was);
            moved[was] = (int)++configs_n;
        }
        rooms[i].config = (uint16_t)(moved[was] - 1);
    }
    return state_create(number, rooms, n, configs, configs_n);
}
