/* Server-server API, send_join: a user of another server joins, and their server gets the room's
 * state, spliced from the stored bytes. */
#include "federation/in/pdu.h"
#include "federation/in/share.h"
#include "federation/routes.h"
#include "federation/routes/resident.h"
#include "matrix/json_scan.h"
#include "rooms/read/erasure.h"
#include "rooms/servers.h"
#include "rooms/state/auth_chain.h"

enum { HEROES = 5 };

struct answer {
    struct request *rq;
    struct reply *rp;
    struct room *room;
    const struct event *join;
    bool omits_members;
    const struct stored_event *const *state;
    size_t state_n;
    struct onlooker *onlooker;
    const char *const *servers; /* before the join */
    size_t servers_n;
};

/* ---- the state to send ---- */

/* The heroes, which name a room without a name: its earliest members. */
struct heroes {
    const struct stored_event *list[HEROES];
    size_t n;
};

static bool is_around(const struct event *e)
{
    enum membership m = event_membership(e);
    return m == MEMBERSHIP_JOIN || m == MEMBERSHIP_INVITE;
}

static void send_join_add_hero(struct heroes *h, const struct stored_event *e)
{
    size_t at = h->n;
    while (at > 0 && h->list[at - 1]->position > e->position)
        at--;
    if (at == HEROES)
        return;
    if (h->n < HEROES)
        h->n++;
    memmove(&h->list[at + 1], &h->list[at], (h->n - 1 - at) * sizeof *h->list);
    h->list[at] = e;
}

static bool send_join_has_name(const struct stored_event *state, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if ((state[i].type == TYPE_NAME || state[i].type == TYPE_CANONICAL_ALIAS) &&
            !*state[i].event->state_key)
            return true;
    return false;
}

static const struct stored_event **take_events(struct answer *a, const struct stored_event *list,
                                               size_t n)
{
    const struct stored_event **events =
        arena_alloc_array(a->rq->arena, n + HEROES, sizeof *events);
    for (size_t i = 0; i < n; i++)
        events[i] = &list[i];
    a->state = events;
    a->state_n = n;
    return events;
}

static const struct err *unknown_state(const struct answer *a)
{
    return err_internal("the state before the accepted join %s is not known", a->join->event_id);
}

static const struct err *read_whole(struct answer *a, int64_t position,
                                    const struct stored_event **ret, size_t *ret_n)
{
    bool known;
    TRY(state_before_list(a->rq->job, a->room, position, ret, ret_n, &known));
    return known ? NULL : unknown_state(a);
}

static const struct err *send_join_add_heroes(struct answer *a, int64_t position,
                                              const struct stored_event **events)
{
    const struct stored_event *all;
    size_t n;
    struct heroes heroes = {.n = 0};
    TRY(read_whole(a, position, &all, &n));
    for (size_t i = 0; i < n; i++)
        if (all[i].type == TYPE_MEMBER && is_around(all[i].event))
            send_join_add_hero(&heroes, &all[i]);
    for (size_t i = 0; i < heroes.n; i++)
        events[a->state_n++] = heroes.list[i];
    return NULL;
}

/* Without members, except for the heroes of a room that has neither name nor alias. */
static const struct err *read_without_members(struct answer *a, int64_t position)
{
    const struct stored_event *list;
    size_t n;
    bool known;
    TRY(state_before_list_without_members(a->rq->job, a->room, position, &list, &n, &known));
    if (!known)
        return unknown_state(a);
    const struct stored_event **events = take_events(a, list, n);
    return send_join_has_name(list, n) ? NULL : send_join_add_heroes(a, position, events);
}

static const struct err *send_join_read_state(struct answer *a, int64_t position)
{
    const struct stored_event *list;
    size_t n;
    if (a->omits_members)
        return read_without_members(a, position);
    TRY(read_whole(a, position, &list, &n));
    take_events(a, list, n);
    return NULL;
}

/* ---- writing the reply ---- */

/* Events of erased users are redacted for a server that joins now. */
static const struct err *send_join_add_event(struct answer *a, const struct stored_event *e)
{
    const struct event *shown;
    TRY(onlooker_event(a->rq->job, a->onlooker, e, &shown));
    buf_add_str(&a->rp->body, pdu_bytes(shown));
    return reply_flush(a->rp);
}

static const struct err *send_join_add_state(struct answer *a)
{
    for (size_t i = 0; i < a->state_n; i++) {
        if (i)
            buf_add_char(&a->rp->body, ',');
        TRY(send_join_add_event(a, a->state[i]));
    }
    return NULL;
}

/* The auth chain of the join and of all state that is sent. With omitted members, events in `state`
 * are not repeated. */
static const struct err *add_auth_chain(struct answer *a)
{
    struct job *job = a->rq->job;
    const char **ids = arena_alloc_array(job->arena, a->state_n + a->join->auth_n, sizeof *ids);
    struct map sent = {0};
    const struct stored_event *chain;
    size_t n = 0, chain_n;
    for (size_t i = 0; i < a->state_n; i++) {
        ids[n++] = a->state[i]->event->event_id;
        if (a->omits_members)
            map_put(&sent, str_of(a->state[i]->event->event_id), (void *)a->state[i]);
    }
    ids[n++] = a->join->event_id;
    const struct err *e = auth_chain(job, a->room, ids, n, &chain, &chain_n);
    bool any = false;
    for (size_t i = 0; !e && i < chain_n; i++) {
        if (map_get(&sent, str_of(chain[i].event->event_id)))
            continue;
        if (any)
            buf_add_char(&a->rp->body, ',');
        any = true;
        e = send_join_add_event(a, &chain[i]);
    }
    map_finish(&sent);
    return e;
}

static void send_join_add_servers(struct answer *a)
{
    struct buf *b = &a->rp->body;
    BUF_LIT(b, ",\"servers_in_room\":[");
    for (size_t i = 0; i < a->servers_n; i++) {
        if (i)
            buf_add_char(b, ',');
        buf_add_json_string(b, str_of(a->servers[i]));
    }
    buf_add_char(b, ']');
}

static const struct err *write_answer(struct answer *a)
{
    struct job *job = a->rq->job;
    struct buf *b = &a->rp->body;
    BUF_LIT(b, "{\"origin\":");
    buf_add_json_string(b, str_of(job->config->server_name));
    BUF_LIT(b, ",\"members_omitted\":");
    buf_add_text(b, a->omits_members ? "true" : "false");
    BUF_LIT(b, ",\"event\":");
    buf_add_str(b, pdu_bytes(a->join));
    send_join_add_servers(a);
    BUF_LIT(b, ",\"state\":[");
    TRY(send_join_add_state(a));
    BUF_LIT(b, "],\"auth_chain\":[");
    TRY(add_auth_chain(a));
    BUF_LIT(b, "]}");
    return NULL;
}

/* ---- the endpoints ---- */

/* Servers with joined members, including our own. */
static void list_servers(struct answer *a)
{
    struct job *job = a->rq->job;
    const char *const *others;
    size_t n;
    room_list_servers(job, a->room, &others, &n);
    const char **all = arena_alloc_array(job->arena, n + 1, sizeof *all);
    all[0] = job->config->server_name;
    if (n)
        memcpy(all + 1, others, n * sizeof *all);
    a->servers = all;
    a->servers_n = n + 1;
}

static const struct err *take_join(struct answer *a)
{
    int64_t position;
    TRY(resident_room(a->rq, &a->room));
    TRY(resident_read_event(a->rq, a->room, MEMBERSHIP_JOIN, &a->join));
    list_servers(a);
    a->onlooker = onlooker_server(a->rq->arena, remote_of(a->rq)->name);
    TRY(resident_accept(a->rq, a->room, a->join, &position));
    return send_join_read_state(a, position);
}

static const struct err *put_send_join(struct request *rq, struct reply *rp)
{
    struct answer a = {.rq = rq, .rp = rp};
    TRY(request_query_bool(rq, "omit_members", false, &a.omits_members));
    TRY(take_join(&a));
    TRY(write_answer(&a));
    return reply_body(rp, 200);
}

static const struct err *put_send_join_v1(struct request *rq, struct reply *rp)
{
    struct answer a = {.rq = rq, .rp = rp};
    TRY(take_join(&a));
    BUF_LIT(&rp->body, "[200,");
    TRY(write_answer(&a));
    buf_add_char(&rp->body, ']');
    return reply_body(rp, 200);
}

const struct route federation_send_join_routes[] = {
    {.method = PUT,
     .path = "/_matrix/federation/v1/send_join/{room}/{event}",
     .handler = share_run,
     .inner = put_send_join_v1,
     .who = WHO_SERVER,
     .body = BODY_RAW,
     .pool = POOL_FEDERATION,
     .spec = "joining rooms"},
    {.method = PUT,
     .path = "/_matrix/federation/v2/send_join/{room}/{event}",
     .handler = share_run,
     .inner = put_send_join,
     .who = WHO_SERVER,
     .body = BODY_RAW,
     .pool = POOL_FEDERATION,
     .spec = "joining rooms"},
    {.path = NULL},
};
