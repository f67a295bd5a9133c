/* Finds the destinations of each change. The listener runs in the committer's thread: it only
 * touches memory, and leaves the rest to the keeper. */
#include "federation/federation.h"
#include "federation/out/sender_internal.h"
#include "federation/peer/answers.h"
#include "users/users.h"

#include "base/clock.h"
#include "base/mem.h"
#include "matrix/id.h"
#include "rooms/room_cache.h"
#include "rooms/servers.h"
#include "storage/servers/outbound.h"
#include "users/presence.h"

/* Changes that were published together. The rooms in memory are as they are after all of them. */
struct published {
    const struct change *list;
    int64_t last;    /* position */
    size_t movers_n; /* the first so many; the last of them is another server's member event */
};

/* A change, and what it means for its destinations. */
struct mark {
    struct sender *s;
    int64_t position, room;
    const struct event *event; /* NULL: see pending */
    enum pending pending;      /* the kind of change */
    struct str but;            /* this server has it already */
};

int64_t sender_clear_position_locked(const struct sender *s)
{
    return s->unresolved ? s->unresolved->position - 1 : s->heard;
}

/* ---- marking one destination ---- */

static void touch_locked(struct sender *s, struct destination *d)
{
    if (s->touched_n == s->touched_cap) {
        s->touched_cap = s->touched_cap ? s->touched_cap * 2 : 64;
        s->touched = mem_realloc_array(s->touched, s->touched_cap, sizeof(struct destination *));
    }
    s->touched[s->touched_n++] = d;
}

/* Too many events for memory: what was not sent is read from the database when its turn comes. */
static void forget_queue_locked(struct destination *d)
{
    d->may_skip = d->may_skip || d->failing_since;
    d->is_live = false;
    d->attempted = 0;
    queue_clear_locked(d);
}

static void add_event_locked(struct destination *d, const struct mark *m)
{
    if (!d->is_live) {
        d->skipped = m->position;
        return;
    }
    if (d->n >= (size_t)(d->failing_since ? BACKLOG_MAX : QUEUE_MAX))
        forget_queue_locked(d);
    else
        queue_add_locked(d, &(struct outgoing){m->position, m->room, m->event});
}

static void add_receipt_room_locked(struct destination *d, int64_t room, int64_t position)
{
    for (size_t i = 0; i < d->receipt_rooms_n; i++)
        if (d->receipt_rooms[i].room == room) {
            d->receipt_rooms[i].newest = position;
            return;
        }
    if (d->receipt_rooms_n == RECEIPT_ROOMS_MAX) {
        d->receipt_rooms_n = 0;
        d->receipt_rooms_from = position;
        return;
    }
    if (!d->receipt_rooms)
        d->receipt_rooms = mem_alloc(RECEIPT_ROOMS_MAX * sizeof *d->receipt_rooms);
    d->receipt_rooms[d->receipt_rooms_n++] = (struct receipt_room){room, position};
}

static void mark(void *ctx, const char *server)
{
    const struct mark *m = ctx;
    struct sender *s = m->s;
    if (str_is(m->but, server))
        return;
    LOCKED(&s->lock);
    struct destination *d = sender_held_locked(s, server);
    if (!d)
        return;
    if (m->event)
        add_event_locked(d, m);
    else if (m->position > d->pending[m->pending])
        d->pending[m->pending] = m->position;
    if (!m->event && m->pending == PENDING_RECEIPTS)
        add_receipt_room_locked(d, m->room, m->position);
    touch_locked(s, d);
}

/* ---- the listener ---- */

static void leave_to_keeper(struct sender *s, const struct change *c, int64_t room)
{
    const struct event *e = change_any_event(c);
    struct unresolved *u = mem_zalloc(sizeof *u);
    *u = (struct unresolved){.kind = c->kind,
                             .position = c->position,
                             .room = room,
                             .user = c->user,
                             .event = e ? event_ref(e) : NULL};
    LOCKED(&s->lock);
    *s->last_unresolved = u;
    s->last_unresolved = &u->next;
    sender_keep(s, KEEPER_RESOLVE, 0);
}

/* The other server whose user the member event is about; false if there is none. */
static bool target_of(const struct sender *s, const struct event *e,
                      char ret[static ID_LENGTH_MAX + 1])
{
    if (!e->state_key || strcmp(e->type, "m.room.member") != 0 ||
        id_is_local(s->node, e->state_key))
        return false;
    struct str server = id_server(str_of(e->state_key));
    if (!server.n || server.n > ID_LENGTH_MAX)
        return false;
    memcpy(ret, server.p, server.n);
    ret[server.n] = '\0';
    return true;
}

/* A server that joins a room is sent the presence of our users there. */
static void mark_presence_of_room(struct sender *s, const struct change *c, const char *server)
{
    if (!s->node->users->presence || event_membership(c->event.event) != MEMBERSHIP_JOIN ||
        room_server_joined(s->node, c->room, server) != 1)
        return;
    LOCKED(&s->lock);
    struct destination *d = sender_held_locked(s, server);
    if (!d || d->failing_since)
        return;
    d->presence_from = 0;
    if (d->presence_to < c->position)
        d->presence_to = c->position;
    touch_locked(s, d);
}

/* A join of one of our users may be their first shared room with servers that are not sent their
 * device list yet (server-server-api, "Device Management"). */
static bool is_own_join(const struct sender *s, const struct event *e)
{
    return id_is_local(s->node, e->state_key) && strcmp(e->type, "m.room.member") == 0 &&
           event_membership(e) == MEMBERSHIP_JOIN;
}

static bool moves_server(const struct sender *s, const struct change *c)
{
    char server[ID_LENGTH_MAX + 1];
    const struct event *e = change_any_event(c);
    return e && target_of(s, e, server);
}

/* Whether servers joined or left the room after this change: then the room in memory does not say
 * who was in it at the change. */
static bool is_overtaken(const struct sender *s, const struct published *p, const struct change *c)
{
    for (const struct change *later = c + 1; later < p->list + p->movers_n; later++)
        if (later->room == c->room && moves_server(s, later))
            return true;
    return false;
}

static void hear_event(struct sender *s, const struct published *p, const struct change *c)
{
    const struct event *e = change_as_event(c)->event;
    struct mark m = {.s = s, .position = c->position, .room = c->room, .event = e};
    struct mark devices = {
        .s = s, .position = c->position, .room = c->room, .pending = PENDING_DEVICE_LISTS};
    char target[ID_LENGTH_MAX + 1];
    bool has_target = target_of(s, e, target);
    if (has_target)
        mark_presence_of_room(s, c, target);
    if (has_target && event_membership(e) == MEMBERSHIP_JOIN && s->node->federation)
        answers_forget(s->node->federation->answers, target); /* it may know the room now */
    if (is_own_join(s, e))
        room_each_server(s->node, c->room, INT64_MAX, mark, &devices);
    if (!id_is_local(s->node, e->sender)) {
        if (!c->event.is_relayed)
            return;
        m.but = id_server(str_of(e->sender));
    }
    if (event_is_dummy(e))
        return; /* servers fetch it when they receive an event that follows it */
    if (room_was_joined_with(s->node, c->room, c->position))
        return; /* the resident server sends it to the others */
    if (is_overtaken(s, p, c) || !room_each_server(s->node, c->room, p->last, mark, &m))
        leave_to_keeper(s, c, c->room);
    /* A member event is also sent to the server of its user, which may be invited or just have
     * left. The invite itself was signed there. */
    if (has_target && event_membership(e) != MEMBERSHIP_INVITE)
        mark(&m, target);
}

static void hear_receipt(struct sender *s, const struct change *c)
{
    struct mark m = {.s = s, .position = c->position, .room = c->room, .pending = PENDING_RECEIPTS};
    const struct change_receipt *r = change_as_receipt(c);
    if (r->is_private || !id_is_local(s->node, r->user_id))
        return;
    if (!room_each_server(s->node, c->room, INT64_MAX, mark, &m))
        leave_to_keeper(s, c, c->room);
}

static void hear_device_list(struct sender *s, const struct change *c)
{
    struct mark m = {.s = s, .position = c->position, .pending = PENDING_DEVICE_LISTS};
    if (c->device_list.is_private || !id_is_local(s->node, c->device_list.user_id))
        return;
    for (size_t i = 0; i < c->local.audience_n; i++)
        if (!room_each_server(s->node, c->local.audience[i], INT64_MAX, mark, &m))
            leave_to_keeper(s, c, c->local.audience[i]);
}

static void sender_pending_hear(struct sender *s, const struct published *p, const struct change *c)
{
    struct mark m = {.s = s, .position = c->position, .pending = PENDING_TO_DEVICE};
    if (c->kind == CHANGE_EVENT)
        hear_event(s, p, c);
    else if (c->kind == CHANGE_RECEIPT)
        hear_receipt(s, c);
    else if (c->kind == CHANGE_DEVICE_LIST)
        hear_device_list(s, c);
    else if (c->kind == CHANGE_TO_SERVER)
        mark(&m, c->to_server.server);
}

void sender_on_changes(void *ctx, const struct change *changes, size_t n)
{
    struct sender *s = ctx;
    struct published p = {changes, n ? changes[n - 1].position : 0, 0};
    bool is_asked = false;
    for (size_t i = 0; i < n; i++)
        if (moves_server(s, &changes[i]))
            p.movers_n = i + 1;
    for (size_t i = 0; i < n; i++) {
        sender_pending_hear(s, &p, &changes[i]);
        is_asked |= changes[i].local.is_asked;
    }
    LOCKED(&s->lock);
    s->heard = n ? changes[n - 1].position : feed_newest(s->node->storage->feed);
    if (!n) { /* changes were missed: nothing is sent until the scan has run */
        sender_slices_miss_locked(s);
        is_asked = true;
    }
    if (is_asked) {
        s->must_scan = true;
        sender_keep(s, KEEPER_SCAN, 0);
    }
    for (size_t i = 0; i < s->touched_n; i++)
        sender_consider_locked(s, s->touched[i]);
    s->touched_n = 0;
}

/* ---- changes left to the keeper ---- */

static struct unresolved *take_unresolved(struct sender *s)
{
    LOCKED(&s->lock);
    return s->unresolved;
}

static void finish_unresolved(struct sender *s, struct unresolved *u)
{
    LOCKED(&s->lock);
    s->unresolved = u->next;
    if (!s->unresolved)
        s->last_unresolved = &s->unresolved;
    event_unref(u->event);
    free(u);
}

/* The servers that were in the room at that position. The current set may differ: a server that
 * joined later must not be sent an event from before. */
static const struct err *list_servers_at(struct job *job, struct room *room, int64_t position,
                                         const char *const **ret, size_t *ret_n)
{
    const char *const *now;
    const struct outbound_server *changed;
    size_t now_n, changed_n, n = 0;
    struct map moved = {0};
    room_list_servers(job, room, &now, &now_n);
    *ret_n = 0;
    if (!now_n) /* no other server is in the room */
        return NULL;
    TRY(outbound_servers_changed(job_tx(job), room->id, position, &changed, &changed_n));
    const char **list = arena_alloc_array(job->arena, now_n + changed_n + 1, sizeof *list);
    for (size_t i = 0; i < changed_n; i++) {
        map_put(&moved, str_of(changed[i].name), (void *)&changed[i]);
        if (changed[i].was_there && !config_is_own_server(job->config, changed[i].name))
            list[n++] = changed[i].name;
    }
    for (size_t i = 0; i < now_n; i++)
        if (!map_get(&moved, str_of(now[i])))
            list[n++] = now[i];
    map_finish(&moved);
    *ret = list;
    *ret_n = n;
    return NULL;
}

static const struct err *resolve_event(struct sender *s, struct job *job,
                                       const struct unresolved *u, struct room *room)
{
    struct mark m = {.s = s,
                     .position = u->position,
                     .room = u->room,
                     .event = u->event,
                     .but = id_server(str_of(u->event->sender))};
    const char *const *servers;
    size_t n;
    if (room_join_position(room) == u->position)
        return NULL;
    TRY(list_servers_at(job, room, u->position, &servers, &n));
    for (size_t i = 0; i < n; i++)
        mark(&m, servers[i]);
    return NULL;
}

static const struct err *sender_pending_resolve(struct sender *s, struct job *job,
                                                const struct unresolved *u)
{
    struct mark m = {.s = s,
                     .position = u->position,
                     .room = u->room,
                     .pending =
                         u->kind == CHANGE_RECEIPT ? PENDING_RECEIPTS : PENDING_DEVICE_LISTS};
    struct room *room;
    const char *const *servers;
    size_t n;
    TRY(room_get_by_id(job, u->room, &room));
    if (!room)
        return NULL;
    if (u->event)
        TRY(resolve_event(s, job, u, room));
    if (u->event && !is_own_join(s, u->event))
        return NULL;
    room_list_servers(job, room, &servers, &n);
    for (size_t i = 0; i < n; i++)
        mark(&m, servers[i]);
    return NULL;
}

const struct err *sender_resolve(struct sender *s, struct job *job)
{
    for (struct unresolved *u; (u = take_unresolved(s));) {
        TRY(sender_pending_resolve(s, job, u));
        finish_unresolved(s, u);
    }
    return NULL; /* the keeper then considers all destinations */
}

/* ---- what is not in the log ---- */

struct typing_mark {
    struct sender *s;
    struct typing_notice notice;
};

/* A server that has not answered for long would receive the notice too late. */
static void mark_typing(void *ctx, const char *server)
{
    struct typing_mark *m = ctx;
    LOCKED(&m->s->lock);
    struct destination *d = sender_held_locked(m->s, server);
    if (!d || (d->failing_since && now_ms() - d->failing_since > TYPING_MS))
        return;
    typing_put_locked(d, &m->notice);
    sender_consider_locked(m->s, d);
}

void sender_on_typing(void *ctx, int64_t room, const char *user_id, bool typing)
{
    struct sender *s = ctx;
    struct typing_mark m = {s, {room, mono_ms(), (char *)user_id, typing}};
    if (id_is_local(s->node, user_id))
        room_each_server(s->node, room, INT64_MAX, mark_typing, &m);
}

struct presence_mark {
    struct sender *s;
    int64_t from, to;
};

static void mark_presence(struct presence_mark *m, const char *server)
{
    LOCKED(&m->s->lock);
    struct destination *d = sender_held_locked(m->s, server);
    if (!d || d->failing_since)
        return;
    if (d->presence_from >= d->presence_to)
        d->presence_from = m->from;
    d->presence_to = m->to;
    sender_consider_locked(m->s, d);
}

static const struct err *spread_presence(struct job *job, struct presence_mark *m)
{
    const struct presence_update *list;
    size_t n;
    presence_list_updates(job, m->from, m->to, &list, &n);
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; id_is_local(m->s->node, list[i].row.user_id) && k < list[i].rooms_n;
             k++) {
            struct room *room;
            const char *const *servers;
            size_t servers_n = 0;
            TRY(room_get_by_id(job, list[i].rooms[k], &room));
            if (room)
                room_list_servers(job, room, &servers, &servers_n);
            for (size_t j = 0; j < servers_n; j++)
                mark_presence(m, servers[j]);
        }
    return NULL;
}

/* Once a second, so that many changes at once cost each server a transaction or two. */
const struct err *sender_spread_presence(struct sender *s, struct job *job)
{
    struct presence_mark m = {s, s->presence_position, feed_position(s->node->storage->feed)};
    if (!s->node->users->presence)
        return NULL;
    if (feed_kind_position(s->node->storage->feed, CHANGE_PRESENCE) > m.from)
        TRY(spread_presence(job, &m));
    s->presence_position = m.to;
    return NULL;
}

/* ---- rooms with receipts ---- */

bool sender_receipt_rooms(struct job *job, struct sender *s, const char *server, int64_t from,
                          const int64_t **ret, size_t *ret_n)
{
    LOCKED(&s->lock);
    struct destination *d = map_get(&s->destinations, str_of(server));
    if (!d || d->receipt_rooms_from > from)
        return false;
    int64_t *list = arena_alloc_array(job->arena, d->receipt_rooms_n + 1, sizeof *list);
    size_t n = 0;
    for (size_t i = 0; i < d->receipt_rooms_n; i++)
        if (d->receipt_rooms[i].newest > from)
            list[n++] = d->receipt_rooms[i].room;
    *ret = list;
    *ret_n = n;
    return true;
}
