#include "federation/in/fetch.h"
/* Fetches single events from other servers, many at once ("Retrieving events"). */
#include "federation/in/inbound_internal.h"
#include "federation/in/pdu.h"
#include "federation/peer/path.h"
#include "federation/peer/reply.h"
#include "matrix/json_scan.h"

enum { HELPERS_MAX = 7, TIMEOUT_MS = 15 * 1000, REPLY_MAX = 256 << 10 };

/* Why the server is not asked any more. */
struct sent_away {
    atomic_bool is_unreachable;
    atomic_int_least64_t wait_ms;
};

struct fetched {
    const char *server, *id;
    struct sent_away *away; /* shared by all that are fetched together */
    struct buf pdu;
};

static void fetch_note_outcome(struct sent_away *away, const struct err *e)
{
    if (federation_is_unreachable(e))
        atomic_store(&away->is_unreachable, true);
    if (federation_wait_ms(e))
        atomic_store(&away->wait_ms, federation_wait_ms(e));
}

static void fetch_one(struct job *job, void *part)
{
    struct fetched *f = part;
    struct fed_reply reply;
    struct json_member first;
    size_t pos = 0;
    if (atomic_load(&f->away->is_unreachable) || atomic_load(&f->away->wait_ms))
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
    fetch_note_outcome(f->away, e);
    if (e || json_scan_check(reply.body))
        return;
    struct str pdus = json_scan_get(reply.body, "pdus");
    if (pdus.p && pdus.p[0] == '[' && json_scan_next(pdus, &pos, &first) && first.value.p[0] == '{')
        buf_add_str(&f->pdu, first.value);
}

/* Only accepts the event that was asked for. */
static const struct err *read_fetched(struct job *job, struct room *room, struct fetched *f,
                                      size_t n, struct fetched_events *ret)
{
    struct pdu *pdus = arena_alloc_array(job->arena, n + 1, sizeof *pdus);
    const char **ids = arena_alloc_array(job->arena, n + 1, sizeof *ids);
    size_t pdus_n = 0;
    for (size_t i = 0; i < n; i++)
        if (f[i].pdu.n) {
            ids[pdus_n] = f[i].id;
            pdus[pdus_n++].raw = buf_str(&f[i].pdu);
        }
    if (!pdus_n)
        return NULL;
    TRY(pdu_read(job, room->version, room->room_id, pdus, pdus_n));
    for (size_t i = 0; i < pdus_n; i++) {
        ret->denied += pdu_is_of_denied_server(&pdus[i]);
        if (pdus[i].event && strcmp(pdus[i].event->event_id, ids[i]) == 0)
            ret->list[ret->n++] = pdus[i].event;
    }
    inbound_count(inbound_of(job), COUNT_FETCHED, ret->n);
    return NULL;
}

const struct err *federation_fetch_events(struct job *job, struct room *room, const char *server,
                                          const char *const *ids, size_t n,
                                          struct fetched_events *ret)
{
    struct sent_away away = {0};
    struct fetched *f = arena_alloc_array(job->arena, n + 1, sizeof *f);
    for (size_t i = 0; i < n; i++)
        f[i] = (struct fetched){.server = server, .id = ids[i], .away = &away};
    helpers_run(inbound_of(job)->fetchers, job, fetch_one, f, sizeof *f, n, HELPERS_MAX);
    *ret = (struct fetched_events){
        .list = arena_alloc_array(job->arena, n + 1, sizeof *ret->list),
        .is_unreachable = atomic_load(&away.is_unreachable),
        .wait_ms = atomic_load(&away.wait_ms),
    };
    const struct err *e = read_fetched(job, room, f, n, ret);
    for (size_t i = 0; i < n; i++)
        buf_finish(&f[i].pdu);
    return e;
}
