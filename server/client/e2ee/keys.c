/* End-to-end encryption, "Key management API": querying and claiming keys. Uploading is in
 * keys_upload.c, /keys/changes in key_changes.c.
 *
 * Requests for stored keys are answered at once; when other servers must be asked, the request
 * moves to POOL_REMOTE and starts again there. */
#include "users/key_query.h"

#include "federation/users/remote_keys.h"
#include "matrix/id.h"
#include "matrix/json_named.h"
#include "server/remote_request.h"
#include "server/routes.h"
#include "storage/devices/one_time_keys.h"
#include "storage/devices/remote_devices.h"

enum { QUERY_USERS_MAX = 10000 };

/* The reply's `failures`: the servers that did not answer, and why. */
static void add_failures(struct buf *out, const json_t *failed)
{
    BUF_LIT(out, "\"failures\":");
    buf_add_json(out, failed);
}

/* ---- /keys/query ---- */

struct keys_query {
    struct request *rq;
    struct key_wanted *wanted; /* users whose keys are stored */
    size_t n;
    struct key_wanted *others; /* all others */
    size_t others_n;
    json_t *failed;
};

static const struct err *read_query(struct keys_query *q)
{
    struct job *job = job_of(q->rq);
    struct str device_keys;
    struct json_named *users;
    size_t most;
    TRY(json_body_object(q->rq->raw, "device_keys", &device_keys));
    if (!json_named_list(job->arena, device_keys, QUERY_USERS_MAX, &users, &most))
        return err(ERR_INVALID_PARAM, "Ask for %d users at most", QUERY_USERS_MAX);
    q->wanted = arena_alloc_array(job->arena, most, sizeof *q->wanted);
    q->others = arena_alloc_array(job->arena, most, sizeof *q->others);
    q->failed = json_keep(job->arena, json_object());
    for (size_t i = 0; i < most; i++) {
        struct key_wanted w = {users[i].name, users[i].value};
        if (w.devices.p[0] != '[')
            return err(ERR_BAD_JSON, "`device_keys` must map users to arrays of device ids");
        if (!id_is_user(str_of(w.user_id)))
            continue;
        if (id_is_local(job->node, w.user_id))
            q->wanted[q->n++] = w;
        else
            q->others[q->others_n++] = w;
    }
    return NULL;
}

static const char **user_ids_of(struct arena *a, const struct key_wanted *wanted, size_t n)
{
    const char **user_ids = arena_alloc_array(a, n, sizeof *user_ids);
    for (size_t i = 0; i < n; i++)
        user_ids[i] = wanted[i].user_id;
    return user_ids;
}

/* Users of other servers with a fresh device list are treated like local ones. */
static const struct err *take_known(struct keys_query *q)
{
    struct job *job = job_of(q->rq);
    size_t others_n = 0;
    if (!q->others_n)
        return NULL;
    bool *usable = arena_alloc_array(job->arena, q->others_n, sizeof *usable);
    TRY(remote_lists_usable(job_tx(job), caller_of(q->rq)->user,
                            user_ids_of(job->arena, q->others, q->others_n), q->others_n, usable));
    for (size_t i = 0; i < q->others_n; i++) {
        if (usable[i])
            q->wanted[q->n++] = q->others[i];
        else
            q->others[others_n++] = q->others[i];
    }
    q->others_n = others_n;
    return NULL;
}

static const struct err *fetch_others(struct keys_query *q)
{
    struct job *job = job_of(q->rq);
    int64_t timeout_ms;
    TRY(json_named_int(q->rq->raw, "timeout", REMOTE_KEYS_TIMEOUT_MS, &timeout_ms));
    TRY(remote_keys_fetch(job, user_ids_of(job->arena, q->others, q->others_n), q->others_n,
                          timeout_ms, q->failed));
    for (size_t i = 0; i < q->others_n; i++) {
        struct str server = id_server(str_of(q->others[i].user_id));
        if (!json_object_getn(q->failed, server.p, server.n))
            q->wanted[q->n++] = q->others[i];
    }
    return NULL;
}

/* Appends one object of the reply and empties its buffer. */
static void keys_add_kind(struct buf *out, const char *name, struct buf *members)
{
    buf_add_json_string(out, str_of(name));
    BUF_LIT(out, ":{");
    buf_add_str(out, buf_str(members));
    BUF_LIT(out, "},");
    buf_finish(members);
}

static const struct err *keys_answer_query(struct keys_query *q, struct reply *rp,
                                           struct key_query_reply *r)
{
    const struct caller *c = caller_of(q->rq);
    struct key_requester requester = {c->user, c->user_id, true};
    for (size_t i = 0; i < q->n; i += KEY_QUERY_USERS_MAX) {
        size_t some = q->n - i < KEY_QUERY_USERS_MAX ? q->n - i : KEY_QUERY_USERS_MAX;
        TRY(key_query_add(job_of(q->rq), q->wanted + i, some, &requester, r));
    }
    static const char *const names[KEY_KIND_COUNT] = {"device_keys", "master_keys",
                                                      "self_signing_keys", "user_signing_keys"};
    buf_add_char(&rp->body, '{');
    for (int kind = 0; kind < KEY_KIND_COUNT; kind++)
        keys_add_kind(&rp->body, names[kind], &r->of_kind[kind]);
    add_failures(&rp->body, q->failed);
    buf_add_char(&rp->body, '}');
    return reply_body(rp, 200);
}

static const struct err *keys_post_query(struct request *rq, struct reply *rp)
{
    struct keys_query q = {.rq = rq};
    TRY(read_query(&q));
    TRY(take_known(&q));
    if (q.others_n) {
        bool here = false;
        TRY(remote_request_begin(rq, rp, NULL, &here));
        if (!here)
            return NULL;
        TRY(fetch_others(&q));
    }
    struct key_query_reply r = {0};
    const struct err *e = keys_answer_query(&q, rp, &r);
    key_query_reply_finish(&r);
    return e;
}

/* ---- /keys/claim ---- */

struct claims {
    struct key_claim *ours, *others;
    size_t ours_n, others_n;
};

static const struct err *keys_read_claims(struct request *rq, struct claims *ret)
{
    struct key_claim *claims;
    struct str users;
    size_t n;
    TRY(json_body_object(rq->raw, "one_time_keys", &users));
    TRY(key_claims_read(rq->arena, users, &claims, &n));
    ret->ours = arena_alloc_array(rq->arena, n, sizeof *ret->ours);
    ret->others = arena_alloc_array(rq->arena, n, sizeof *ret->others);
    for (size_t i = 0; i < n; i++) {
        if (id_is_local(job_of(rq)->node, claims[i].user_id))
            ret->ours[ret->ours_n++] = claims[i];
        else
            ret->others[ret->others_n++] = claims[i];
    }
    return NULL;
}

static const struct err *keys_post_claim(struct request *rq, struct reply *rp)
{
    struct job *job = job_of(rq);
    struct claims c = {0};
    int64_t timeout_ms;
    bool here = true;
    json_t *failed = json_keep(rq->arena, json_object());
    TRY(keys_read_claims(rq, &c));
    TRY(json_named_int(rq->raw, "timeout", REMOTE_KEYS_TIMEOUT_MS, &timeout_ms));
    if (c.others_n)
        TRY(remote_request_begin(rq, rp, NULL, &here));
    if (!here)
        return NULL;
    BUF_LIT(&rp->body, "{\"one_time_keys\":{");
    TRY(key_claim_add(job, c.ours, c.ours_n, &rp->body));
    if (c.others_n)
        TRY(remote_keys_claim(job, c.others, c.others_n, timeout_ms, &rp->body, failed));
    BUF_LIT(&rp->body, "},");
    add_failures(&rp->body, failed);
    buf_add_char(&rp->body, '}');
    return reply_body(rp, 200);
}

const struct route keys_routes[] = {
    {.method = POST,
     .path = "/_matrix/client/v3/keys/query",
     .handler = keys_post_query,
     .moves_to = POOL_REMOTE,
     .who = WHO_GUEST_TOO,
     .body = BODY_RAW,
     .body_max = BODY_AS_SET,
     .rate = RATE_KEY,
     .spec = "end-to-end encryption"},
    {.method = POST,
     .path = "/_matrix/client/v3/keys/claim",
     .handler = keys_post_claim,
     .moves_to = POOL_REMOTE,
     .who = WHO_GUEST_TOO,
     .body = BODY_RAW,
     .body_max = BODY_AS_SET,
     .rate = RATE_KEY,
     .spec = "end-to-end encryption"},
    {.path = NULL},
};
