#include "federation/keys/key_fetch.h"

#include "base/clock.h"
#include "federation/keys/keyring.h"
#include "federation/peer/request.h"

enum {
    TIMEOUT_MS = 10 * 1000,
    NOTARY_REPLY_MAX = 2 * 1024 * 1024,
    ANSWERS_MAX = 500, /* of a notary, which may have several for a server */
};

static const struct err *key_fetch_keep(struct job *job, const json_t *answer,
                                        const struct key_response *r, bool direct, int64_t now,
                                        struct key_answer *ret)
{
    const struct server_key_response stored = {
        .server = r->server,
        .fetched_ts = now,
        .valid_until_ts = r->valid_until_ts,
        .json = str_of(json_write(job->arena, answer)),
    };
    if (stored.json.n > KEY_RESPONSE_MAX)
        return err(ERR_BAD_STATUS, "The server's answer about its keys is too large");
    struct key_answer a = {.keys = *r};
    bool newest;
    TRY(server_keys_put(job_tx(job), &stored, direct, r->keys, r->n, &newest));
    a.source = direct ? KEY_SOURCE_DIRECT : newest ? KEY_SOURCE_NEWER : KEY_SOURCE_OLDER;
    *ret = a;
    return NULL;
}

const struct err *key_fetch_direct(struct job *job, const char *server, struct key_answer *ret)
{
    const struct fed_request r = {
        .server = server,
        .method = GET,
        .path = "/_matrix/key/v2/server",
        .timeout_ms = TIMEOUT_MS,
        .reply_max = KEY_RESPONSE_MAX,
        .unsigned_ = true,
        .now = true, /* the keyring has its own back-off */
    };
    struct fed_reply reply;
    struct key_response keys;
    int64_t now = now_ms();
    TRY(federation_request(job, &r, &reply));
    TRY(key_response_read(job->arena, reply.json, server, now, &keys));
    return key_fetch_keep(job, reply.json, &keys, true, now, ret);
}

/* ---- notaries ---- */

static json_t *query_body(const struct key_query *queries, size_t n, int64_t now)
{
    json_t *servers = json_object();
    for (size_t i = 0; i < n; i++)
        json_object_set_new(servers, queries[i].server,
                            queries[i].key_id ? json_pack("{s:{s:I}}", queries[i].key_id,
                                                          "minimum_valid_until_ts", (json_int_t)now)
                                              : json_object());
    return json_pack("{s:o}", "server_keys", servers);
}

static bool is_asked_for(const struct key_query *queries, size_t n, const char *server)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(queries[i].server, server) == 0)
            return true;
    return false;
}

static bool is_signed_by(const json_t *answer, const struct server_key *keys, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (sign_check_json(answer, keys[i].server, keys[i].key_id, str_of(keys[i].public_key)))
            return true;
    return false;
}

static const struct err *read_answers(struct job *job, const json_t *reply,
                                      const struct key_query *queries, size_t n,
                                      const struct server_key *notary_keys, size_t notary_keys_n,
                                      const struct key_answer **ret, size_t *ret_n)
{
    size_t i, answers_n = 0;
    json_t *answer;
    const json_t *list = json_object_get(reply, "server_keys");
    struct key_answer *answers = arena_alloc_array(job->arena, ANSWERS_MAX, sizeof *answers);
    int64_t now = now_ms();
    json_array_foreach (list, i, answer) {
        struct key_response r;
        if (i == ANSWERS_MAX)
            break;
        if (!is_signed_by(answer, notary_keys, notary_keys_n) ||
            key_response_read(job->arena, answer, NULL, now, &r) ||
            !is_asked_for(queries, n, r.server))
            continue;
        const struct err *e = key_fetch_keep(job, answer, &r, false, now, &answers[answers_n]);
        if (e && e->code != ERR_BAD_STATUS)
            return e;
        answers_n += !e;
    }
    *ret = answers;
    *ret_n = answers_n;
    return NULL;
}

/* The keys with which a notary must sign: the configured one, else those that it publishes. */
static const struct err *keys_of_notary(struct job *job, const struct server_key *notary,
                                        const struct server_key **ret, size_t *ret_n)
{
    const struct server_key *keys;
    struct key_answer a;
    size_t n;
    *ret = notary;
    *ret_n = 1;
    if (notary->key_id)
        return NULL;
    TRY(server_keys_load(job_tx(job), &notary->server, 1, &keys, &n));
    struct server_key *valid = arena_alloc_array(job->arena, n, sizeof *valid);
    *ret_n = 0;
    for (size_t i = 0; i < n; i++)
        if (keys[i].valid_until_ts >= now_ms())
            valid[(*ret_n)++] = keys[i];
    *ret = valid;
    if (*ret_n)
        return NULL;
    TRY(key_fetch_direct(job, notary->server, &a));
    *ret = a.keys.keys;
    *ret_n = a.keys.n;
    return NULL;
}

const struct err *key_fetch_from_notary(struct job *job, const struct server_key *notary,
                                        const struct key_query *queries, size_t n,
                                        const struct key_answer **ret, size_t *ret_n)
{
    const struct server_key *keys;
    size_t keys_n;
    TRY(keys_of_notary(job, notary, &keys, &keys_n));
    const struct fed_request r = {
        .server = notary->server,
        .method = POST,
        .path = "/_matrix/key/v2/query",
        .body = json_keep(job->arena, query_body(queries, n, now_ms())),
        .timeout_ms = TIMEOUT_MS,
        .reply_max = NOTARY_REPLY_MAX,
        .unsigned_ = true,
        .now = true,
    };
    struct fed_reply reply;
    TRY(federation_request(job, &r, &reply));
    return read_answers(job, reply.json, queries, n, keys, keys_n, ret, ret_n);
}
