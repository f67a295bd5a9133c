#include "rooms/write/draft.h"
#include "rooms/rooms.h"

#include "base/clock.h"
#include "base/mem.h"
#include "matrix/id.h"
#include "rooms/ahead.h"
#include "rooms/own_rules.h"
#include "rooms/room_cache.h"
#include "rooms/room_internal.h"
#include "rooms/room_quota.h"
#include "rooms/state/lookup.h"
#include "rooms/state/state_key.h"
#include "rooms/state/stripped.h"
#include "rooms/write/redaction.h"
#include "rooms/write/relations.h"
#include "rooms/write/txn.h"
#include "rooms/write/unread_evaluate.h"
#include "storage/db/intern.h"
#include "storage/rooms/events.h"
#include "storage/rooms/room_state.h"

enum { VIEW_MAX = 12 };
#define DEPTH_MAX ((INT64_C(1) << 53) - 1) /* the maximum of canonical JSON */

/* The state by which an event is checked: the events it cites, and the create event. */
struct view {
    struct draft *draft;
    const struct event *events[VIEW_MAX];
    size_t n;
    const struct err *error;
};

void draft_init(struct draft *d, struct job *job, struct room *room, const struct author *author,
                struct write *w)
{
    *d = (struct draft){
        .job = job,
        .room = room,
        .author = author,
        .write = w,
        .built_on = room->head_version,
        .version = room->head_version,
        .depth = room->depth,
        .notify_total = room->notify_total,
        .highlight_total = room->highlight_total,
        .extremities = room->extremities,
        .extremities_n = room->extremities_n,
        .rules_as_of = room_cache_rules_position(job->rooms->cache),
        /* Versions 1 and 2 need the previous event's bytes, so they wait until it is stored. */
        .changes_state = room->version->event_id == EVENT_ID_GIVEN,
        .is_alone = room->version->event_id == EVENT_ID_GIVEN,
    };
}

static bool becomes_current(const struct draft_event *e)
{
    return e->event->state_key && !e->is_lost;
}

static struct draft_event *find_drafted(const struct draft *d, const char *type,
                                        const char *state_key)
{
    char buffer[ROOM_STATE_KEY_MAX];
    if (d->by_key) {
        struct str key = room_state_key(type, state_key, buffer);
        return key.p ? map_get(d->by_key, key) : NULL;
    }
    for (struct draft_event *e = d->newest; e; e = e->next)
        if (becomes_current(e) && strcmp(e->event->type, type) == 0 &&
            strcmp(e->event->state_key, state_key) == 0)
            return e;
    return NULL;
}

static void finish_keys(void *map)
{
    map_finish(map);
}

static struct map *make_map(struct arena *a)
{
    struct map *m = arena_alloc(a, sizeof *m);
    *m = (struct map){0};
    arena_defer(a, finish_keys, m);
    return m;
}

/* The oldest first, so that the newest of a key counts. */
static void index_from(struct draft *d, struct draft_event *e)
{
    if (!e)
        return;
    index_from(d, e->next);
    if (becomes_current(e))
        map_put(d->by_key, state_key_join(d->job->arena, e->event->type, e->event->state_key), e);
}

/* A linear search over a few events costs less than an index. */
static void index_newest(struct draft *d)
{
    enum { FEW = 32 };
    struct draft_event *e = d->newest;
    if (++d->events_n == FEW) {
        d->by_key = make_map(d->job->arena);
        index_from(d, e);
    } else if (d->by_key && becomes_current(e)) {
        map_put(d->by_key, state_key_join(d->job->arena, e->event->type, e->event->state_key), e);
    }
}

static struct draft_set *find_set(const struct draft *d, const char *type, const char *state_key)
{
    return d->sets ? map_get(d->sets, state_key_join(d->job->arena, type, state_key)) : NULL;
}

static void put_set(struct draft *d, const struct event *e, bool is_end, int at)
{
    struct arena *a = d->job->arena;
    struct draft_set *set = arena_alloc(a, sizeof *set);
    *set = (struct draft_set){.event = is_end ? NULL : e, .at = at};
    if (!d->sets)
        d->sets = make_map(a);
    map_put(d->sets, state_key_join(a, e->type, e->state_key), set);
}

/* The state that the draft gives that key. False: none, the room's state applies. at 0: the key has
 * no event. */
static bool draft_find_own(const struct draft *d, const char *type, const char *state_key,
                           int *ret_at, const struct event **ret)
{
    const struct draft_event *drafted = find_drafted(d, type, state_key);
    const struct draft_set *set = find_set(d, type, state_key);
    if (set && (!drafted || set->at > drafted->at)) {
        *ret = set->event;
        *ret_at = set->event ? set->at : 0;
    } else if (drafted) {
        *ret = drafted->event;
        *ret_at = drafted->at;
    }
    return set || drafted;
}

const struct draft_event *draft_find(const struct draft *d, const char *event_id)
{
    for (const struct draft_event *e = d->newest; e; e = e->next)
        if (strcmp(e->event->event_id, event_id) == 0)
            return e;
    return NULL;
}

const struct err *draft_state(struct draft *d, const char *type, const char *state_key,
                              const struct event **ret)
{
    int at;
    if (draft_find_own(d, type, state_key, &at, ret))
        return NULL;
    const struct ahead *ahead = ahead_find_locked(d->room, type, state_key);
    if (ahead) {
        *ret = ahead->event;
        return NULL;
    }
    return room_load_state_locked(d->job, d->room, type, state_key, ret);
}

static void add_to_view(void *ctx, const char *type, const char *state_key)
{
    struct view *v = ctx;
    const struct event *e = NULL;
    if (!v->error)
        v->error = draft_state(v->draft, type, state_key, &e);
    if (e && v->n < VIEW_MAX)
        v->events[v->n++] = e;
}

static const struct event *draft_view_get(const struct auth_state *s, const char *type,
                                          const char *state_key)
{
    const struct view *v = s->ctx;
    for (size_t i = 0; i < v->n; i++)
        if (strcmp(v->events[i]->type, type) == 0 &&
            strcmp(v->events[i]->state_key, state_key) == 0)
            return v->events[i];
    return NULL;
}

/* Events of versions 1 and 2 cite others with their hashes. */
static const char *reference_hash_text(struct draft *d, const struct event *e)
{
    unsigned char hash[32];
    event_reference_hash(e, hash);
    return base64_encode(d->job->arena, BASE64_STANDARD, hash, sizeof hash);
}

static const struct err *prev_hashes(struct draft *d, size_t n, const char *const **ret)
{
    const char **hashes = arena_alloc_array(d->job->arena, n + 1, sizeof *hashes);
    struct lookup *stored = lookup_create(d->job, d->room->version, d->room->id);
    size_t from = d->newest && n; /* the first is the newest drafted event */
    TRY(lookup_load(stored, d->extremities + from, n - from));
    for (size_t i = 0; i < n; i++) {
        const struct known_event *known = lookup_peek(stored, d->extremities[i]);
        const struct event *e = i < from ? d->newest->event : known ? known->e.event : NULL;
        if (!e)
            return err_internal("extremity %s is missing", d->extremities[i]);
        hashes[i] = reference_hash_text(d, e);
    }
    *ret = hashes;
    return NULL;
}

static const char *const *auth_hashes(struct draft *d, const struct event *const *events, size_t n)
{
    const char **hashes = arena_alloc_array(d->job->arena, n + 1, sizeof *hashes);
    for (size_t i = 0; i < n; i++)
        hashes[i] = reference_hash_text(d, events[i]);
    return hashes;
}

/* How many of the extremities, from the first on, the next event cites. */
static size_t cited_n(const struct draft *d)
{
    return d->extremities_n < EVENT_PREV_MAX ? d->extremities_n : EVENT_PREV_MAX;
}

/* Reads the state that the event must cite, builds the event, then checks it by the rules. */
const struct err *draft_build(struct draft *d, const struct new_event *wanted,
                              const struct event **ret)
{
    struct arena *a = d->job->arena;
    const struct room_version *version = d->room->version;
    json_t *content = NULL;
    if (strcmp(wanted->type, "m.room.member") == 0)
        TRY(json_read_own(a, wanted->content, &content));
    struct view view = {.draft = d};
    auth_events_for(version, wanted->type, d->author->user_id, wanted->state_key, content,
                    add_to_view, &view);
    size_t auth_n = view.n;
    if (!draft_view_get(&(struct auth_state){.ctx = &view}, "m.room.create", ""))
        add_to_view(&view, "m.room.create", ""); /* version 12 checks by it without citing it */
    if (view.error)
        return view.error;

    const char *auth_ids[VIEW_MAX];
    for (size_t i = 0; i < auth_n; i++)
        auth_ids[i] = view.events[i]->event_id;
    bool is_v12_create = version->room_id_is_create_hash && d->extremities_n == 0;
    struct event_template t = {
        .room_id = is_v12_create ? NULL : d->room->room_id,
        .type = wanted->type,
        .sender = d->author->user_id,
        .state_key = wanted->state_key,
        .redacts = wanted->redacts,
        .content = wanted->content,
        .origin_server_ts = wanted->origin_server_ts ? wanted->origin_server_ts : now_ms(),
        .depth = d->depth < DEPTH_MAX ? d->depth + 1 : DEPTH_MAX,
        .prev_events = d->extremities,
        .prev_n = cited_n(d),
        .auth_events = auth_ids,
        .auth_n = auth_n,
    };
    if (version->event_id == EVENT_ID_GIVEN) {
        TRY(prev_hashes(d, t.prev_n, &t.prev_hashes));
        t.auth_hashes = auth_hashes(d, view.events, auth_n);
    }
    struct event *built;
    TRY(event_build(version, &t, d->job->config->server_name, &d->job->keys->current, &built));
    *ret = event_keep(a, built);
    return auth_check(*ret, &(struct auth_state){.get = draft_view_get, .ctx = &view});
}

static const struct err *has_own_rules(struct draft *d, const struct known_rules *known,
                                       int64_t user, bool *ret)
{
    *ret = known->has_own;
    if (known->is_known && known->as_of == room_cache_rules_position(d->job->rooms->cache))
        return NULL;
    return members_have_own_rules(job_tx(d->job), user, ret);
}

/* Writes the membership of a member event. event: its position if it is not the change itself. */
static const struct err *draft_write_member(struct draft *d, const struct draft_event *of, int at,
                                            int64_t event, struct change *change,
                                            struct room_member *ret)
{
    static const struct known_rules nothing;
    const struct event *e = of->event;
    struct str stripped = of->stripped;
    int64_t target;
    TRY(intern_id(d->job->storage->intern, INTERN_USER, e->state_key, &target));
    if (change_ends_state(change)) {
        int64_t *users = arena_alloc(d->job->arena, sizeof *users);
        *users = target;
        members_write_none(d->write, d->room->id, users, 1);
        return NULL;
    }
    enum membership m = event_membership(e);
    bool is_local = id_is_local(d->job->node, e->state_key);
    if (is_local && !stripped.p && (m == MEMBERSHIP_INVITE || m == MEMBERSHIP_KNOCK))
        TRY(stripped_state(d, e, &stripped));
    if (is_local && m == MEMBERSHIP_JOIN) {
        change->local.rules_as_of = d->rules_as_of;
        TRY(has_own_rules(d, of->wanted ? &of->wanted->rules : &nothing, target,
                          &change->local.has_own_rules));
    }
    members_write(d->write, d->room->id, target, m, at, event, is_local, stripped);
    *ret = (struct room_member){.user = target,
                                .membership = m,
                                .is_local = is_local,
                                .has_own_rules = change->local.has_own_rules};
    return intern_name(d->job->storage->intern, INTERN_USER, target, &ret->user_id);
}

/* Does the key already have an event, in this write, in the queue, or stored? */
static const struct err *is_replaced(struct draft *d, const struct event *e, bool *ret)
{
    const struct event *before;
    TRY(draft_state(d, e->type, e->state_key, &before));
    *ret = before != NULL;
    return NULL;
}

/* Writes the rows of a state event: its interval, and for member events the membership. */
static const struct err *draft_write_state(struct draft *d, struct draft_event *e,
                                           struct change *change)
{
    bool replaced;
    TRY(is_replaced(d, e->event, &replaced));
    if (!replaced && e->wanted && e->type != TYPE_MEMBER)
        TRY(room_quota_check_state_locked(d->room, e->event->sender));
    room_state_write(d->write, d->room->id, e->type, e->event->state_key, e->at, replaced);
    d->changes_state = true;
    d->last_state_at = e->at;
    if (strcmp(e->event->type, "m.room.member") != 0)
        return NULL;
    return draft_write_member(d, e, e->at, 0, change, &e->member);
}

const struct err *draft_set_state(struct draft *d, const struct stored_event *e, bool is_end)
{
    struct change change = {
        .kind = CHANGE_STATE,
        .room = d->room->id,
        .state = {.event = e->event, .event_position = e->position, .is_end = is_end}};
    bool replaced;
    struct room_member member;
    int at = (int)write_changes_n(d->write) + 1;
    TRY(is_replaced(d, e->event, &replaced));
    if (is_end)
        room_state_end(d->write, d->room->id, e->type, e->event->state_key, at);
    else
        room_state_write_known(d->write, d->room->id, e->type, e->event->state_key, e->position, at,
                               replaced);
    if (e->type == TYPE_MEMBER)
        TRY(draft_write_member(d, &(struct draft_event){.event = e->event}, at, e->position,
                               &change, &member));
    d->changes_state = d->is_alone = true;
    d->last_state_at = at;
    write_change(d->write, &change);
    put_set(d, e->event, is_end, at);
    return NULL;
}

static const struct err *draft_write_relation(struct draft *d, const struct draft_event *e,
                                              int64_t sender, const struct relation *r)
{
    if (r->parent && event_id_to_bytes(d->job->arena, d->room->version, r->parent).p)
        relations_write(d->write, d->room->version, r, d->room->id, sender, e->type, e->at);
    return NULL;
}

static const struct err *prepare_redaction(struct draft *d, const struct draft_event *e,
                                           struct change *change)
{
    if (strcmp(e->event->type, "m.room.redaction") != 0)
        return NULL;
    return e->wanted ? redaction_prepare(d, e->event, change)
                     : redaction_prepare_remote(d, e->event, change);
}

static void write_row_of_event(struct draft *d, const struct draft_event *e,
                               const struct change *change)
{
    struct stored_event stored = {
        .room = d->room->id,
        .sender = change->user,
        .type = e->type,
        .thread = change->event.thread,
        .notify_total = change->event.notify_total,
        .highlight_total = change->event.highlight_total,
        .client_device = change->event.client_device,
        .client_txn = change->event.client_txn,
        .is_state = e->event->state_key != NULL,
        .status = e->status,
        .event = e->event,
    };
    if (e->moved_from)
        events_move(d->write, &stored, e->moved_from, e->at);
    else
        events_write(d->write, &stored, e->at);
    if (e->redacted_by)
        events_write_late_redaction(d->write, e->event->event_id, d->room->version, e->event->json,
                                    e->redacted_by);
}

static const struct err *find_related(struct draft *d, struct draft_event *e, struct related *ret)
{
    const struct err *problem =
        relation_of_new_event(d->job, d->room, e->event, e->wanted != NULL, ret);
    if (problem && problem->code == ERR_CONFLICT)
        d->awaited = ret->once;
    e->once = ret->once;
    return problem;
}

static const struct err *draft_write_event(struct draft *d, struct draft_event *e)
{
    const struct new_event *wanted = e->wanted;
    struct change change = {.kind = CHANGE_EVENT,
                            .room = d->room->id,
                            .event = {.event = e->event,
                                      .client_txn = wanted ? wanted->client_txn : NULL,
                                      .is_lost = e->is_lost,
                                      .follows_gap = e->follows_gap,
                                      .redacted_by = e->redacted_by,
                                      .is_relayed = e->status == EVENT_RELAYED,
                                      .is_withheld = event_is_dummy(e->event)},
                            .local.resets_room = e->resets_room};
    struct change_event *c = &change.event;
    struct related related = {0};
    c->client_device = c->client_txn ? d->author->device : 0;
    TRY(intern_id(d->job->storage->intern, INTERN_USER, e->event->sender, &change.user));
    TRY(intern_id(d->job->storage->intern, INTERN_TYPE, e->event->type, &e->type));
    e->at = (int)write_changes_n(d->write) + 1;
    TRY(prepare_redaction(d, e, &change));
    /* A withheld event is not sent to clients: it does not count in its thread, and notifies no
     * user. */
    if (!c->is_withheld)
        TRY(find_related(d, e, &related));
    c->parent = related.parent;
    c->thread = related.thread;
    if (!c->is_withheld)
        TRY(unread_evaluate_locked(d->job, d->room, d->write, e->at, e->event, &change));
    c->notify_total = d->notify_total += c->notify;
    c->highlight_total = d->highlight_total += c->highlight;
    if (e->event->state_key && !e->is_lost)
        TRY(draft_write_state(d, e, &change));
    if (change.local.redacted_event)
        redaction_write(d, e->event, &change, e->at);
    write_change(d->write, &change);
    write_row_of_event(d, e, &change);
    if (c->client_txn)
        event_txns_write(d->write, d->author->device, txn_key(d->job->arena, wanted), e->at);
    return draft_write_relation(d, e, change.user, &related.relation);
}

/* A number that is unique to the event. A mere count would be used twice after a failed write: by
 * events built on the lost one, and by its rival with the same count. */
static int64_t version_after(const struct event *e)
{
    return (int64_t)(hash_bytes(e->event_id, strlen(e->event_id)) >> 1);
}

static bool is_cited(const struct event *e, const char *event_id)
{
    for (size_t i = 0; i < e->prev_n; i++)
        if (strcmp(e->prev_events[i], event_id) == 0)
            return true;
    return false;
}

/* The new event replaces the extremities that it cites. */
static void replace_extremities(struct draft *d, const struct event *e)
{
    const char **now = arena_alloc_array(d->job->arena, d->extremities_n + 1, sizeof *now);
    size_t n = 0;
    now[n++] = e->event_id;
    for (size_t i = 0; i < d->extremities_n; i++)
        if (!is_cited(e, d->extremities[i]))
            now[n++] = d->extremities[i];
    d->extremities = now;
    d->extremities_n = n;
}

const struct err *draft_put(struct draft *d, struct draft_event *e)
{
    TRY(draft_write_event(d, e));
    e->next = d->newest;
    d->newest = e;
    index_newest(d);
    if (e->event->depth > d->depth)
        d->depth = e->event->depth < DEPTH_MAX ? e->event->depth : DEPTH_MAX;
    d->version = version_after(e->event);
    replace_extremities(d, e->event);
    return NULL;
}

const struct err *draft_add(struct draft *d, const struct new_event *wanted,
                            const struct event **ret)
{
    struct draft_event *e = arena_alloc(d->job->arena, sizeof *e);
    *e = (struct draft_event){.wanted = wanted, .stripped = wanted->stripped};
    TRY(draft_build(d, wanted, &e->event));
    TRY(draft_put(d, e));
    *ret = e->event;
    return NULL;
}

void draft_head(const struct draft *d, struct room_head *ret)
{
    struct arena *a = d->job->arena;
    struct str *ids = arena_alloc_array(a, d->extremities_n + 1, sizeof *ids);
    for (size_t i = 0; i < d->extremities_n; i++)
        ids[i] = event_id_to_bytes(a, d->room->version, d->extremities[i]);
    *ret = (struct room_head){
        .id = d->room->id,
        .room_id = d->room->room_id,
        .room_version = d->room->version,
        .version = d->version,
        .depth = d->depth,
        .notify_total = d->notify_total,
        .highlight_total = d->highlight_total,
        .extremities = ids,
        .extremities_n = d->extremities_n,
    };
}

static struct change_head draft_peek_head(const struct draft *d)
{
    return (struct change_head){.version = d->version,
                                .depth = d->depth,
                                .notify_total = d->notify_total,
                                .highlight_total = d->highlight_total,
                                .extremities = d->extremities,
                                .extremities_n = d->extremities_n};
}

const struct change_head *draft_change_head(const struct draft *d)
{
    struct arena *a = d->job->arena;
    struct change_head *h = arena_alloc(a, sizeof *h);
    const char **copy = arena_alloc_array(a, d->extremities_n + 1, sizeof *copy);
    for (size_t i = 0; i < d->extremities_n; i++) /* they may be the room's, which replaces them */
        copy[i] = arena_strdup(a, d->extremities[i]);
    *h = draft_peek_head(d);
    h->extremities = copy;
    return h;
}

void draft_apply_head(const struct draft *d)
{
    const struct change_head head = draft_peek_head(d);
    room_set_head_locked(d->room, &head);
}

/* The oldest first, so that the newest of a key counts. */
static void apply_from(struct room *r, const struct draft_event *e)
{
    if (!e)
        return;
    apply_from(r, e->next);
    if (e->event->state_key)
        ahead_put_locked(r, e->event, e->member.user ? &e->member : NULL);
}

void draft_apply_state(const struct draft *d)
{
    apply_from(d->room, d->newest);
    own_rules_go_back_locked(d->room, d->rules_as_of);
}
