/* Server-server API, "Transactions": received PDUs and EDUs. */
#include "base/clock.h"
#include "base/log.h"
#include "federation/in/edu_in.h"
#include "federation/in/inbound_internal.h"
#include "federation/in/pdu.h"
#include "federation/in/transaction_scan.h"
#include "federation/keyed_lock.h"
#include "federation/room_tasks.h"
#include "federation/routes.h"
#include "matrix/id.h"
#include "matrix/json_scan.h"
#include "rooms/accept/accept.h"
#include "rooms/accept/remote_join.h"
#include "rooms/room_cache.h"
#include "rooms/servers.h"
#include "storage/nodes/follower.h"
#include "storage/servers/joins.h"

enum {
    BODY_MAX = 10 << 20, /* 50 of the largest PDUs, and as much again for EDUs and escapes */
    HELPERS_MAX = 8,     /* extra threads for one transaction */
    WAIT_MS = 60 * 1000, /* for a turn, or for the first copy of the transaction */
    BUSY_RETRY_MS = 5 * 1000,
    EARLY_ROOMS_MAX = 1000,
    EARLY_KEPT_MS = 24 * 3600 * 1000 /* those that cannot be processed */
};

/* The outcome for one PDU. */
struct result {
    char event_id[EVENT_KEY_MAX + 1]; /* "": unknown */
    char error[ERR_TEXT_MAX];         /* "": accepted */
};

/* The PDUs of one room, in order of arrival. */
struct part {
    const char *origin, *room_id;
    struct str *raw;
    struct result *results;
    size_t n;
    struct room *room;
    bool is_resident; /* this server is in it */
    bool is_decided;  /* refused, or kept until our join ends */
    enum pdu_step step;
    /* Events that passed the checks by themselves; index: of each among the PDUs. */
    struct incoming *events;
    size_t *index;
    size_t events_n, taken; /* the first `taken` are decided */
    bool failed;
    struct err failure; /* our own */
};

/* ---- errors for PDUs ---- */

static void set_id(struct result *r, const char *event_id)
{
    snprintf(r->event_id, sizeof r->event_id, "%s", event_id);
}

static void transactions_refuse(struct job *job, struct part *p, size_t i, enum pdu_step step,
                                const char *why)
{
    struct result *r = &p->results[i];
    snprintf(r->error, sizeof r->error, "%s", why);
    inbound_count(inbound_of(job), COUNT_REFUSED, 1);
    log_debug("%s in %s, sent by %s, is refused: %s: %.200s", r->event_id[0] ? r->event_id : "?",
              p->room_id, p->origin, pdu_step_name(step), why);
}

/* Checks only the format: the id goes into the reply. */
static void transactions_find_id(const struct room_version *v, struct str raw, struct result *r)
{
    struct event *e;
    if (event_parse(v, raw, &e))
        return;
    set_id(r, e->event_id);
    event_unref(e);
}

static void transactions_refuse_all(struct job *job, struct part *p, const struct room_version *v,
                                    const char *why)
{
    for (size_t i = 0; i < p->n; i++) {
        transactions_find_id(v, p->raw[i], &p->results[i]);
        transactions_refuse(job, p, i, p->step, why);
    }
    p->is_decided = true;
}

/* For events of unknown rooms. Most versions hash most events alike; with a wrong guess the sender
 * only gets the error under an event id that it does not know. */
static const struct room_version *guess_version(const struct part *p)
{
    if (json_scan_get(p->raw[0], "event_id").p)
        return room_version_find("1");
    if (json_scan_get(p->raw[0], "origin").p) /* the hash covers it before version 11 */
        return room_version_find("10");
    return room_version_find(strchr(p->room_id, ':') ? "11" : "12");
}

/* ---- rooms that we are in ---- */

static void count_outcomes(struct inbound *in, const struct accept_outcome *outcomes, size_t n)
{
    size_t by_verdict[VERDICT_MISSING + 1] = {0};
    for (size_t i = 0; i < n; i++)
        by_verdict[outcomes[i].verdict]++;
    inbound_count(in, COUNT_ACCEPTED, by_verdict[VERDICT_ACCEPTED]);
    inbound_count(in, COUNT_SOFT_FAILED, by_verdict[VERDICT_SOFT_FAILED]);
    inbound_count(in, COUNT_REJECTED, by_verdict[VERDICT_REJECTED]);
}

/* The PDU_STEPs. */
static const struct err *transactions_check(struct job *job, struct part *p)
{
    const struct room *room = p->room;
    struct pdu *pdus = arena_alloc_array(job->arena, p->n, sizeof *pdus);
    p->events = arena_alloc_array(job->arena, p->n, sizeof *p->events);
    p->index = arena_alloc_array(job->arena, p->n, sizeof *p->index);
    for (size_t i = 0; i < p->n; i++)
        pdus[i].raw = p->raw[i];
    TRY(pdu_read(job, room->version, room->room_id, pdus, p->n));
    for (size_t i = 0; i < p->n; i++) {
        if (pdus[i].event) {
            set_id(&p->results[i], pdus[i].event->event_id);
            p->index[p->events_n] = i;
            p->events[p->events_n++] = (struct incoming){.event = pdus[i].event};
            continue;
        }
        transactions_find_id(room->version, p->raw[i], &p->results[i]);
        transactions_refuse(job, p, i, pdus[i].step, pdus[i].refused.text);
    }
    return NULL;
}

static const struct err *keep_missing(struct job *job, struct part *p, size_t from,
                                      const struct accept_outcome *outcomes, size_t n)
{
    const struct event *missing[TRANSACTION_PDUS_MAX];
    size_t missing_n = 0;
    bool kept = true;
    for (size_t i = 0; i < n; i++)
        if (outcomes[i].verdict == VERDICT_MISSING)
            missing[missing_n++] = p->events[from + i].event;
    if (missing_n)
        TRY(inbound_keep(job, p->room, p->origin, missing, missing_n, &kept));
    for (size_t i = 0; i < n && !kept; i++)
        if (outcomes[i].verdict == VERDICT_MISSING)
            transactions_refuse(job, p, p->index[from + i], outcomes[i].step,
                                "Too many events of the room wait");
    return NULL;
}

/* n events, starting at `from`, were decided. */
static const struct err *transactions_conclude(struct job *job, struct part *p, size_t from,
                                               const struct accept_outcome *outcomes, size_t n)
{
    count_outcomes(inbound_of(job), outcomes, n);
    for (size_t i = 0; i < n; i++) {
        inbound_event_concluded(inbound_of(job), p->events[from + i].event, &outcomes[i]);
        if (outcomes[i].verdict == VERDICT_REJECTED)
            snprintf(p->results[p->index[from + i]].error, sizeof p->results->error, "%s",
                     outcomes[i].reason ? outcomes[i].reason : "The event was rejected");
    }
    return keep_missing(job, p, from, outcomes, n);
}

/* Accepts what could not be accepted together with other rooms. */
static const struct err *take_rest(struct job *job, struct part *p)
{
    struct accept_outcome outcomes[TRANSACTION_PDUS_MAX];
    size_t n = p->events_n - p->taken;
    TRY(room_accept_unless_large(job, p->room, p->events + p->taken, n, outcomes));
    return transactions_conclude(job, p, p->taken, outcomes, n);
}

/* ---- rooms that we are not in ---- */

/* For rooms that we are not in, only these are accepted: a revoked invite, or a refused knock. */
static bool concerns_our_user(const struct job *job, const struct event *e)
{
    return strcmp(e->type, "m.room.member") == 0 && id_is_local(job->node, e->state_key);
}

static const struct err *transactions_note(struct job *job, struct part *p)
{
    const struct room *room = p->room;
    for (size_t i = 0; i < p->events_n; i++) {
        const struct event *e = p->events[i].event;
        if (!concerns_our_user(job, e)) {
            transactions_refuse(job, p, p->index[i], STEP_ROOM, "This server is not in the room");
            continue;
        }
        const struct err *no = room_note_membership(
            job,
            &(struct room_note){.version = room->version, .room_id = room->room_id, .event = e});
        if (no && err_status(no) >= 500)
            return no;
        if (no)
            transactions_refuse(job, p, p->index[i], STEP_ROOM, no->text);
    }
    return NULL;
}

/* ---- all rooms ---- */

/* Keeps events of a room that is being joined until the join ends. If it ended just now, the room
 * is stored. */
static const struct err *keep_early(struct job *job, struct part *p)
{
    struct federation *f = job->federation;
    if (!room_tasks_has_others(job->node) && !keyed_lock_is_taken(f->joins, p->room_id))
        return NULL;
    TRY(early_pdus_keep(job_tx(job), p->room_id, p->origin, p->raw, p->n, &p->is_decided));
    if (!p->is_decided) {
        TRY(follower_barrier(job->storage->follower));
        return room_find(job, p->room_id, &p->room);
    }
    const struct room_version *v = p->room ? p->room->version : guess_version(p);
    for (size_t i = 0; i < p->n; i++)
        transactions_find_id(v, p->raw[i], &p->results[i]);
    return NULL;
}

static const struct err *transactions_find_room(struct job *job, struct part *p)
{
    TRY(room_find(job, p->room_id, &p->room));
    if (!p->room || !room_is_resident(p->room))
        TRY(keep_early(job, p));
    if (!p->room && !p->is_decided)
        transactions_refuse_all(job, p, guess_version(p), "This server is not in the room");
    return NULL;
}

static const struct err *transactions_check_acl(struct job *job, struct part *p)
{
    const struct err *denied = room_check_acl(job, p->room, p->origin);
    if (denied && err_status(denied) >= 500)
        return denied;
    if (denied)
        transactions_refuse_all(job, p, p->room->version, denied->text);
    return NULL;
}

static const struct {
    enum pdu_step step;
    const struct err *(*check)(struct job *job, struct part *p);
} room_steps[] = {
#define ROOM_STEP(step, name, check) {STEP_##step, check},
#include "rooms/accept/steps.def"
};

/* The steps before those of events in their room. */
static const struct err *transactions_prepare(struct job *job, struct part *p)
{
    for (size_t i = 0; i < sizeof room_steps / sizeof *room_steps && !p->is_decided; i++) {
        p->step = room_steps[i].step;
        TRY(room_steps[i].check(job, p));
    }
    if (p->is_decided)
        return NULL;
    p->is_resident = room_is_resident(p->room);
    TRY(transactions_check(job, p));
    return p->is_resident ? NULL : transactions_note(job, p);
}

/* Accepts the ordinary events of all rooms in one commit. */
static const struct err *transactions_take_usual(struct job *job, struct part *parts, size_t n)
{
    struct accept_room *rooms = arena_alloc_array(job->arena, n, sizeof *rooms);
    struct part **of = arena_alloc_array(job->arena, n, sizeof(struct part *));
    size_t rooms_n = 0;
    for (size_t i = 0; i < n; i++) {
        struct part *p = &parts[i];
        if (!p->is_resident || !p->events_n)
            continue;
        of[rooms_n] = p;
        rooms[rooms_n++] = (struct accept_room){
            .room = p->room,
            .events = p->events,
            .n = p->events_n,
            .outcomes = arena_alloc_array(job->arena, p->events_n, sizeof(struct accept_outcome))};
    }
    if (rooms_n)
        TRY(rooms_accept_usual(job, rooms, rooms_n));
    for (size_t i = 0; i < rooms_n; i++) {
        of[i]->taken = rooms[i].taken;
        TRY(transactions_conclude(job, of[i], 0, rooms[i].outcomes, rooms[i].taken));
    }
    return NULL;
}

static void run_rest(struct job *job, void *part)
{
    struct part *p = part;
    const struct err *e = p->taken < p->events_n && p->is_resident ? take_rest(job, p) : NULL;
    p->failed = e;
    if (e)
        p->failure = *e;
}

/* Skips create events without a room_id (from version 12): no room is found by those alone. */
static struct part *group_by_room(struct arena *a, const struct incoming_transaction *t,
                                  const char *origin, size_t *ret_n)
{
    struct map by_room = {0};
    struct part *parts = arena_alloc_array(a, t->pdus_n, sizeof *parts);
    struct part *of[TRANSACTION_PDUS_MAX];
    size_t n = 0;
    for (size_t i = 0; i < t->pdus_n; i++) {
        const char *room_id = t->pdus[i].room_id;
        of[i] = room_id ? map_get(&by_room, str_of(room_id)) : NULL;
        if (!room_id)
            continue;
        if (!of[i]) {
            of[i] = &parts[n++];
            *of[i] = (struct part){.origin = origin, .room_id = room_id};
            map_put(&by_room, str_of(room_id), of[i]);
        }
        of[i]->n++;
    }
    map_finish(&by_room);
    for (size_t i = 0; i < n; i++) {
        parts[i].raw = arena_alloc_array(a, parts[i].n, sizeof *parts[i].raw);
        parts[i].results = arena_alloc_array(a, parts[i].n, sizeof *parts[i].results);
        parts[i].n = 0;
    }
    for (size_t i = 0; i < t->pdus_n; i++)
        if (of[i])
            of[i]->raw[of[i]->n++] = t->pdus[i].raw;
    *ret_n = n;
    return parts;
}

static const struct err *take_pdus(struct job *job, struct part *parts, size_t n)
{
    for (size_t i = 0; i < n; i++)
        TRY(transactions_prepare(job, &parts[i]));
    TRY(transactions_take_usual(job, parts, n));
    helpers_run(inbound_of(job)->receivers, job, run_rest, parts, sizeof *parts, n, HELPERS_MAX);
    for (size_t i = 0; i < n; i++)
        if (parts[i].failed)
            return err_copy(&parts[i].failure);
    return NULL;
}

static const struct err *take_edus(struct job *job, const struct incoming_transaction *t,
                                   const char *origin)
{
    for (size_t i = 0; i < t->edus_n; i++)
        TRY(edu_receive(job, origin, t->edus[i]));
    inbound_count(inbound_of(job), COUNT_EDUS, t->edus_n);
    return NULL;
}

static void transactions_add_results(struct buf *out, const struct part *parts, size_t n)
{
    bool any = false;
    BUF_LIT(out, "{\"pdus\":{");
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < parts[i].n; k++) {
            const struct result *r = &parts[i].results[k];
            if (!r->event_id[0])
                continue;
            buf_add_text(out, any ? "," : "");
            any = true;
            buf_add_json_string(out, str_of(r->event_id));
            if (r->error[0]) {
                BUF_LIT(out, ":{\"error\":");
                buf_add_json_string(out, str_of(r->error));
                BUF_LIT(out, "}");
            } else {
                BUF_LIT(out, ":{}");
            }
        }
    BUF_LIT(out, "}}");
}

/* If something of ours fails, the whole transaction fails and is sent again; what was accepted
 * before is then known. */
static const struct err *receive(struct job *job, const struct incoming_transaction *t,
                                 const char *origin, struct buf *ret)
{
    struct inbound *in = inbound_of(job);
    size_t n;
    struct part *parts = group_by_room(job->arena, t, origin, &n);
    inbound_count(in, COUNT_TRANSACTIONS, 1);
    inbound_count(in, COUNT_PDUS, t->pdus_n);
    TRY(take_pdus(job, parts, n));
    TRY(take_edus(job, t, origin));
    transactions_add_results(ret, parts, n);
    return NULL;
}

/* ---- after a join ---- */

/* The PDUs from the i-th on that one server sent consecutively. */
static struct part early_part(struct arena *a, const char *room_id, const struct early_pdu *pdus,
                              size_t i, size_t n)
{
    size_t end = i;
    while (end < n && end - i < TRANSACTION_PDUS_MAX &&
           strcmp(pdus[end].origin, pdus[i].origin) == 0)
        end++;
    struct part p = {.origin = pdus[i].origin, .room_id = room_id, .n = end - i};
    p.raw = arena_alloc_array(a, p.n, sizeof *p.raw);
    p.results = arena_alloc_array(a, p.n, sizeof *p.results);
    for (size_t k = 0; k < p.n; k++)
        p.raw[k] = pdus[i + k].raw;
    return p;
}

/* These PDUs were acknowledged: those that cannot be accepted now wait in inbound_pdus, and are
 * retried. */
static const struct err *take_early_part(struct job *job, struct part *p)
{
    const struct event *left[TRANSACTION_PDUS_MAX];
    size_t n = 0;
    bool kept; /* unused: if too many wait, they are retried after a restart */
    const struct err *e = take_pdus(job, p, 1);
    if (!e || !p->is_resident || !p->events_n)
        return e;
    if (log_limited("processing events that arrived during a join", LOG_FEW))
        log_err(LOG_WARN, "processing events that arrived during a join", e);
    for (size_t i = 0; i < p->events_n; i++) /* accepted ones will be known */
        left[n++] = p->events[i].event;
    return inbound_keep(job, p->room, p->origin, left, n, &kept);
}

static const struct err *take_early_list(struct job *job, const char *room_id,
                                         const struct early_pdu *pdus, size_t n)
{
    int64_t ids[TRANSACTION_PDUS_MAX];
    for (size_t i = 0; i < n;) {
        struct part p = early_part(job->arena, room_id, pdus, i, n);
        TRY(take_early_part(job, &p));
        for (size_t k = 0; k < p.n; k++)
            ids[k] = pdus[i + k].id;
        TRY(early_pdus_delete(job_tx(job), ids, p.n));
        i += p.n;
    }
    return NULL;
}

const struct err *inbound_take_early(struct job *job, const char *room_id)
{
    for (size_t n = TRANSACTION_PDUS_MAX; n == TRANSACTION_PDUS_MAX;) {
        arena_auto struct arena *a = arena_create(); /* so that they are released soon */
        const struct early_pdu *pdus;
        struct job some;
        job_init(&some, job->node, a);
        const struct err *e =
            early_pdus_list(job_tx(&some), room_id, TRANSACTION_PDUS_MAX, &pdus, &n);
        if (!e)
            e = take_early_list(&some, room_id, pdus, n);
        job_finish(&some);
        TRY(e);
    }
    return NULL;
}

const struct err *inbound_take_all_early(struct job *job)
{
    const char *const *room_ids;
    const struct err *failed = NULL;
    size_t n;
    TRY(early_pdus_expire(job_tx(job), now_ms() - EARLY_KEPT_MS));
    TRY(early_pdus_rooms(job_tx(job), EARLY_ROOMS_MAX, &room_ids, &n));
    for (size_t i = 0; i < n; i++) {
        const struct err *e = inbound_take_early(job, room_ids[i]);
        failed = failed ? failed : e;
    }
    return failed;
}

/* ---- the route ---- */

static const struct err *scan(struct request *rq, const char *origin,
                              struct incoming_transaction **ret)
{
    struct incoming_transaction *t = arena_alloc(rq->arena, sizeof *t);
    TRY(transaction_scan(rq->arena, rq->raw, t));
    if (t->origin && strcmp(t->origin, origin) != 0)
        return err(ERR_FORBIDDEN, "The transaction says that it is from %s, its signature %s",
                   t->origin, origin);
    *ret = t;
    return NULL;
}

static const struct err *transactions_put_send(struct request *rq, struct reply *rp)
{
    struct job *job = rq->job;
    struct transaction_table *table = inbound_of(job)->transactions;
    const char *origin = remote_of(rq)->name, *txn = request_param(rq, "txn");
    struct incoming_transaction *t = NULL;
    struct str earlier;
    TRY(scan(rq, origin, &t));
    switch (transaction_admit(table, rq->arena, origin, txn, rq->raw, &rq->waiter, &earlier)) {
    case ADMIT_WAIT:
        if (!rq->timed_out)
            return reply_wait(rp, mono_ms() + WAIT_MS);
        return err_limit_exceeded(BUSY_RETRY_MS);
    case ADMIT_BUSY:
        return err_limit_exceeded(BUSY_RETRY_MS);
    case ADMIT_DONE:
        buf_add_str(&rp->body, earlier);
        return reply_body(rp, 200);
    case ADMIT_RUN:
        break;
    }
    const struct err *e = receive(job, t, origin, &rp->body);
    transaction_finish(table, origin, txn, rq->raw, e ? (struct str){0} : buf_str(&rp->body));
    return e ? e : reply_body(rp, 200);
}

const struct route federation_transactions_routes[] = {
    {.method = PUT,
     .path = "/_matrix/federation/v1/send/{txn}",
     .handler = transactions_put_send,
     .who = WHO_SERVER,
     .body = BODY_RAW,
     .pool = POOL_FEDERATION,
     .spec = "transactions",
     .body_max = BODY_MAX},
    {.path = NULL},
};
