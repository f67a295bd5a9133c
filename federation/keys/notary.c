/* Server-server API, "Querying Keys Through Another Server": answering as a notary.
 *
 * Answers come from the database. A server is asked again if its keys are old, or if it may now
 * have the wanted key or a long enough validity; within limits, since any address may send such
 * queries. For a server that does not answer, its last response is used. With closed federation,
 * servers that are not allowed are neither asked nor answered for. */
#include "base/clock.h"
#include "federation/federation.h"
#include "federation/keys/keyring.h"
#include "federation/peer/request.h"
#include "federation/routes.h"
#include "matrix/id.h"
#include "rooms/rooms.h"

enum {
    SERVERS_MAX = 200,
    ASKED_MAX = 20, /* servers asked for one request */
    TIMEOUT_MS = 8 * 1000,
};

struct notary_query {
    const char *server;
    int64_t min_valid_until;
    const json_t *key_ids;                    /* an object; NULL: any keys */
    const struct server_key_response *stored; /* NULL: none */
};

struct queries {
    struct notary_query *of;
    size_t n;
    bool about_us;
};

static void add_query(struct job *job, struct queries *q, const char *server, int64_t min,
                      const json_t *key_ids)
{
    const struct config *c = job->config;
    if (config_is_own_server(c, server))
        q->about_us = true;
    else if (id_is_server_name(str_of(server)) && federation_may_contact(c, server))
        q->of[q->n++] = (struct notary_query){server, min, key_ids, NULL};
}

/* ---- stored responses ---- */

static const struct err *notary_load(struct job *job, struct queries *q)
{
    const char **servers = arena_alloc_array(job->arena, q->n, sizeof *servers);
    const struct server_key_response *list;
    size_t n;
    for (size_t i = 0; i < q->n; i++)
        servers[i] = q->of[i].server;
    TRY(server_key_responses_load(job_tx(job), servers, q->n, &list, &n));
    for (size_t i = 0; i < q->n; i++) {
        q->of[i].stored = NULL;
        for (size_t j = 0; j < n; j++)
            if (strcmp(list[j].server, q->of[i].server) == 0)
                q->of[i].stored = &list[j];
    }
    return NULL;
}

static bool has_keys(struct job *job, const struct notary_query *q)
{
    const char *key_id;
    json_t *answer;
    const json_t *ignored;
    if (!q->key_ids)
        return true;
    if (json_read_own(job->arena, q->stored->json, &answer))
        return false;
    json_object_foreach ((json_t *)q->key_ids, key_id, ignored)
        if (!json_at(answer, "verify_keys", key_id, NULL) &&
            !json_at(answer, "old_verify_keys", key_id, NULL))
            return false;
    return true;
}

/* "Intermediate notary servers should cache a response for half of its lifetime." */
static bool notary_is_fresh(struct job *job, const struct notary_query *q, int64_t now)
{
    const struct server_key_response *s = q->stored;
    return s && s->valid_until_ts >= q->min_valid_until &&
           now <= s->fetched_ts + (s->valid_until_ts - s->fetched_ts) / 2 && has_keys(job, q);
}

static size_t list_stale(struct job *job, const struct queries *q, const char **ret)
{
    size_t n = 0;
    int64_t now = now_ms();
    for (size_t i = 0; i < q->n && n < ASKED_MAX; i++)
        if (!notary_is_fresh(job, &q->of[i], now))
            ret[n++] = q->of[i].server;
    return n;
}

static void notary_refresh(struct request *rq, const char *const *servers, size_t n)
{
    struct job *job = rq->job;
    if (!request_charge(rq, RATE_REMOTE, (int)n)) /* otherwise stored responses are used */
        keyring_refresh(job->federation->keyring, servers, n, TIMEOUT_MS);
}

/* ---- the answer ---- */

static const struct err *notary_add_stored(struct job *job, json_t *list,
                                           const struct notary_query *q)
{
    json_t *answer;
    if (!q->stored || json_read_own(job->arena, q->stored->json, &answer))
        return NULL;
    TRY(sign_json(answer, job->config->server_name, &job->keys->current));
    json_array_append(list, answer);
    return NULL;
}

static const struct err *reply_answers(struct job *job, struct reply *rp, const struct queries *q)
{
    json_t *own, *list = json_keep(job->arena, json_array());
    if (q->about_us) {
        TRY(federation_own_keys(job, &own));
        json_array_append(list, own);
    }
    for (size_t i = 0; i < q->n; i++)
        TRY(notary_add_stored(job, list, &q->of[i]));
    return reply_json(rp, 200, "{s:O}", "server_keys", list);
}

static const struct err *notary_answer(struct request *rq, struct reply *rp, struct queries *q)
{
    struct job *job = rq->job;
    const char *stale[ASKED_MAX];
    TRY(notary_load(job, q));
    size_t stale_n = list_stale(job, q, stale);
    if (stale_n && rq->pool != POOL_REMOTE)
        return reply_elsewhere(rp, POOL_REMOTE);
    if (stale_n) {
        notary_refresh(rq, stale, stale_n);
        TRY(notary_load(job, q));
    }
    return reply_answers(job, rp, q);
}

/* ---- routes ---- */

static const struct err *query_one(struct request *rq, struct reply *rp, const json_t *key_ids)
{
    struct notary_query one;
    struct queries q = {.of = &one};
    int64_t min;
    TRY(request_query_int(rq, "minimum_valid_until_ts", now_ms(), 0, INT64_MAX, &min));
    const char *server = request_param(rq, "serverName");
    if (!id_is_server_name(str_of(server)))
        return err(ERR_INVALID_PARAM, "This is not a server name");
    add_query(rq->job, &q, server, min, key_ids);
    return notary_answer(rq, rp, &q);
}

static const struct err *get_query(struct request *rq, struct reply *rp)
{
    return query_one(rq, rp, NULL);
}

static const struct err *get_query_of_key(struct request *rq, struct reply *rp)
{
    return query_one(rq, rp, json_keep(rq->arena, json_pack("{s:{}}", request_param(rq, "key"))));
}

/* The latest of the times given for the keys of a server; now if there are none. */
static const struct err *notary_read_criteria(const json_t *keys, int64_t now, int64_t *ret_min)
{
    const char *key_id;
    const json_t *criteria;
    int64_t latest = 0, min;
    json_object_foreach ((json_t *)keys, key_id, criteria) {
        TRY(json_want_int(criteria, "minimum_valid_until_ts", now, &min));
        latest = min > latest ? min : latest;
    }
    *ret_min = json_object_size(keys) ? latest : now;
    return NULL;
}

static const struct err *notary_post_query(struct request *rq, struct reply *rp)
{
    const json_t *servers, *keys;
    const char *server;
    int64_t min, now = now_ms();
    TRY(json_need_object(rq->body, "server_keys", &servers));
    size_t n = json_object_size(servers);
    if (n > SERVERS_MAX)
        return err(ERR_TOO_LARGE, "At most %d servers can be asked about at once", SERVERS_MAX);
    struct queries q = {.of = arena_alloc_array(rq->arena, n, sizeof *q.of)};
    json_object_foreach ((json_t *)servers, server, keys) {
        if (!json_is_object(keys))
            return err(ERR_BAD_JSON, "The wanted keys of each server must be an object");
        TRY(notary_read_criteria(keys, now, &min));
        add_query(rq->job, &q, server, min, json_object_size(keys) ? keys : NULL);
    }
    return notary_answer(rq, rp, &q);
}

const struct route federation_notary_routes[] = {
    {.method = GET,
     .path = "/_matrix/key/v2/query/{serverName}",
     .handler = get_query,
     .moves_to = POOL_REMOTE,
     .rate = RATE_SERVER,
     .pool = POOL_CLIENT,
     .spec = "querying keys through another server"},
    {.method = GET, /* before v1.6: about one key */
     .path = "/_matrix/key/v2/query/{serverName}/{key}",
     .handler = get_query_of_key,
     .moves_to = POOL_REMOTE,
     .rate = RATE_SERVER,
     .pool = POOL_CLIENT,
     .spec = "querying keys through another server"},
    {.method = POST,
     .path = "/_matrix/key/v2/query",
     .handler = notary_post_query,
     .moves_to = POOL_REMOTE,
     .body = BODY_JSON,
     .rate = RATE_SERVER,
     .pool = POOL_CLIENT,
     .spec = "querying keys through another server"},
    {.path = NULL},
};
