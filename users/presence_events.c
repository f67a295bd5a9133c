#include "users/presence_internal.h"
#include "users/users.h"

#include "base/clock.h"
#include "storage/db/committer.h"

enum { ACTIVE_MS = 60 * 1000 }; /* currently_active */

static const char *const state_texts[] = {"offline", "unavailable", "online"};

bool presence_state_parse(const char *text, enum presence_state *ret)
{
    for (enum presence_state s = PRESENCE_OFFLINE; s <= PRESENCE_ONLINE; s++)
        if (strcmp(text, state_texts[s]) == 0) {
            *ret = s;
            return true;
        }
    return false;
}

enum presence_state presence_state_now(const struct presence_entry *e, int64_t now)
{
    enum presence_state highest = PRESENCE_OFFLINE;
    for (size_t i = 0; i < e->states_n; i++)
        if (now < e->states[i].until && e->states[i].state > highest)
            highest = e->states[i].state;
    return highest;
}

bool presence_has_others(const struct presence_table *p)
{
    struct committer *c = p->node->storage->committer;
    return c && committer_view(c)->has_others;
}

enum presence_state presence_state_own(const struct presence_entry *e, int64_t now)
{
    enum presence_state highest = PRESENCE_OFFLINE;
    for (size_t i = 0; i < e->states_n; i++)
        if (e->states[i].is_own && now < e->states[i].until && e->states[i].state > highest)
            highest = e->states[i].state;
    return highest;
}

enum presence_state presence_state_known(const struct presence_table *p,
                                         const struct presence_entry *e, int64_t now)
{
    if (e->lowers || (!e->is_foreign && !presence_has_others(p)))
        return presence_state_now(e, now);
    enum presence_state own = presence_state_own(e, now);
    return own > e->shown.state ? own : e->shown.state;
}

void presence_add_content(const struct presence_row *r, struct buf *out)
{
    int64_t ago = now_ms() - r->last_active_ts;
    buf_printf(out, "{\"presence\":\"%s\"", state_texts[r->state]);
    if (r->last_active_ts)
        buf_printf(out, ",\"last_active_ago\":%lld", (long long)(ago > 0 ? ago : 0));
    if (r->state == PRESENCE_ONLINE)
        buf_printf(out, ",\"currently_active\":%s", ago < ACTIVE_MS ? "true" : "false");
    if (r->status_msg) {
        BUF_LIT(out, ",\"status_msg\":");
        buf_add_json_string(out, str_of(r->status_msg));
    }
    buf_add_char(out, '}');
}

void presence_add_event(const struct presence_row *r, struct buf *out)
{
    BUF_LIT(out, "{\"type\":\"m.presence\",\"sender\":");
    buf_add_json_string(out, str_of(r->user_id));
    BUF_LIT(out, ",\"content\":");
    presence_add_content(r, out);
    buf_add_char(out, '}');
}

const struct err *presence_get(struct job *job, int64_t user, struct presence_row *ret)
{
    struct presence_table *p = job->users->presence;
    bool found = false, is_foreign = false;
    struct presence_row row;
    {
        LOCKED(&p->lock);
        struct presence_entry *e = map_get_int(&p->entries, user);
        if (e) {
            found = true;
            is_foreign = e->is_foreign;
            *ret = e->shown;
            ret->state = presence_state_known(p, e, mono_ms());
            ret->last_active_ts = e->last_active_ts;
            ret->status_msg = arena_strdup(job->arena, e->shown.status_msg);
        }
    }
    if (!found)
        return presence_find(job_tx(job), user, &found, ret);
    if (!is_foreign)
        return NULL;
    TRY(presence_find(job_tx(job), user, &found, &row)); /* the other node renews it there */
    if (found && row.last_active_ts > ret->last_active_ts)
        ret->last_active_ts = row.last_active_ts;
    return NULL;
}

void presence_list_updates(struct job *job, int64_t since, int64_t until,
                           const struct presence_update **ret, size_t *ret_n)
{
    struct presence_table *p = job->users->presence;
    size_t n = 0, k = 0;
    LOCKED(&p->lock);
    for (struct presence_entry *e = p->newest; e && e->shown.position > since; e = e->older)
        n++;
    struct presence_update *list = arena_alloc_array(job->arena, n + 1, sizeof *list);
    for (struct presence_entry *e = p->newest; e && e->shown.position > since; e = e->older) {
        if (e->shown.position > until)
            continue;
        int64_t *rooms = arena_alloc_array(job->arena, e->rooms_n + 1, sizeof *rooms);
        if (e->rooms_n)
            memcpy(rooms, e->rooms, e->rooms_n * sizeof *rooms);
        list[k] = (struct presence_update){.row = e->shown, .rooms = rooms, .rooms_n = e->rooms_n};
        list[k].row.user_id = arena_strdup(job->arena, e->shown.user_id);
        list[k++].row.status_msg = arena_strdup(job->arena, e->shown.status_msg);
    }
    *ret = list;
    *ret_n = k;
}

int presence_by_number(const void *x, const void *y)
{
    int64_t a = *(const int64_t *)x, b = *(const int64_t *)y;
    return a < b ? -1 : a > b;
}

static bool contains(const int64_t *sorted, size_t n, int64_t wanted)
{
    return n && bsearch(&wanted, sorted, n, sizeof *sorted, presence_by_number);
}

/* The reading user's rooms: all that are joined, and those joined since the last sync. */
struct reader {
    int64_t user, since, until;
    int64_t *rooms, *fresh;
    size_t rooms_n, fresh_n;
};

static void read_rooms(struct job *job, struct session *s, struct reader *r)
{
    const struct session_room *rooms;
    size_t n;
    session_rooms(job, s, &rooms, &n);
    r->rooms = arena_alloc_array(job->arena, n + 1, sizeof *r->rooms);
    r->fresh = arena_alloc_array(job->arena, n + 1, sizeof *r->fresh);
    for (size_t i = 0; i < n; i++) {
        if (rooms[i].membership != MEMBERSHIP_JOIN)
            continue;
        r->rooms[r->rooms_n++] = rooms[i].room;
        if (rooms[i].position > r->since)
            r->fresh[r->fresh_n++] = rooms[i].room;
    }
    qsort(r->rooms, r->rooms_n, sizeof *r->rooms, presence_by_number);
    qsort(r->fresh, r->fresh_n, sizeof *r->fresh, presence_by_number);
}

static bool is_sent_in(const struct presence_entry *e, const int64_t *rooms, size_t n)
{
    for (size_t i = 0; i < e->rooms_n; i++)
        if (contains(rooms, n, e->rooms[i]))
            return true;
    return false;
}

static bool presence_events_is_for(const struct presence_entry *e, const struct reader *r)
{
    int64_t position = e->shown.position;
    if (position > r->until)
        return false;
    if (position > r->since && (r->since || e->shown.state != PRESENCE_OFFLINE))
        return e->shown.user == r->user || is_sent_in(e, r->rooms, r->rooms_n);
    return e->shown.state != PRESENCE_OFFLINE && is_sent_in(e, r->fresh, r->fresh_n);
}

/* Appends a copy in the arena to the list, which has room for *n rounded up to a power of two. */
static void presence_list_add(struct arena *a, const struct presence_entry *e,
                              struct presence_row **list, size_t *n)
{
    if ((*n & (*n - 1)) == 0) { /* full */
        struct presence_row *grown = arena_alloc_array(a, *n ? *n * 2 : 1, sizeof *grown);
        if (*n)
            memcpy(grown, *list, *n * sizeof *grown);
        *list = grown;
    }
    struct presence_row *row = &(*list)[(*n)++];
    *row = e->shown;
    row->user_id = arena_strdup(a, e->shown.user_id);
    row->status_msg = arena_strdup(a, e->shown.status_msg);
    row->last_active_ts = e->last_active_ts;
}

void presence_read(struct job *job, struct session *s, int64_t since, int64_t until,
                   const struct event_filter *filter, const struct map *without,
                   const struct presence_row **ret, size_t *ret_n)
{
    struct presence_table *p = job->users->presence;
    struct reader r = {.user = session_user(s), .since = since, .until = until};
    struct presence_row *list = NULL;
    *ret = NULL;
    *ret_n = 0;
    if (!p)
        return;
    bool may_have_joined = feed_user_position(job->storage->feed, r.user) > since;
    if (!filter_wants_type(filter, "m.presence") ||
        (p->newest_position <= since && !may_have_joined))
        return;
    read_rooms(job, s, &r);
    LOCKED(&p->lock);
    for (struct presence_entry *e = p->newest; e; e = e->older) {
        if (e->shown.position <= since && !r.fresh_n)
            break; /* and all after it */
        struct filter_subject subject = {.type = "m.presence", .sender = e->shown.user_id};
        if (!presence_events_is_for(e, &r) || !filter_matches(filter, &subject) ||
            (without && map_get(without, str_of(e->shown.user_id))))
            continue;
        if (filter->limit_given && (int64_t)*ret_n >= filter->limit)
            break;
        presence_list_add(job->arena, e, &list, ret_n);
    }
    *ret = list;
}

void presence_add_events(const struct presence_row *list, size_t n, struct buf *out)
{
    for (size_t i = 0; i < n; i++) {
        if (i)
            buf_add_char(out, ',');
        presence_add_event(&list[i], out);
    }
}

void presence_add_room(struct job *job, int64_t room, const struct map *without, struct buf *out)
{
    struct presence_table *p = job->users->presence;
    LOCKED(&p->lock);
    for (struct presence_entry *e = p->newest; e; e = e->older) {
        if (e->shown.state == PRESENCE_OFFLINE || !is_sent_in(e, &room, 1) ||
            (without && map_get(without, str_of(e->shown.user_id))))
            continue;
        buf_add_json_comma(out);
        presence_add_event(&e->shown, out);
    }
}
