#include "rooms/state/lookup.h"

static const struct known_event absent;

static void lookup_finish(void *what)
{
    struct lookup *l = what;
    map_finish(&l->known);
    map_finish(&l->by_place);
}

struct lookup *lookup_create(struct job *job, const struct room_version *v, int64_t room)
{
    struct lookup *l = arena_alloc(job->arena, sizeof *l);
    *l = (struct lookup){.job = job, .version = v, .room = room};
    arena_defer(job->arena, lookup_finish, l);
    return l;
}

void lookup_add(struct lookup *l, const struct known_event *e)
{
    map_put(&l->known, str_of(e->e.event->event_id), (void *)e);
    map_put_int(&l->by_place, e->e.position, (void *)e);
}

const struct err *lookup_load(struct lookup *l, const char *const *ids, size_t n)
{
    const char **wanted = arena_alloc_array(l->job->arena, n + 1, sizeof *wanted);
    size_t wanted_n = 0, found;
    for (size_t i = 0; i < n; i++)
        if (!map_get(&l->known, str_of(ids[i]))) {
            wanted[wanted_n] = arena_strdup(l->job->arena, ids[i]);
            map_put(&l->known, str_of(wanted[wanted_n]), (void *)&absent);
            wanted_n++;
        }
    if (!wanted_n)
        return NULL;
    const struct known_event *list;
    TRY(events_find(job_tx(l->job), l->version, wanted, wanted_n, &list, &found));
    for (size_t i = 0; i < found; i++)
        if (list[i].e.room == l->room)
            lookup_add(l, &list[i]);
    return NULL;
}

const struct err *lookup_again(struct lookup *l, const char *const *ids, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (map_get(&l->known, str_of(ids[i])) == &absent)
            map_remove(&l->known, str_of(ids[i]));
    return lookup_load(l, ids, n);
}

void lookup_fill(struct lookup *l, const char *const *ids, size_t n,
                 const struct known_event *found, size_t found_n)
{
    for (size_t i = 0; i < n; i++)
        if (!map_get(&l->known, str_of(ids[i])))
            map_put(&l->known, str_of(ids[i]), (void *)&absent);
    for (size_t i = 0; i < found_n; i++)
        if (found[i].e.room == l->room)
            lookup_add(l, &found[i]);
}

const struct err *lookup_get(struct lookup *l, const char *id, const struct known_event **ret)
{
    const struct known_event *e = map_get(&l->known, str_of(id));
    if (!e) {
        TRY(lookup_load(l, &id, 1));
        e = map_get(&l->known, str_of(id));
    }
    *ret = e == &absent ? NULL : e;
    return NULL;
}

const struct known_event *lookup_peek(const struct lookup *l, const char *id)
{
    const struct known_event *e = map_get(&l->known, str_of(id));
    return e == &absent ? NULL : e;
}

const struct err *lookup_at(struct lookup *l, int64_t position, const struct stored_event **ret)
{
    const struct known_event *e = map_get_int(&l->by_place, position);
    if (!e)
        return events_get(job_tx(l->job), position, ret);
    *ret = &e->e;
    return NULL;
}

const struct err *lookup_load_at(struct lookup *l, const int64_t *positions, size_t n)
{
    int64_t *wanted = arena_alloc_array(l->job->arena, n + 1, sizeof *wanted);
    size_t wanted_n = 0, found;
    const struct known_event *list;
    for (size_t i = 0; i < n; i++)
        if (positions[i] && !map_get_int(&l->by_place, positions[i]))
            wanted[wanted_n++] = positions[i];
    if (!wanted_n)
        return NULL;
    TRY(events_find_at(job_tx(l->job), wanted, wanted_n, &list, &found));
    for (size_t i = 0; i < found; i++)
        if (list[i].e.room == l->room)
            lookup_add(l, &list[i]);
    return NULL;
}
