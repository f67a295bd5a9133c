#include "federation/in/early_pdus.h"

#include "base/lock.h"
#include "base/map.h"
#include "base/mem.h"

enum {
    OF_ROOM_MAX = 500,
    OF_ROOM_AND_ORIGIN_MAX = 250,
    BYTES_MAX = 16 << 20, /* of all rooms */
    OF_ORIGIN_BYTES_MAX = 4 << 20
};

/* A server with kept PDUs. */
struct source {
    char *name;
    size_t n, bytes;
};

struct kept {
    struct kept *next;
    struct source *source;
    char *raw;
    size_t raw_n;
};

struct joining {
    char *room_id;
    struct kept *first, **last;
    size_t n;
    struct joining *next; /* list of rooms with PDUs put back */
};

struct early_pdus {
    struct lock lock;
    struct map rooms;   /* room id -> struct joining */
    struct map sources; /* server -> struct source */
    size_t bytes;
    struct joining *put_back;
};

struct early_pdus *early_pdus_create(void)
{
    struct early_pdus *e = mem_zalloc(sizeof *e);
    lock_init(&e->lock, RANK_LEAF);
    return e;
}

/* ---- the sources, the lock held ---- */

static struct source *source_locked(struct early_pdus *e, const char *name)
{
    struct source *s = map_get(&e->sources, str_of(name));
    if (s)
        return s;
    s = mem_zalloc(sizeof *s);
    s->name = mem_strdup(name);
    map_put(&e->sources, str_of(s->name), s);
    return s;
}

static void leave_locked(struct early_pdus *e, struct source *s, size_t bytes)
{
    s->bytes -= bytes;
    if (--s->n)
        return;
    map_remove(&e->sources, str_of(s->name));
    free(s->name);
    free(s);
}

/* ---- what is kept, the lock held ---- */

static struct kept *free_first(struct early_pdus *e, struct kept *k)
{
    struct kept *next = k->next;
    e->bytes -= k->raw_n;
    leave_locked(e, k->source, k->raw_n);
    free(k->raw);
    free(k);
    return next;
}

static struct joining *joining_create(const char *room_id)
{
    struct joining *j = mem_zalloc(sizeof *j);
    j->room_id = mem_strdup(room_id);
    j->last = &j->first;
    return j;
}

static void drop_room(struct early_pdus *e, struct joining *j)
{
    while (j->first)
        j->first = free_first(e, j->first);
    free(j->room_id);
    free(j);
}

static void early_pdus_append(struct early_pdus *e, struct joining *j, const char *origin,
                              struct str raw)
{
    struct kept *k = mem_zalloc(sizeof *k);
    k->source = source_locked(e, origin);
    k->raw = mem_alloc(raw.n + 1);
    memcpy(k->raw, raw.p, raw.n);
    k->raw_n = raw.n;
    k->source->n++;
    k->source->bytes += raw.n;
    e->bytes += raw.n;
    j->n++;
    *j->last = k;
    j->last = &k->next;
}

static struct early_pdu *early_pdus_take_locked(struct early_pdus *e, struct arena *a,
                                                struct joining *j, size_t *ret_n)
{
    size_t n = 0;
    struct early_pdu *list = arena_alloc_array(a, j->n + 1, sizeof *list);
    for (const struct kept *k = j->first; k; k = k->next)
        list[n++] = (struct early_pdu){arena_strdup(a, k->source->name),
                                       {arena_memdup(a, k->raw, k->raw_n), k->raw_n}};
    drop_room(e, j);
    *ret_n = n;
    return list;
}

/* True if the bounds allow so many more of that server: neither it nor a room uses up all of the
 * space. */
static bool has_room_locked(struct early_pdus *e, const struct joining *j, const char *origin,
                            size_t n, size_t bytes)
{
    const struct source *s = map_get(&e->sources, str_of(origin));
    size_t of_both = 0;
    for (const struct kept *k = j->first; k; k = k->next)
        of_both += k->source == s;
    return j->n + n <= OF_ROOM_MAX && of_both + n <= OF_ROOM_AND_ORIGIN_MAX &&
           e->bytes + bytes <= BYTES_MAX && (s ? s->bytes : 0) + bytes <= OF_ORIGIN_BYTES_MAX;
}

/* ---- the interface ---- */

void early_pdus_destroy(struct early_pdus *e)
{
    if (!e)
        return;
    for (struct map_slot *s = NULL; (s = map_next(&e->rooms, s));)
        drop_room(e, s->value);
    for (struct joining *next, *j = e->put_back; j; j = next) {
        next = j->next;
        drop_room(e, j);
    }
    map_finish(&e->rooms);
    map_finish(&e->sources);
    lock_finish(&e->lock);
    free(e);
}

void early_pdus_begin(struct early_pdus *e, const char *room_id)
{
    LOCKED(&e->lock);
    struct joining *j = joining_create(room_id);
    map_put(&e->rooms, str_of(j->room_id), j);
}

bool early_pdus_keep(struct early_pdus *e, const char *room_id, const char *origin,
                     const struct str *raw, size_t n)
{
    LOCKED(&e->lock);
    struct joining *j = map_get(&e->rooms, str_of(room_id));
    size_t bytes = 0;
    for (size_t i = 0; i < n; i++)
        bytes += raw[i].n;
    if (!j || !has_room_locked(e, j, origin, n, bytes))
        return false;
    for (size_t i = 0; i < n; i++)
        early_pdus_append(e, j, origin, raw[i]);
    return true;
}

struct early_pdu *early_pdus_take(struct early_pdus *e, struct arena *a, const char *room_id,
                                  size_t *ret_n)
{
    LOCKED(&e->lock);
    return early_pdus_take_locked(e, a, map_remove(&e->rooms, str_of(room_id)), ret_n);
}

void early_pdus_put_back(struct early_pdus *e, const char *room_id, const struct early_pdu *pdus,
                         size_t n)
{
    LOCKED(&e->lock);
    struct joining *j = joining_create(room_id), **last = &e->put_back;
    for (size_t i = 0; i < n; i++)
        early_pdus_append(e, j, pdus[i].origin, pdus[i].raw);
    while (*last)
        last = &(*last)->next;
    *last = j;
}

struct early_pdu *early_pdus_take_again(struct early_pdus *e, struct arena *a,
                                        const char **ret_room_id, size_t *ret_n)
{
    LOCKED(&e->lock);
    struct joining *j = e->put_back;
    if (!j)
        return NULL;
    e->put_back = j->next;
    *ret_room_id = arena_strdup(a, j->room_id);
    return early_pdus_take_locked(e, a, j, ret_n);
}
