/* Single events of other servers, many at once ("Retrieving events"). */
#include "federation/inbound_internal.h"
#include "federation/pdu.h"
#include "federation/request.h"
#include "matrix/json_scan.h"

enum { HELPERS_MAX = 7, TIMEOUT_MS = 15 * 1000, REPLY_MAX = 256 << 10 };

struct fetched {
    const char *server, *id;
    atomic_bool *is_dead; /* the server cannot be reached: ask no more */
    struct buf pdu;
};

static void fetch_one(struct job *job, void *part)
{
    struct fetched *f = part;
    struct fed_reply reply;
    struct json_member first;
    size_t pos = 0;
    if (atomic_load(f->is_dead))
        return;
    const struct err *e = federation_request(
        job,
        &(struct fed_request){
            .server = f->server,
            .method = GET,
            .path = federation_path(job->arena, "/_matrix/federation/v1/event/%s", f->id),
            .timeout_ms = TIMEOUT_MS,
            .reply_max = REPLY_MAX},
        &reply);
    if (e && (e->code == ERR_CONNECTION_FAILED || e->code == ERR_CONNECTION_TIMEOUT))
        atomic_store(f->is_dead, true);
    if (e || json_scan_check(reply.body))
        return;
    struct str pdus = json_scan_get(reply.body, "pdus");
    if (pdus.p && pdus.p[0] == '[' && json_scan_next(pdus, &pos, &first) && first.value.p[0] == '{')
        buf_add_str(&f->pdu, first.value);
}

/* Only what was asked for. */
static const struct err *read_fetched(struct job *job, struct room *room, struct fetched *f,
                                      size_t n, const struct event **ret, size_t *ret_n,
                                      size_t *ret_strangers)
{
    struct pdu *pdus = arena_alloc_array(job->arena, n + 1, sizeof *pdus);
    const char **ids = arena_alloc_array(job->arena, n + 1, sizeof *ids);
    size_t pdus_n = 0;
    *ret_n = *ret_strangers = 0;
    for (size_t i = 0; i < n; i++)
        if (f[i].pdu.n) {
            ids[pdus_n] = f[i].id;
            pdus[pdus_n++].raw = buf_str(&f[i].pdu);
        }
    if (!pdus_n)
        return NULL;
    TRY(pdu_read(job, room->version, room->room_id, pdus, pdus_n));
    for (size_t i = 0; i < pdus_n; i++) {
        *ret_strangers += pdu_is_of_stranger(&pdus[i]);
        if (pdus[i].event && strcmp(pdus[i].event->event_id, ids[i]) == 0)
            ret[(*ret_n)++] = pdus[i].event;
    }
    inbound_count(inbound_of(job), COUNT_FETCHED, *ret_n);
    return NULL;
}

const struct err *federation_fetch_events(struct job *job, struct room *room, const char *server,
                                          const char *const *ids, size_t n,
                                          const struct event ***ret, size_t *ret_n,
                                          size_t *ret_strangers)
{
    atomic_bool is_dead = false;
    size_t strangers = 0;
    struct fetched *f = arena_alloc_array(job->arena, n + 1, sizeof *f);
    const struct event **events = arena_alloc_array(job->arena, n + 1, sizeof *events);
    for (size_t i = 0; i < n; i++)
        f[i] = (struct fetched){.server = server, .id = ids[i], .is_dead = &is_dead};
    crew_run(inbound_of(job)->fetchers, job, fetch_one, f, sizeof *f, n, HELPERS_MAX);
    const struct err *e = read_fetched(job, room, f, n, events, ret_n, &strangers);
    for (size_t i = 0; i < n; i++)
        buf_finish(&f[i].pdu);
    *ret = events;
    if (ret_strangers)
        *ret_strangers = strangers;
    return e;
}
