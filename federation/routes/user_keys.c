/* Server-server API, "Device Management" and "End-to-End Encryption": other servers' requests for
 * the devices and keys of our users. */
#include "federation/federation.h"
#include "federation/routes.h"
#include "matrix/id.h"
#include "matrix/json_named.h"
#include "storage/db/epochs.h"
#include "storage/db/intern.h"
#include "storage/devices/device_lists.h"
#include "storage/devices/one_time_keys.h"
#include "users/key_query.h"

enum { QUERY_USERS_MAX = 10000, BODY_BYTES_MAX = 2 << 20 };

static struct key_requester a_server(const struct job *job)
{
    return (struct key_requester){.sees_names =
                                      job->config->allow_device_name_lookup_over_federation};
}

/* ---- GET user/devices ---- */

static void user_keys_add_device(struct buf *b, const struct public_key *k,
                                 const struct key_requester *requester)
{
    BUF_LIT(b, "{\"device_id\":");
    buf_add_json_string(b, str_of(k->name));
    BUF_LIT(b, ",\"keys\":");
    public_key_add(b, k, requester);
    if (k->display_name && requester->sees_names) {
        BUF_LIT(b, ",\"device_display_name\":");
        buf_add_json_string(b, str_of(k->display_name));
    }
    buf_add_char(b, '}');
}

static const struct err *user_keys_get_devices(struct request *rq, struct reply *rp)
{
    struct job *job = rq->job;
    struct buf *b = &rp->body;
    const char *user_id = request_param(rq, "user");
    const struct public_key *keys;
    size_t n;
    int64_t user, newest;
    if (!id_is_user_of(user_id, job->config->server_name))
        return err(ERR_INVALID_PARAM, "The user is not on this server");
    /* stream_id first: a change between the two reads is then sent again. */
    TRY(intern_find(job->storage->intern, INTERN_USER, user_id, &user));
    TRY(device_changes_newest(job_tx(job), user, &newest));
    if (newest)
        newest = epochs_stream_id(job->storage->epochs, newest);
    TRY(public_keys_read(job_tx(job), &user_id, 1, 0, &keys, &n));
    struct key_requester requester = a_server(job);
    BUF_LIT(b, "{\"user_id\":");
    buf_add_json_string(b, str_of(user_id));
    buf_printf(b, ",\"stream_id\":%lld,\"devices\":[", (long long)newest);
    for (size_t i = 0; i < n; i++) {
        if (keys[i].kind != KEY_DEVICE)
            continue;
        buf_add_json_comma(b);
        user_keys_add_device(b, &keys[i], &requester);
    }
    buf_add_char(b, ']');
    for (size_t i = 0; i < n; i++) {
        if (keys[i].kind == KEY_DEVICE)
            continue;
        buf_add_text(b, keys[i].kind == KEY_MASTER ? ",\"master_key\":" : ",\"self_signing_key\":");
        public_key_add(b, &keys[i], &requester);
    }
    buf_add_char(b, '}');
    return reply_body(rp, 200);
}

/* ---- POST user/keys/query ---- */

static const struct err *user_keys_read_wanted(struct request *rq, struct key_wanted **ret,
                                               size_t *ret_n)
{
    const struct job *job = rq->job;
    struct str device_keys;
    struct json_named *users;
    size_t users_n, n = 0;
    TRY(json_body_object(rq->raw, "device_keys", &device_keys));
    if (!json_named_list(rq->arena, device_keys, QUERY_USERS_MAX, &users, &users_n))
        return err(ERR_INVALID_PARAM, "At most %d users can be queried at once", QUERY_USERS_MAX);
    struct key_wanted *wanted = arena_alloc_array(rq->arena, users_n, sizeof *wanted);
    for (size_t i = 0; i < users_n; i++) {
        if (users[i].value.p[0] != '[')
            return err(ERR_BAD_JSON, "`device_keys` must map users to arrays of device ids");
        if (id_is_user_of(users[i].name, job->config->server_name))
            wanted[n++] = (struct key_wanted){users[i].name, users[i].value};
    }
    *ret = wanted;
    *ret_n = n;
    return NULL;
}

static void user_keys_add_kind(struct buf *out, const char *name, const struct buf *members)
{
    buf_add_json_string(out, str_of(name));
    BUF_LIT(out, ":{");
    buf_add_str(out, buf_str(members));
    buf_add_char(out, '}');
}

static const struct err *user_keys_answer_query(struct request *rq, struct reply *rp,
                                                struct key_query_reply *r)
{
    struct job *job = rq->job;
    struct key_wanted *wanted = NULL;
    size_t n = 0;
    TRY(user_keys_read_wanted(rq, &wanted, &n));
    struct key_requester requester = a_server(job);
    for (size_t i = 0; i < n; i += KEY_QUERY_USERS_MAX) {
        size_t some = n - i < KEY_QUERY_USERS_MAX ? n - i : KEY_QUERY_USERS_MAX;
        TRY(key_query_add(job, wanted + i, some, &requester, r));
    }
    buf_add_char(&rp->body, '{');
    user_keys_add_kind(&rp->body, "device_keys", &r->of_kind[KEY_DEVICE]);
    buf_add_char(&rp->body, ',');
    user_keys_add_kind(&rp->body, "master_keys", &r->of_kind[KEY_MASTER]);
    buf_add_char(&rp->body, ',');
    user_keys_add_kind(&rp->body, "self_signing_keys", &r->of_kind[KEY_SELF_SIGNING]);
    buf_add_char(&rp->body, '}');
    return reply_body(rp, 200);
}

static const struct err *user_keys_post_query(struct request *rq, struct reply *rp)
{
    struct key_query_reply r = {0};
    const struct err *e = user_keys_answer_query(rq, rp, &r);
    key_query_reply_finish(&r);
    return e;
}

/* ---- POST user/keys/claim ---- */

static const struct err *user_keys_post_claim(struct request *rq, struct reply *rp)
{
    struct job *job = rq->job;
    struct key_claim *claims;
    struct str users;
    size_t all, n = 0;
    TRY(json_body_object(rq->raw, "one_time_keys", &users));
    TRY(key_claims_read(rq->arena, users, &claims, &all));
    for (size_t i = 0; i < all; i++)
        if (id_is_user_of(claims[i].user_id, job->config->server_name))
            claims[n++] = claims[i];
    BUF_LIT(&rp->body, "{\"one_time_keys\":{");
    TRY(key_claim_add(job, claims, n, &rp->body));
    BUF_LIT(&rp->body, "}}");
    return reply_body(rp, 200);
}

const struct route federation_user_keys_routes[] = {
    {.method = GET,
     .path = "/_matrix/federation/v1/user/devices/{user}",
     .handler = user_keys_get_devices,
     .who = WHO_SERVER,
     .rate = RATE_SERVER,
     .pool = POOL_FEDERATION,
     .spec = "device management"},
    {.method = POST,
     .path = "/_matrix/federation/v1/user/keys/query",
     .handler = user_keys_post_query,
     .who = WHO_SERVER,
     .body = BODY_RAW,
     .rate = RATE_SERVER,
     .pool = POOL_FEDERATION,
     .spec = "end-to-end encryption",
     .body_max = BODY_BYTES_MAX},
    {.method = POST,
     .path = "/_matrix/federation/v1/user/keys/claim",
     .handler = user_keys_post_claim,
     .who = WHO_SERVER,
     .body = BODY_RAW,
     .rate = RATE_SERVER,
     .pool = POOL_FEDERATION,
     .spec = "end-to-end encryption",
     .body_max = BODY_BYTES_MAX},
    {.path = NULL},
};
