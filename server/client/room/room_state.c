/* Client-server API, "Room state": setting and reading it. */
#include "storage/rooms/room_state.h"
#include "base/clock.h"
#include "federation/routes/query.h"
#include "federation/users/query_ask.h"
#include "matrix/json_scan.h"
#include "rooms/accept/resync.h"
#include "rooms/guests.h"
#include "rooms/write/basis.h"
#include "rooms/write/naming.h"
#include "server/client/room/member_change.h"
#include "server/client/room/state_content.h"
#include "server/client/shared/room_reading.h"
#include "server/remote_request.h"
#include "server/routes.h"
#include "storage/db/intern.h"

enum {
    ALIASES_ASKED_MAX = 10,
    EVENT_BODY_MAX = 256 * 1024 /* an event with white space and escapes */
};

/* ---- setting ---- */

/* *ret_event_id NULL: the request moves to POOL_REMOTE. */
static const struct err *put_member(struct request *rq, struct room *room, const char *target,
                                    const char **ret_event_id)
{
    struct author author = author_of(rq);
    struct member_change change = {
        .target = target, .content = rq->body, .author_is_guest = caller_of(rq)->is_guest};
    TRY(membership_action(job_of(rq), room, author.user_id, target, rq->body, &change.action));
    *ret_event_id = NULL;
    if (member_change_is_remote(job_of(rq), room, &change) && rq->pool != POOL_REMOTE)
        return NULL;
    return member_change_apply(job_of(rq), room, &author, &change, ret_event_id);
}

/* Aliases of other servers: those servers decide whether they name the room. */
struct asking {
    const struct request *rq;
    bool must_move; /* to another pool */
    int asked;
};

static const struct err *room_state_ask_for_alias(void *ctx, struct job *job, const char *alias,
                                                  const char **ret_room_id)
{
    struct asking *a = ctx;
    const char *const *servers;
    size_t n;
    a->must_move = a->rq->pool != POOL_REMOTE;
    if (a->must_move)
        return err(ERR_CONFLICT, "Another server must be asked");
    if (++a->asked > ALIASES_ASKED_MAX)
        return err(ERR_BAD_ALIAS, "More than %d aliases of other servers are new",
                   ALIASES_ASKED_MAX);
    const struct err *e = federation_resolve_alias(job, alias, ret_room_id, &servers, &n);
    return e && e->code != ERR_NOT_FOUND && e->code != ERR_FORBIDDEN ? e : NULL;
}

struct naming {
    struct asking asking;
    const struct new_event *event;
};

static const struct err *decide_canonical(void *ctx, struct basis *on, struct new_event *ret,
                                          const char **ret_existing)
{
    struct naming *n = ctx;
    const struct alias_asker asker = {room_state_ask_for_alias, &n->asking};
    n->asking.asked = 0;
    *ret = *n->event;
    return naming_check_canonical(on, n->asking.rq->body, &asker);
}

/* *ret_event_id NULL: another server must be asked. */
static const struct err *put_canonical(struct request *rq, struct room *room,
                                       const struct author *author, const struct new_event *e,
                                       const char **ret_event_id)
{
    struct naming naming = {.asking = {.rq = rq}, .event = e};
    const struct decision decision = {decide_canonical, &naming};
    *ret_event_id = NULL;
    const struct err *problem =
        room_decide_state(job_of(rq), room, author, &decision, ret_event_id);
    return naming.asking.must_move ? NULL : problem;
}

static const struct err *put_other(struct request *rq, struct room *room, const char *type,
                                   const char *key, const char **ret_event_id)
{
    struct job *job = job_of(rq);
    struct author author = author_of(rq);
    struct new_event e = {.type = type, .state_key = key, .content = rq->raw};
    if (strcmp(type, "m.room.canonical_alias") == 0 && !*key)
        return put_canonical(rq, room, &author, &e, ret_event_id);
    TRY(room_set_state(job, room, &author, &e, ret_event_id));
    if (strcmp(type, "m.room.guest_access") == 0 && !*key)
        TRY(guests_remove(job, room));
    return NULL;
}

static const struct err *move_on(struct request *rq, struct reply *rp, bool is_member)
{
    bool here;
    return is_member ? reply_elsewhere(rp, POOL_REMOTE) : remote_request_begin(rq, rp, NULL, &here);
}

static const struct err *put_state(struct request *rq, struct reply *rp)
{
    const char *type = request_param(rq, "type"), *key = request_param(rq, "key"), *event_id;
    struct room *room;
    TRY(need_not_suspended(rq));
    TRY(room_of_request(rq, &room));
    if (!key || !*key)
        TRY(state_content_check(job_of(rq), room, type, rq->body));
    bool is_member = strcmp(type, "m.room.member") == 0;
    if (is_member)
        TRY(put_member(rq, room, key ? key : "", &event_id));
    else
        TRY(put_other(rq, room, type, key ? key : "", &event_id));
    if (!event_id)
        return move_on(rq, rp, is_member);
    caller_acts(rq);
    return reply_json(rp, 200, "{s:s}", "event_id", event_id);
}

/* ---- reading one event ---- */

/* NULL if the room had no such state then. */
static const struct err *find_state(struct job *job, struct room *room, int64_t position,
                                    const char *type, const char *key,
                                    const struct stored_event **ret)
{
    int64_t type_id;
    *ret = NULL;
    if (position == ROOM_STATE_NOW) {
        struct stored_event *current = arena_alloc(job->arena, sizeof *current);
        *current = (struct stored_event){.room = room->id, .is_state = true};
        TRY(room_state_at_head(job, room, type, key, &current->event, &current->position));
        *ret = current->event ? current : NULL;
        return NULL;
    }
    TRY(intern_find(job->storage->intern, INTERN_TYPE, type, &type_id));
    return type_id ? room_state_get(job_tx(job), room->id, type_id, key, position, ret) : NULL;
}

/* While the room's state is partial, a request for its members waits, without a thread, for a
 * bounded time. *ret_ready false: the reply is made. */
static const struct err *await_members(struct request *rq, struct reply *rp, struct room *room,
                                       bool *ret_ready)
{
    enum { LOOK_EVERY_MS = 200, WAIT_MS = 60 * 1000 };
    *ret_ready = !room_is_partial(room);
    if (*ret_ready)
        return NULL;
    if (request_is_stopping(rq) || mono_us() - rq->started_mono_us > WAIT_MS * INT64_C(1000))
        return err_unavailable(WAIT_MS, "the members of %s are not known yet", room->room_id);
    return reply_wait(rp, mono_ms() + LOOK_EVERY_MS);
}

static const struct err *get_state_event(struct request *rq, struct reply *rp)
{
    const char *key = request_param(rq, "key"), *format = request_query(rq, "format");
    bool whole = format && strcmp(format, "event") == 0;
    struct room *room;
    int64_t position;
    const struct stored_event *e;
    const struct event *shown;
    bool ready;
    struct viewer viewer = viewer_of(rq);
    if (format && !whole && strcmp(format, "content") != 0)
        return err(ERR_INVALID_PARAM, "\"format\" must be \"content\" or \"event\"");
    TRY(room_of_request(rq, &room));
    TRY(room_state_position(rq, room, &position));
    TRY(find_state(job_of(rq), room, position, request_param(rq, "type"), key ? key : "", &e));
    if (!e && strcmp(request_param(rq, "type"), "m.room.member") == 0) {
        TRY(await_members(rq, rp, room, &ready));
        if (!ready)
            return NULL;
    }
    if (!e)
        return err(ERR_NOT_FOUND, "The room has no such state");
    TRY(viewer_event(job_of(rq), &viewer, e, &shown));
    if (whole)
        TRY(serialize_state_event(job_of(rq), &viewer, e, &rp->body));
    else
        buf_add_str(&rp->body, shown->content);
    return reply_body(rp, 200);
}

/* ---- reading all, members in steps ---- */

/* Which members to return, and how. */
struct member_list {
    struct request *rq;
    struct reply *rp;
    struct room *room;
    int64_t position;
    enum membership membership, not_membership; /* filters; MEMBERSHIP_NONE: none */
    struct viewer viewer;
    const struct err *(*add)(struct member_list *l, const struct stored_event *e);
    bool any; /* something was written before */
};

static bool room_state_is_wanted(const struct member_list *l, const struct event *e)
{
    if (!l->membership && !l->not_membership)
        return true;
    enum membership is = event_membership(e);
    return (l->membership && is == l->membership) || (l->not_membership && is != l->not_membership);
}

static const struct err *room_state_add_event(struct member_list *l, const struct stored_event *e)
{
    return serialize_state_event(job_of(l->rq), &l->viewer, e, &l->rp->body);
}

static const struct err *room_state_add_events(struct member_list *l,
                                               const struct stored_event *events, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!room_state_is_wanted(l, events[i].event))
            continue;
        if (l->any)
            buf_add_char(&l->rp->body, ',');
        TRY(l->add(l, &events[i]));
        l->any = true;
    }
    return NULL;
}

static struct member_list list_of(struct request *rq, struct reply *rp)
{
    return (struct member_list){
        .rq = rq, .rp = rp, .viewer = viewer_of(rq), .add = room_state_add_event};
}

/* Writes one page, and frees its memory; ret_last: the last state key of the page, "" at the end.
 */
static const struct err *add_members_page(struct member_list *l, const char *after, char *ret_last)
{
    enum { PAGE = 500 };
    arena_auto struct arena *a = arena_create();
    struct tx tx;
    tx_init(&tx, job_of(l->rq)->node->storage->db, a);
    const struct stored_event *events;
    size_t n;
    const struct err *e =
        room_state_members_page(&tx, l->room->id, l->position, after, PAGE, &events, &n);
    tx_finish(&tx);
    TRY(e);
    TRY(room_state_add_events(l, events, n));
    ret_last[0] = '\0';
    if (n == PAGE)
        snprintf(ret_last, EVENT_STATE_KEY_MAX + 1, "%s", events[n - 1].event->state_key);
    return reply_flush(l->rp);
}

static const struct err *room_state_add_all_members(struct member_list *l)
{
    char after[EVENT_STATE_KEY_MAX + 1] = "", last[EVENT_STATE_KEY_MAX + 1];
    do {
        TRY(add_members_page(l, after, last));
        memcpy(after, last, sizeof after);
    } while (*after);
    return NULL;
}

/* A fixed position, so that all pages belong together. */
static int64_t room_state_settle(struct request *rq, int64_t position)
{
    return position == ROOM_STATE_NOW ? feed_position(job_of(rq)->storage->feed) : position;
}

static const struct err *room_state_get_state(struct request *rq, struct reply *rp)
{
    struct member_list l = list_of(rq, rp);
    const struct stored_event *others;
    size_t n;
    bool ready;
    TRY(room_of_request(rq, &l.room));
    TRY(await_members(rq, rp, l.room, &ready));
    if (!ready)
        return NULL;
    TRY(room_state_position(rq, l.room, &l.position));
    l.position = room_state_settle(rq, l.position);
    TRY(room_state_list(job_tx(job_of(rq)), l.room->id, l.position, STATE_WITHOUT_MEMBERS, &others,
                        &n));
    buf_add_char(&rp->body, '[');
    TRY(room_state_add_events(&l, others, n));
    TRY(room_state_add_all_members(&l));
    buf_add_char(&rp->body, ']');
    return reply_body(rp, 200);
}

/* MEMBERSHIP_NONE if it is absent; M_INVALID_PARAM for anything else. */
static const struct err *read_membership(struct request *rq, const char *name, enum membership *ret)
{
    const char *text = request_query(rq, name);
    *ret = membership_parse(text);
    if (text && *ret == MEMBERSHIP_NONE)
        return err(ERR_INVALID_PARAM, "\"%s\" must be a membership", name);
    return NULL;
}

/* `at`, limited to what the user may see. A client that pages back to before the room's first
 * member gets that member. */
static const struct err *members_position(struct request *rq, struct room *room, int64_t allowed,
                                          int64_t *ret)
{
    int64_t at, first;
    TRY(reading_place(rq, "at", allowed, &at));
    if (at < allowed) {
        TRY(room_state_first_member(job_tx(job_of(rq)), room->id, &first));
        at = at < first ? first : at;
    }
    *ret = at < allowed ? at : allowed;
    return NULL;
}

static const struct err *get_members(struct request *rq, struct reply *rp)
{
    struct member_list l = list_of(rq, rp);
    TRY(read_membership(rq, "membership", &l.membership));
    TRY(read_membership(rq, "not_membership", &l.not_membership));
    bool ready;
    TRY(room_of_request(rq, &l.room));
    TRY(await_members(rq, rp, l.room, &ready));
    if (!ready)
        return NULL;
    TRY(room_state_position(rq, l.room, &l.position));
    TRY(members_position(rq, l.room, room_state_settle(rq, l.position), &l.position));
    BUF_LIT(&rp->body, "{\"chunk\":[");
    TRY(room_state_add_all_members(&l));
    BUF_LIT(&rp->body, "]}");
    return reply_body(rp, 200);
}

static struct str text_or_null(struct str value)
{
    return value.p && value.p[0] == '"' ? value : STR("null");
}

/* `"@user:server":{"display_name":…,"avatar_url":…}` */
static const struct err *room_state_add_joined(struct member_list *l,
                                               const struct stored_event *stored)
{
    struct buf *b = &l->rp->body;
    const struct event *e;
    TRY(viewer_event(job_of(l->rq), &l->viewer, stored, &e));
    struct str name = json_scan_get(e->content, "displayname");
    struct str avatar = json_scan_get(e->content, "avatar_url");
    buf_add_json_string(b, str_of(e->state_key));
    BUF_LIT(b, ":{\"avatar_url\":");
    buf_add_str(b, text_or_null(avatar));
    BUF_LIT(b, ",\"display_name\":");
    buf_add_str(b, text_or_null(name));
    buf_add_char(b, '}');
    return NULL;
}

static const struct err *get_joined_members(struct request *rq, struct reply *rp)
{
    struct member_list l = list_of(rq, rp);
    l.membership = MEMBERSHIP_JOIN;
    l.add = room_state_add_joined;
    bool ready;
    TRY(room_of_request(rq, &l.room));
    TRY(room_need_joined(l.room, caller_of(rq)->user));
    TRY(await_members(rq, rp, l.room, &ready));
    if (!ready)
        return NULL;
    l.position = room_state_settle(rq, ROOM_STATE_NOW);
    BUF_LIT(&rp->body, "{\"joined\":{");
    TRY(room_state_add_all_members(&l));
    BUF_LIT(&rp->body, "}}");
    return reply_body(rp, 200);
}

const struct route room_state_routes[] = {
    {.method = PUT,
     .path = "/_matrix/client/v3/rooms/{room}/state/{type}",
     .handler = put_state,
     .moves_to = POOL_REMOTE,
     .who = WHO_GUEST_TOO,
     .body = BODY_JSON,
     .body_max = EVENT_BODY_MAX,
     .rate = RATE_MESSAGE,
     .spec = "sending events"},
    {.method = PUT,
     .path = "/_matrix/client/v3/rooms/{room}/state/{type}/{key}",
     .handler = put_state,
     .moves_to = POOL_REMOTE,
     .who = WHO_GUEST_TOO,
     .body = BODY_JSON,
     .body_max = EVENT_BODY_MAX,
     .rate = RATE_MESSAGE,
     .spec = "sending events"},
    {.method = GET,
     .path = "/_matrix/client/v3/rooms/{room}/state/{type}",
     .handler = get_state_event,
     .who = WHO_GUEST_TOO,
     .spec = "getting events for a room"},
    {.method = GET,
     .path = "/_matrix/client/v3/rooms/{room}/state/{type}/{key}",
     .handler = get_state_event,
     .who = WHO_GUEST_TOO,
     .spec = "getting events for a room"},
    {.method = GET,
     .path = "/_matrix/client/v3/rooms/{room}/state",
     .handler = room_state_get_state,
     .who = WHO_GUEST_TOO,
     .spec = "getting events for a room"},
    {.method = GET,
     .path = "/_matrix/client/v3/rooms/{room}/members",
     .handler = get_members,
     .who = WHO_GUEST_TOO,
     .spec = "getting events for a room"},
    {.method = GET,
     .path = "/_matrix/client/v3/rooms/{room}/joined_members",
     .handler = get_joined_members,
     .who = WHO_USER,
     .spec = "getting events for a room"},
    {.path = NULL},
};
