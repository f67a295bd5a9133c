#include "server/sliding/facts.h"

#include "base/text.h"
#include "matrix/json_scan.h"
#include "rooms/room_cache.h"
#include "storage/db/intern.h"
#include "storage/rooms/members.h"
#include "storage/rooms/outlines.h"

enum { NAME_LOOKED_AT_MAX = 4096 };

unsigned facts_needed(const struct sliding_filters *f)
{
    unsigned needed = 0;
    if (f->is_encrypted >= 0 || f->room_types.present || f->not_room_types.present || f->name_like)
        needed |= FACT_STATE;
    if (f->is_dm >= 0)
        needed |= FACT_DIRECT;
    if (f->tags.present || f->not_tags.present)
        needed |= FACT_TAGS;
    return needed | (f->spaces.present ? FACT_SPACES : 0);
}

/* ---- spaces and direct messages ---- */

static const struct err *facts_add_children(struct sliding_sync *s, struct room *space,
                                            struct map *set)
{
    const struct event *const *events;
    size_t n;
    room_state_without_members(s->who.job, space, &events, &n);
    for (size_t i = 0; i < n; i++) {
        struct str via = json_scan_get(events[i]->content, "via");
        if (strcmp(events[i]->type, "m.space.child") == 0 && via.n && via.p[0] == '[')
            map_put(set, str_of(events[i]->state_key), set);
    }
    return NULL;
}

static void facts_free_map(void *map)
{
    map_finish(map);
}

static struct map *facts_new_map(struct arena *a)
{
    struct map *m = arena_alloc(a, sizeof *m);
    arena_defer(a, facts_free_map, m);
    return m;
}

const struct err *facts_children(struct sliding_sync *s, const struct filter_list *spaces,
                                 const struct map **ret)
{
    struct map *set = facts_new_map(s->who.job->arena);
    for (size_t i = 0; i < spaces->n; i++) {
        int64_t id;
        struct room *space = NULL;
        TRY(intern_find(s->who.job->storage->intern, INTERN_ROOM, spaces->items[i], &id));
        if (id && session_is_joined(s->who.session, id))
            TRY(room_get_by_id(s->who.job, id, &space));
        if (space)
            TRY(facts_add_children(s, space, set));
    }
    *ret = set;
    return NULL;
}

static void facts_add_direct(struct arena *a, struct str content, struct map *set)
{
    struct json_member user, room;
    for (size_t at = 0; json_scan_next(content, &at, &user);)
        for (size_t i = 0; user.value.p[0] == '[' && json_scan_next(user.value, &i, &room);) {
            const char *id = json_scan_string(a, room.value);
            if (id)
                map_put(set, str_of(id), set);
        }
}

const struct err *sliding_direct(struct sliding_sync *s, const struct map **ret)
{
    if (!s->direct) {
        struct str content;
        struct map *set = facts_new_map(s->rq->arena); /* beyond the arena of a room */
        TRY(account_data_get(job_tx(s->who.job), s->who.caller->user, 0, "m.direct", &content));
        if (content.p)
            facts_add_direct(s->rq->arena, content, set);
        s->direct = set;
    }
    *ret = s->direct;
    return NULL;
}

/* ---- reading ---- */

struct facts_reading {
    struct sliding_sync *s;
    unsigned needed;
    struct room_facts *list;
    size_t n;
};

static bool facts_is_pending(const struct room_facts *f)
{
    return f->at.membership == MEMBERSHIP_INVITE || f->at.membership == MEMBERSHIP_KNOCK;
}

static const struct err *facts_read_outlines(struct facts_reading *r)
{
    unsigned parts = r->needed & FACT_STATE ? OUTLINE_STATE : 0;
    struct room_outline *o = arena_alloc_array(r->s->who.job->arena, r->n, sizeof *o);
    for (size_t i = 0; i < r->n; i++)
        o[i].room = r->list[i].at.room;
    TRY(outlines_get(r->s->who.job, parts, o, r->n));
    for (size_t i = 0; i < r->n; i++) {
        struct room_facts *f = &r->list[i];
        bool is_joined = f->at.membership == MEMBERSHIP_JOIN;
        f->activity = is_joined && o[i].newest > f->at.position ? o[i].newest : f->at.position;
        f->state_moved = o[i].state_moved;
        if (facts_is_pending(f))
            continue; /* what the user may know of the room is the stripped state */
        f->is_encrypted = o[i].is_encrypted;
        f->type = o[i].type;
        f->name = o[i].name;
    }
    return NULL;
}

static void facts_take_stripped(struct arena *a, struct room_facts *f, struct str stripped)
{
    struct json_member event;
    for (size_t at = 0; json_scan_next(stripped, &at, &event);) {
        struct str type = json_scan_get(event.value, "type");
        bool is_create = json_scan_string_is(type, "m.room.create");
        struct str value =
            json_scan_path(event.value, "content", is_create ? "type" : "name", NULL);
        f->is_encrypted |= json_scan_string_is(type, "m.room.encryption");
        if (is_create && value.p)
            f->type = json_scan_string(a, value);
        else if (json_scan_string_is(type, "m.room.name") && value.p)
            f->name = json_scan_string(a, value);
    }
}

static const struct err *facts_read_stripped(struct facts_reading *r)
{
    struct job *job = r->s->who.job;
    const struct stripped_room *rows;
    size_t rows_n, pending = 0;
    for (size_t i = 0; i < r->n; i++)
        pending += facts_is_pending(&r->list[i]);
    if (!pending || !(r->needed & FACT_STATE))
        return NULL;
    TRY(members_stripped_of_user(job_tx(job), r->s->who.caller->user, &rows, &rows_n));
    struct map *by_room = facts_new_map(job->arena);
    for (size_t i = 0; i < rows_n; i++)
        map_put_int(by_room, rows[i].room, (void *)&rows[i]);
    for (size_t i = 0; i < r->n; i++) {
        const struct stripped_room *row = map_get_int(by_room, r->list[i].at.room);
        if (facts_is_pending(&r->list[i]) && row && row->stripped.p)
            facts_take_stripped(job->arena, &r->list[i], row->stripped);
    }
    return NULL;
}

static const struct err *facts_read_names(struct facts_reading *r)
{
    if (!(r->needed & (FACT_DIRECT | FACT_SPACES)))
        return NULL;
    struct job *job = r->s->who.job;
    const struct map *direct;
    int64_t *ids = arena_alloc_array(job->arena, r->n, sizeof *ids);
    const char **names = arena_alloc_array(job->arena, r->n, sizeof *names);
    for (size_t i = 0; i < r->n; i++)
        ids[i] = r->list[i].at.room;
    TRY(intern_names(job->storage->intern, INTERN_ROOM, ids, r->n, names));
    TRY(sliding_direct(r->s, &direct));
    for (size_t i = 0; i < r->n; i++) {
        r->list[i].room_id = names[i];
        r->list[i].is_direct = map_get(direct, str_of(names[i]));
    }
    return NULL;
}

static const struct err *facts_read_tags(struct facts_reading *r)
{
    struct job *job = r->s->who.job;
    const struct account_data *tags;
    size_t n;
    if (!(r->needed & FACT_TAGS))
        return NULL;
    TRY(account_data_of_type(job_tx(job), r->s->who.caller->user, "m.tag", &tags, &n));
    struct map *by_room = facts_new_map(job->arena);
    for (size_t i = 0; i < n; i++)
        map_put_int(by_room, tags[i].room, (void *)&tags[i]);
    for (size_t i = 0; i < r->n; i++) {
        const struct account_data *of = map_get_int(by_room, r->list[i].at.room);
        if (of)
            r->list[i].tags = json_scan_get(of->content, "tags");
    }
    return NULL;
}

/* Rooms that the user has left by themselves are only listed until the client knows; those
 * that they were put out of stay. */
static const struct err *facts_read_left(struct facts_reading *r)
{
    struct job *job = r->s->who.job;
    int64_t *events = arena_alloc_array(job->arena, r->n, sizeof *events);
    int64_t *senders = arena_alloc_array(job->arena, r->n, sizeof *senders);
    struct room_facts **left = arena_alloc_array(job->arena, r->n, sizeof *left);
    size_t n = 0;
    for (size_t i = 0; i < r->n; i++) {
        struct room_facts *f = &r->list[i];
        bool is_left = f->at.membership == MEMBERSHIP_LEAVE || f->at.membership == MEMBERSHIP_BAN;
        f->is_listed = !f->at.forgotten && f->at.membership != MEMBERSHIP_NONE &&
                       (!is_left || sliding_state_find(r->s->base, f->at.room));
        if (is_left && !f->is_listed && !f->at.forgotten) {
            events[n] = f->at.event;
            left[n++] = f;
        }
    }
    if (!n)
        return NULL;
    TRY(outlines_senders(job_tx(job), events, n, senders));
    for (size_t i = 0; i < n; i++)
        left[i]->is_listed = senders[i] && senders[i] != r->s->who.caller->user;
    return NULL;
}

const struct err *facts_read(struct sliding_sync *s, unsigned needed,
                             const struct session_room *rooms, size_t n, struct room_facts **ret)
{
    struct facts_reading r = {s, needed, NULL, n};
    r.list = arena_alloc_array(s->who.job->arena, n + 1, sizeof *r.list);
    for (size_t i = 0; i < n; i++)
        r.list[i].at = rooms[i];
    if (n) {
        TRY(facts_read_outlines(&r));
        TRY(facts_read_stripped(&r));
        TRY(facts_read_names(&r));
        TRY(facts_read_tags(&r));
        TRY(facts_read_left(&r));
    }
    *ret = r.list;
    return NULL;
}

/* ---- matching ---- */

static bool facts_list_has(const struct filter_list *list, const char *type)
{
    for (size_t i = 0; i < list->n; i++)
        if (type && list->items[i] ? strcmp(list->items[i], type) == 0 : type == list->items[i])
            return true;
    return false;
}

static bool facts_have_tag(struct arena *a, struct str tags, const struct filter_list *wanted)
{
    struct json_member tag;
    for (size_t at = 0; tags.p && json_scan_next(tags, &at, &tag);) {
        char *name = arena_alloc(a, tag.key.n + 1);
        name[json_scan_unescape(tag.key, name)] = '\0';
        if (facts_list_has(wanted, name))
            return true;
    }
    return false;
}

static bool facts_name_matches(struct arena *a, const char *name, const char *like)
{
    struct str text = {name, name ? strlen(name) : 0};
    if (text.n > NAME_LOOKED_AT_MAX)
        text.n = NAME_LOOKED_AT_MAX;
    return name && strstr(text_fold_string(a, str_dup(a, text)), like);
}

bool facts_match(struct arena *a, const struct sliding_filters *f, const struct map *children,
                 const struct room_facts *facts)
{
    if (!facts->is_listed)
        return false;
    if ((f->is_dm >= 0 && f->is_dm != facts->is_direct) ||
        (f->is_encrypted >= 0 && f->is_encrypted != facts->is_encrypted) ||
        (f->is_invited >= 0 && f->is_invited != (facts->at.membership == MEMBERSHIP_INVITE)))
        return false;
    if ((f->room_types.present && !facts_list_has(&f->room_types, facts->type)) ||
        (f->not_room_types.present && facts_list_has(&f->not_room_types, facts->type)))
        return false;
    if ((f->tags.present && !facts_have_tag(a, facts->tags, &f->tags)) ||
        (f->not_tags.present && facts_have_tag(a, facts->tags, &f->not_tags)))
        return false;
    if (children && !map_get(children, str_of(facts->room_id)))
        return false;
    return !f->name_like || facts_name_matches(a, facts->name, f->name_like);
}
