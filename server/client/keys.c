/* End-to-end encryption, "Key management API": asking for keys of others. Uploading is in
 * keys_upload.c, /keys/changes in key_changes.c. */
#include "rooms/key_query.h"

#include "matrix/id.h"
#include "server/caller.h"
#include "server/routes.h"
#include "storage/one_time_keys.h"

enum { QUERY_USERS_MAX = 10000, CLAIMS_MAX = 10000 };

static bool is_our_user(struct job *job, const char *user_id)
{
    return str_is(id_server(str_of(user_id)), job->store->config->server_name);
}

/* The reply's `failures`: the servers of these users, each once. */
static void add_failures(struct buf *out, const json_t *failed)
{
    BUF_LIT(out, "\"failures\":");
    buf_add_json(out, failed);
}

static void add_failure(json_t *failed, const char *user_id)
{
    struct str server = id_server(str_of(user_id));
    json_object_setn_new(
        failed, server.p, server.n,
        json_pack("{s:s, s:s}", "errcode", "M_UNKNOWN", "error", "The server cannot be reached"));
}

/* ---- /keys/query ---- */

/* Our own users among those asked for, as a list; the servers of the others in failed. */
static const struct err *sort_wanted(struct job *job, const json_t *devices, json_t *failed,
                                     struct key_wanted **ret, size_t *ret_n)
{
    if (json_object_size(devices) > QUERY_USERS_MAX)
        return err(ERR_INVALID_PARAM, "Ask for %d users at most", QUERY_USERS_MAX);
    struct key_wanted *wanted =
        arena_alloc_array(job->arena, json_object_size(devices), sizeof *wanted);
    size_t n = 0;
    const char *user_id;
    json_t *list;
    json_object_foreach ((json_t *)devices, user_id, list) {
        if (!json_is_array(list))
            return err(ERR_BAD_JSON, "`device_keys` must map users to arrays of device ids");
        if (!id_is_user(str_of(user_id)))
            continue;
        if (is_our_user(job, user_id))
            wanted[n++] = (struct key_wanted){user_id, list};
        else
            add_failure(failed, user_id);
    }
    *ret = wanted;
    *ret_n = n;
    return NULL;
}

/* Appends one object of the reply and empties its buffer. */
static void add_kind(struct buf *out, const char *name, struct buf *members)
{
    buf_add_json_string(out, str_of(name));
    BUF_LIT(out, ":{");
    buf_add_str(out, buf_str(members));
    BUF_LIT(out, "},");
    buf_finish(members);
}

static const struct err *answer_query(struct request *rq, struct reply *rp,
                                      struct key_query_reply *r)
{
    struct job *job = job_of(rq);
    const struct caller *c = caller_of(rq);
    const json_t *devices;
    struct key_wanted *wanted = NULL;
    size_t n = 0;
    json_t *failed = json_keep(rq->arena, json_object());
    TRY(json_need_object(rq->body, "device_keys", &devices));
    TRY(sort_wanted(job, devices, failed, &wanted, &n));
    struct key_requester requester = {c->user, c->user_id, true};
    for (size_t i = 0; i < n; i += KEY_QUERY_USERS_MAX) {
        size_t some = n - i < KEY_QUERY_USERS_MAX ? n - i : KEY_QUERY_USERS_MAX;
        TRY(key_query_add(job, wanted + i, some, &requester, r));
    }
    static const char *const names[KEY_KIND_COUNT] = {"device_keys", "master_keys",
                                                      "self_signing_keys", "user_signing_keys"};
    buf_add_char(&rp->body, '{');
    for (int kind = 0; kind < KEY_KIND_COUNT; kind++)
        add_kind(&rp->body, names[kind], &r->of_kind[kind]);
    add_failures(&rp->body, failed);
    buf_add_char(&rp->body, '}');
    return reply_body(rp, 200);
}

static const struct err *post_query(struct request *rq, struct reply *rp)
{
    struct key_query_reply r = {0};
    const struct err *e = answer_query(rq, rp, &r);
    key_query_reply_finish(&r);
    return e;
}

/* ---- /keys/claim ---- */

/* The claims of one user's devices, appended. */
static const struct err *add_claims(const char *user_id, const json_t *devices,
                                    struct key_claim *claims, size_t *n)
{
    const char *device_id;
    json_t *algorithm;
    json_object_foreach ((json_t *)devices, device_id, algorithm) {
        if (!json_is_string(algorithm))
            return err(ERR_BAD_JSON, "`one_time_keys` must map devices to names of algorithms");
        if (*n == CLAIMS_MAX)
            return err(ERR_INVALID_PARAM, "Claim %d keys at most", CLAIMS_MAX);
        claims[(*n)++] = (struct key_claim){user_id, device_id, json_string_value(algorithm)};
    }
    return NULL;
}

static const struct err *post_claim(struct request *rq, struct reply *rp)
{
    struct job *job = job_of(rq);
    const json_t *users;
    TRY(json_need_object(rq->body, "one_time_keys", &users));
    json_t *failed = json_keep(rq->arena, json_object());
    struct key_claim *claims = arena_alloc_array(rq->arena, CLAIMS_MAX, sizeof *claims);
    size_t n = 0;
    const char *user_id;
    json_t *devices;
    json_object_foreach ((json_t *)users, user_id, devices) {
        if (!json_is_object(devices))
            return err(ERR_BAD_JSON, "`one_time_keys` must map users to objects");
        if (!id_is_user(str_of(user_id)))
            continue;
        if (is_our_user(job, user_id))
            TRY(add_claims(user_id, devices, claims, &n));
        else
            add_failure(failed, user_id);
    }
    BUF_LIT(&rp->body, "{\"one_time_keys\":{");
    TRY(key_claim_add(job, claims, n, &rp->body));
    BUF_LIT(&rp->body, "},");
    add_failures(&rp->body, failed);
    buf_add_char(&rp->body, '}');
    return reply_body(rp, 200);
}

const struct route keys_routes[] = {
    {.method = POST,
     .path = "/_matrix/client/v3/keys/query",
     .handler = post_query,
     .who = WHO_GUEST_TOO,
     .body = BODY_JSON,
     .rate = RATE_KEY,
     .spec = "end-to-end encryption"},
    {.method = POST,
     .path = "/_matrix/client/v3/keys/claim",
     .handler = post_claim,
     .who = WHO_GUEST_TOO,
     .body = BODY_JSON,
     .rate = RATE_KEY,
     .spec = "end-to-end encryption"},
    {.path = NULL},
};
