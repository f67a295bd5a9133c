#include "federation/in/ask.h"

#include "base/clock.h"
#include "federation/in/ask_internal.h"
#include "federation/in/inbound_internal.h"
#include "federation/peer/path.h"
#include "federation/peer/request.h"
#include "matrix/id.h"
#include "matrix/json_scan.h"
#include "rooms/servers.h"

enum {
    REQUESTS = 60,
    EVENTS = 2000,
    BYTES = 32 << 20,
    TIME_MS = 90 * 1000,
    TIMEOUT_MS = 20 * 1000
};

/* ---- servers to ask ---- */

static void ask_add_server(struct ask *a, const char *name)
{
    for (size_t i = 0; i < a->servers_n; i++)
        if (strcmp(a->servers[i].name, name) == 0)
            return;
    if (a->servers_n < ASKED_MAX && federation_may_contact(a->job->config, name))
        a->servers[a->servers_n++].name = name;
}

void ask_init(struct ask *a, struct job *job, struct room *room, const char *first)
{
    const char *const *names;
    size_t n;
    *a = (struct ask){.job = job,
                      .room = room,
                      .requests = REQUESTS,
                      .events = EVENTS,
                      .bytes = BYTES,
                      .deadline_mono_ms = mono_ms() + TIME_MS};
    room_list_servers(job, room, &names, &n);
    if (first)
        ask_add_server(a, first);
    for (size_t i = 0; i < n; i++) /* the server that created the room has most of it */
        if (id_is_of(room->room_id, names[i]))
            ask_add_server(a, names[i]);
    size_t from = n ? (size_t)mono_us() % n : 0;
    for (size_t i = 0; i < n; i++)
        ask_add_server(a, names[(from + i) % n]);
}

static bool is_stopping(const struct ask *a)
{
    return atomic_load(&inbound_of(a->job)->stopping);
}

bool ask_may_go_on(const struct ask *a)
{
    size_t i;
    return !is_stopping(a) && a->requests > 0 && a->events && a->bytes &&
           mono_ms() < a->deadline_mono_ms && ask_find_server(a, &i);
}

static bool is_asked(const struct ask *a, size_t i)
{
    return !a->servers[i].is_away && !a->servers[i].is_passed_over;
}

bool ask_find_server(const struct ask *a, size_t *ret)
{
    for (*ret = 0; *ret < a->servers_n; ++*ret)
        if (is_asked(a, *ret))
            return true;
    return false;
}

bool ask_failed(const struct ask *a)
{
    size_t failed = 0;
    for (size_t i = 0; i < a->servers_n; i++)
        failed += a->servers[i].failed;
    return failed && (a->servers[0].failed || failed == a->servers_n);
}

void ask_skip(struct ask *a)
{
    a->servers[a->answered].is_passed_over = true;
}

/* ---- requests ---- */

/* Uses an arena of its own: only the bytes of the reply are kept. */
static const struct err *exchange(struct ask *a, struct fed_request *r, struct str *ret)
{
    struct job *job = a->job;
    struct arena *outer = job->arena;
    arena_auto struct arena *inner = arena_create();
    struct fed_reply reply;
    job_use_arena(job, inner);
    const struct err *e = federation_request(job, r, &reply);
    job_use_arena(job, outer);
    if (!e)
        e = json_scan_check(reply.body);
    if (!e)
        *ret = (struct str){arena_memdup(outer, reply.body.p, reply.body.n), reply.body.n};
    return e;
}

void ask_note_failure(struct ask *a, size_t server, bool is_unreachable, int64_t wait_ms)
{
    a->servers[server].is_away = is_unreachable || wait_ms;
    if (wait_ms && (!a->wait_ms || wait_ms < a->wait_ms))
        a->wait_ms = wait_ms;
}

/* A rate limit, an unreachable server or a server error is no answer to the request. */
static void ask_note_outcome(struct ask *a, const struct err *e)
{
    bool is_unreachable = federation_is_unreachable(e);
    int64_t wait_ms = federation_wait_ms(e);
    bool failed = is_unreachable || wait_ms || (e && e->answered >= 500);
    a->servers[a->answered].failed = failed;
    a->may_come_yet |= failed;
    a->answers += !is_unreachable && !wait_ms;
    ask_note_failure(a, a->answered, is_unreachable, wait_ms);
}

/* A server may know the room, but not what came before its own join. */
static bool has_any(struct str reply, const char *list)
{
    struct str found = json_scan_get(reply, list);
    struct json_member first;
    size_t pos = 0;
    return found.p && found.p[0] == '[' && json_scan_next(found, &pos, &first);
}

const struct err *ask_any(struct ask *a, struct fed_request *r, const char *list, struct str *ret)
{
    *ret = (struct str){0};
    a->may_come_yet = false;
    for (size_t i = 0; i < a->servers_n && !ret->p; i++) {
        int64_t left_ms = a->deadline_mono_ms - mono_ms();
        if (!is_asked(a, i))
            continue;
        if (a->requests <= 0 || left_ms <= 0 || !a->bytes || is_stopping(a))
            return NULL;
        a->requests--;
        r->server = a->servers[i].name;
        r->timeout_ms = left_ms < TIMEOUT_MS ? left_ms : TIMEOUT_MS;
        r->reply_max = r->reply_max && r->reply_max < a->bytes ? r->reply_max : a->bytes;
        a->answered = i;
        const struct err *e = exchange(a, r, ret);
        if (e && e->code == ERR_INTERNAL)
            return e;
        ask_note_outcome(a, e);
        a->bytes -= ret->n < a->bytes ? ret->n : a->bytes;
        if (ret->p && !has_any(*ret, list))
            *ret = (struct str){0};
    }
    a->may_come_yet &= !ret->p;
    return NULL;
}

const struct err *ask_read_pdus(struct ask *a, struct str list, size_t max, struct events *ret)
{
    struct job *job = a->job;
    struct pdu *pdus;
    size_t n;
    *ret = (struct events){0};
    if (!list.p || list.p[0] != '[' || pdu_list(job->arena, list, max, &pdus, &n) || !n)
        return NULL;
    TRY(pdu_read(job, a->room->version, a->room->room_id, pdus, n));
    ret->list = arena_alloc_array(job->arena, n, sizeof *ret->list);
    for (size_t i = 0; i < n; i++) {
        a->denied += pdu_is_of_denied_server(&pdus[i]);
        if (pdus[i].event)
            ret->list[ret->n++] = pdus[i].event;
    }
    inbound_count(inbound_of(job), COUNT_FETCHED, ret->n);
    return NULL;
}

/* ---- events before others ---- */

static json_t *id_list(const char *const *ids, size_t n)
{
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, json_string(ids[i]));
    return list;
}

static const struct err *ask_read_events(struct ask *a, struct str list, size_t max,
                                         struct events *ret)
{
    max = max < a->events ? max : a->events;
    TRY(ask_read_pdus(a, list, max, ret));
    a->events -= ret->n < a->events ? ret->n : a->events;
    return NULL;
}

const struct err *ask_missing(struct ask *a, const char *const *earliest, size_t earliest_n,
                              const char *const *latest, size_t latest_n, int64_t min_depth,
                              struct events *ret)
{
    struct arena *arena = a->job->arena;
    json_t *body = json_keep(arena, json_pack("{s:o, s:o, s:i, s:I}", "earliest_events",
                                              id_list(earliest, earliest_n), "latest_events",
                                              id_list(latest, latest_n), "limit", MISSING_LIMIT,
                                              "min_depth", (json_int_t)min_depth));
    struct fed_request r = {
        .method = POST,
        .path = federation_path(arena, "/_matrix/federation/v1/get_missing_events/%s",
                                a->room->room_id),
        .body = body,
    };
    struct str reply;
    TRY(ask_any(a, &r, "events", &reply));
    return ask_read_events(a, json_scan_get(reply, "events"), MISSING_LIMIT, ret);
}

const struct err *ask_backfill(struct ask *a, const char *const *ids, size_t n, size_t limit,
                               struct events *ret)
{
    struct arena *arena = a->job->arena;
    buf_auto struct buf path = {0};
    buf_add_text(&path,
                 federation_path(arena, "/_matrix/federation/v1/backfill/%s", a->room->room_id));
    buf_printf(&path, "?limit=%zu", limit);
    for (size_t i = 0; i < n; i++)
        buf_add_text(&path, federation_path(arena, "&v=%s", ids[i]));
    struct fed_request r = {.method = GET, .path = arena_strdup(arena, path.p)};
    struct str reply;
    TRY(ask_any(a, &r, "pdus", &reply));
    return ask_read_events(a, json_scan_get(reply, "pdus"), limit, ret);
}
