#include "federation/early_pdus.h"

#include "base/lock.h"
#include "base/map.h"
#include "base/mem.h"

enum {
    OF_ROOM_MAX = 500,
    BYTES_MAX = 16 << 20 /* of all rooms */
};

struct kept {
    struct kept *next;
    char *origin, *raw;
    size_t raw_n;
};

struct joining {
    char *room_id;
    struct kept *first, **last;
    size_t n;
};

struct early_pdus {
    struct lock lock;
    struct map rooms; /* room id -> struct joining */
    size_t bytes;
};

struct early_pdus *early_pdus_create(void)
{
    struct early_pdus *e = mem_zalloc(sizeof *e);
    lock_init(&e->lock, RANK_LEAF);
    return e;
}

static struct kept *free_first(struct early_pdus *e, struct kept *k)
{
    struct kept *next = k->next;
    e->bytes -= k->raw_n;
    free(k->origin);
    free(k->raw);
    free(k);
    return next;
}

static void drop_room(struct early_pdus *e, struct joining *j)
{
    while (j->first)
        j->first = free_first(e, j->first);
    free(j->room_id);
    free(j);
}

void early_pdus_destroy(struct early_pdus *e)
{
    if (!e)
        return;
    for (struct map_slot *s = NULL; (s = map_next(&e->rooms, s));)
        drop_room(e, s->value);
    map_finish(&e->rooms);
    lock_finish(&e->lock);
    free(e);
}

void early_pdus_begin(struct early_pdus *e, const char *room_id)
{
    LOCKED(&e->lock);
    struct joining *j = mem_zalloc(sizeof *j);
    j->room_id = mem_strdup(room_id);
    j->last = &j->first;
    map_put(&e->rooms, str_of(j->room_id), j);
}

static void append(struct early_pdus *e, struct joining *j, const char *origin, struct str raw)
{
    struct kept *k = mem_zalloc(sizeof *k);
    k->origin = mem_strdup(origin);
    k->raw = mem_alloc(raw.n + 1);
    memcpy(k->raw, raw.p, raw.n);
    k->raw_n = raw.n;
    e->bytes += raw.n;
    j->n++;
    *j->last = k;
    j->last = &k->next;
}

bool early_pdus_keep(struct early_pdus *e, const char *room_id, const char *origin,
                     const struct str *raw, size_t n)
{
    LOCKED(&e->lock);
    struct joining *j = map_get(&e->rooms, str_of(room_id));
    size_t bytes = 0;
    for (size_t i = 0; i < n; i++)
        bytes += raw[i].n;
    if (!j || j->n + n > OF_ROOM_MAX || e->bytes + bytes > BYTES_MAX)
        return false;
    for (size_t i = 0; i < n; i++)
        append(e, j, origin, raw[i]);
    return true;
}

struct early_pdu *early_pdus_take(struct early_pdus *e, struct arena *a, const char *room_id,
                                  size_t *ret_n)
{
    LOCKED(&e->lock);
    struct joining *j = map_remove(&e->rooms, str_of(room_id));
    size_t n = 0;
    struct early_pdu *list = arena_alloc_array(a, j->n + 1, sizeof *list);
    for (const struct kept *k = j->first; k; k = k->next)
        list[n++] = (struct early_pdu){arena_strdup(a, k->origin),
                                       {arena_memdup(a, k->raw, k->raw_n), k->raw_n}};
    drop_room(e, j);
    *ret_n = n;
    return list;
}
