/* Storing outliers (rooms/accept/outliers.h). */
#include "rooms/accept/outliers.h"

#include "rooms/accept/accept_internal.h"
#include "storage/db/intern.h"

enum { AT_ONCE = 2500 }; /* events in one write */

struct outlier_set {
    struct job *job;
    struct room *room;
    struct lookup *lookup;
    struct intake in;           /* of the same, for the steps */
    struct map listed;          /* event id -> struct listed_event */
    const struct event **order; /* those that can be checked, parents first */
    size_t order_n;
};

/* An event of the list. */
struct listed_event {
    const struct event *event;
    size_t waits_for; /* auth events of the list that are not checked yet */
    bool lacks;       /* an auth event is neither stored nor listed */
    struct listed_event **cited_by;
    size_t cited_by_n, cited_by_cap;
};

/* ---- selection and order ---- */

static void outliers_cite(struct arena *a, struct listed_event *cited, struct listed_event *by)
{
    if (cited->cited_by_n == cited->cited_by_cap) {
        size_t cap = cited->cited_by_cap ? cited->cited_by_cap * 2 : 4;
        struct listed_event **grown = arena_alloc_array(a, cap, sizeof(struct listed_event *));
        if (cited->cited_by_n)
            memcpy(grown, cited->cited_by, cited->cited_by_n * sizeof(struct listed_event *));
        cited->cited_by = grown;
        cited->cited_by_cap = cap;
    }
    cited->cited_by[cited->cited_by_n++] = by;
    by->waits_for++;
}

static const struct err *outliers_look_up(struct outlier_set *t, const struct event *const *events,
                                          size_t n)
{
    size_t most = 1, ids_n = 0;
    for (size_t i = 0; i < n; i++)
        most += 1 + events[i]->auth_n;
    const char **ids = arena_alloc_array(t->job->arena, most, sizeof *ids);
    for (size_t i = 0; i < n; i++) {
        ids[ids_n++] = events[i]->event_id;
        for (size_t k = 0; k < events[i]->auth_n; k++)
            ids[ids_n++] = events[i]->auth_events[k];
    }
    return lookup_load(t->lookup, ids, ids_n);
}

static const struct err *outliers_list_new(struct outlier_set *t, const struct event *const *events,
                                           size_t n, struct listed_event **ret, size_t *ret_n)
{
    struct listed_event *list = arena_alloc_array(t->job->arena, n + 1, sizeof *list);
    size_t listed = 0;
    for (size_t i = 0; i < n; i++) {
        const struct known_event *known;
        TRY(lookup_get(t->lookup, events[i]->event_id, &known));
        struct listed_event *e = &list[listed];
        *e = (struct listed_event){.event = events[i]};
        if (!known && !map_get(&t->listed, str_of(events[i]->event_id))) {
            map_put(&t->listed, str_of(events[i]->event_id), e);
            listed++;
        }
    }
    *ret = list;
    *ret_n = listed;
    return NULL;
}

static const struct err *connect(struct outlier_set *t, struct listed_event *list, size_t n,
                                 const char *const **ret_missing, size_t *ret_missing_n)
{
    struct map missing = {0};
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < list[i].event->auth_n; k++) {
            const char *id = list[i].event->auth_events[k];
            struct listed_event *cited = map_get(&t->listed, str_of(id));
            const struct known_event *known = NULL;
            if (cited) {
                outliers_cite(t->job->arena, cited, &list[i]);
                continue;
            }
            const struct err *e = lookup_get(t->lookup, id, &known);
            if (e) {
                map_finish(&missing);
                return e;
            }
            if (!known) {
                list[i].lacks = true;
                map_put(&missing, str_of(id), (void *)id);
            }
        }
    const char **ids = arena_alloc_array(t->job->arena, missing.n + 1, sizeof *ids);
    size_t ids_n = 0;
    for (struct map_slot *s = NULL; (s = map_next(&missing, s));)
        ids[ids_n++] = s->value;
    map_finish(&missing);
    if (ret_missing) {
        *ret_missing = ids;
        *ret_missing_n = ids_n;
    }
    return NULL;
}

static bool outliers_is_create(const struct listed_event *e)
{
    return e->event->auth_n == 0 && strcmp(e->event->type, "m.room.create") == 0;
}

/* Parents first; events that lack one, or are on a cycle, are left out. The create event is the
 * first: in version 12 others are checked by it without citing it. */
static void outliers_put_in_order(struct outlier_set *t, struct listed_event *list, size_t n)
{
    struct listed_event **ready =
        arena_alloc_array(t->job->arena, n + 1, sizeof(struct listed_event *));
    size_t ready_n = 0;
    t->order = arena_alloc_array(t->job->arena, n + 1, sizeof *t->order);
    for (size_t i = 0; i < n; i++)
        if (outliers_is_create(&list[i]))
            ready[ready_n++] = &list[i];
    for (size_t i = 0; i < n; i++)
        if (!list[i].waits_for && !list[i].lacks && !outliers_is_create(&list[i]))
            ready[ready_n++] = &list[i];
    for (size_t i = 0; i < ready_n; i++) {
        t->order[t->order_n++] = ready[i]->event;
        for (size_t k = 0; k < ready[i]->cited_by_n; k++) {
            struct listed_event *by = ready[i]->cited_by[k];
            if (--by->waits_for == 0 && !by->lacks)
                ready[ready_n++] = by;
        }
    }
}

/* ---- checking and storing ---- */

static const struct err *store_one(struct outlier_set *t, struct write *w, const struct event *e,
                                   int64_t position)
{
    struct event_check c = {.in = &t->in, .event = e, .way = WAY_OUTLIER};
    TRY(event_check_run(&c));
    struct known_event *stored = arena_alloc(t->job->arena, sizeof *stored);
    stored->e = (struct stored_event){
        .position = position,
        .room = t->room->id,
        .is_state = e->state_key != NULL,
        .status = c.progress == CHECK_UNDECIDED ? EVENT_OUTLIER : EVENT_REJECTED,
        .event = e,
    };
    TRY(intern_id(t->job->storage->intern, INTERN_USER, e->sender, &stored->e.sender));
    TRY(intern_id(t->job->storage->intern, INTERN_TYPE, e->type, &stored->e.type));
    lookup_add(t->lookup, stored);
    events_write_at(w, &stored->e);
    return NULL;
}

/* Interns new names together. */
static const struct err *intern_all(struct outlier_set *t)
{
    const char **names = arena_alloc_array(t->job->arena, t->order_n + 1, sizeof *names);
    int64_t *ids = arena_alloc_array(t->job->arena, t->order_n + 1, sizeof *ids);
    for (size_t i = 0; i < t->order_n; i++)
        names[i] = t->order[i]->sender;
    TRY(intern_ids(t->job->storage->intern, INTERN_USER, names, t->order_n, ids));
    for (size_t i = 0; i < t->order_n; i++)
        names[i] = t->order[i]->type;
    return intern_ids(t->job->storage->intern, INTERN_TYPE, names, t->order_n, ids);
}

static const struct err *store_all(struct outlier_set *t)
{
    const int64_t *places;
    TRY(intern_all(t));
    TRY(events_reserve(job_tx(t->job), false, t->order_n, &places));
    for (size_t i = 0; i < t->order_n;) {
        struct write *w = write_begin(t->job);
        for (size_t end = i + AT_ONCE; i < end && i < t->order_n; i++) {
            const struct err *e = store_one(t, w, t->order[i], places[i]);
            if (e) {
                write_abandon(w);
                return e;
            }
        }
        TRY(write_commit(t->job, w, NULL));
    }
    return NULL;
}

static const struct err *accept_outliers_store(struct outlier_set *t,
                                               const struct event *const *events, size_t n,
                                               const char *const **ret_missing,
                                               size_t *ret_missing_n)
{
    struct listed_event *list;
    size_t listed;
    TRY(outliers_look_up(t, events, n));
    TRY(outliers_list_new(t, events, n, &list, &listed));
    TRY(connect(t, list, listed, ret_missing, ret_missing_n));
    outliers_put_in_order(t, list, listed);
    return t->order_n ? store_all(t) : NULL;
}

const struct err *outliers_store(struct job *job, struct room *room,
                                 const struct event *const *events, size_t n,
                                 const char *const **ret_missing, size_t *ret_missing_n)
{
    struct outlier_set t = {.job = job, .room = room};
    t.lookup = lookup_create(job, room->version, room->id);
    t.in = (struct intake){.job = job, .room = room, .lookup = t.lookup};
    const struct err *e = accept_outliers_store(&t, events, n, ret_missing, ret_missing_n);
    map_finish(&t.listed);
    return e;
}

const struct err *events_unknown(struct job *job, struct room *room, const char *const *ids,
                                 size_t n, const char *const **ret, size_t *ret_n)
{
    struct lookup *l = lookup_create(job, room->version, room->id);
    const char **list = arena_alloc_array(job->arena, n + 1, sizeof *list);
    size_t found = 0;
    TRY(lookup_load(l, ids, n));
    for (size_t i = 0; i < n; i++) {
        const struct known_event *known;
        TRY(lookup_get(l, ids[i], &known));
        if (!known)
            list[found++] = ids[i];
    }
    *ret = list;
    *ret_n = found;
    return NULL;
}
