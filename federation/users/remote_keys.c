#include "federation/users/remote_keys.h"

#include "base/clock.h"
#include "base/map.h"
#include "federation/federation.h"
#include "federation/helpers.h"
#include "federation/peer/request.h"
#include "federation/users/received_keys.h"
#include "matrix/device_keys.h"
#include "matrix/id.h"
#include "storage/db/feed.h"
#include "storage/db/intern.h"
#include "storage/devices/one_time_keys.h"

enum {
    USERS_AT_ONCE = 250,
    HELPERS_MAX = 16,
    KEYS_A_WRITE = 200 /* a large write delays all others */
};

/* The request to one server. */
struct part {
    const char *server;
    const char **user_ids;         /* queries: for these users */
    const struct key_claim *first; /* claims: the first of n for this server */
    size_t n;
    int64_t deadline_mono_ms;
    struct buf answer; /* claims */
    bool has_failed;
    struct err why;
};

static const struct err *remote_keys_ask(struct job *job, const struct part *p, const char *path,
                                         const json_t *body, struct fed_reply *ret)
{
    int64_t left = p->deadline_mono_ms - mono_ms();
    if (left <= 0)
        return err(ERR_CONNECTION_TIMEOUT, "The server was not asked in time");
    const struct fed_request r = {
        .server = p->server, .method = POST, .path = path, .body = body, .timeout_ms = left};
    return federation_request(job, &r, ret);
}

/* ---- queries ---- */

static void remote_keys_read_received(struct arena *a, const json_t *reply, struct received_keys *t)
{
    const char *device_id;
    json_t *keys;
    json_object_foreach ((json_t *)json_at(reply, "device_keys", t->user_id, NULL), device_id, keys)
        received_keys_add_device(
            a, t, device_id, keys,
            json_text(json_object_get(keys, "unsigned"), "device_display_name"));
    received_keys_add_cross_signing(a, t, KEY_MASTER,
                                    json_at(reply, "master_keys", t->user_id, NULL));
    received_keys_add_cross_signing(a, t, KEY_SELF_SIGNING,
                                    json_at(reply, "self_signing_keys", t->user_id, NULL));
}

/* Adds users to the database only if there is something to store for them. */
static const struct err *name_new_users(struct job *job, struct remote_list *lists,
                                        struct received_keys *received, size_t n)
{
    const char **names = arena_alloc_array(job->arena, n, sizeof *names);
    int64_t *ids = arena_alloc_array(job->arena, n, sizeof *ids);
    size_t new_n = 0;
    for (size_t i = 0; i < n; i++)
        if (!lists[i].user && received[i].n)
            names[new_n++] = received[i].user_id;
    if (!new_n)
        return NULL;
    TRY(intern_ids(job->storage->intern, INTERN_USER, names, new_n, ids));
    TRY(remote_lists_open(job_tx(job), ids, new_n));
    for (size_t i = 0, next = 0; i < n; i++)
        if (!lists[i].user && received[i].n)
            lists[i].user = ids[next++];
    return NULL;
}

static const struct err *remote_keys_store(struct job *job, struct remote_list *lists, size_t n,
                                           int64_t position, const char **user_ids,
                                           const json_t *reply)
{
    struct received_keys *received = arena_alloc_array(job->arena, n, sizeof *received);
    struct stored_keys stored;
    size_t keys_n = 0;
    for (size_t i = 0; i < n; i++) {
        received[i].user_id = user_ids[i];
        remote_keys_read_received(job->arena, reply, &received[i]);
    }
    TRY(name_new_users(job, lists, received, n));
    TRY(stored_keys_read(job, user_ids, n, &stored));
    struct write *w = write_begin(job);
    for (size_t i = 0; i < n; i++) {
        received[i].user = lists[i].user;
        if (received[i].user)
            TRY(received_list_write(job, w, &received[i], &stored, &lists[i], position, -1));
        keys_n += received[i].n;
        if (keys_n > KEYS_A_WRITE) {
            TRY(write_commit(job, w, NULL));
            w = write_begin(job);
            keys_n = 0;
        }
    }
    return write_is_empty(w) ? NULL : write_commit(job, w, NULL);
}

static const struct err *query_some(struct job *job, const struct part *p, const char **user_ids,
                                    size_t n)
{
    struct remote_list *lists = arena_alloc_array(job->arena, n, sizeof *lists);
    int64_t *known = arena_alloc_array(job->arena, n, sizeof *known);
    size_t known_n = 0;
    TRY(remote_lists_get(job_tx(job), user_ids, n, lists));
    for (size_t i = 0; i < n; i++)
        if (lists[i].user)
            known[known_n++] = lists[i].user;
    if (known_n)
        TRY(remote_lists_open(job_tx(job), known, known_n));
    int64_t position = feed_position(job->storage->feed);

    json_t *users = json_keep(job->arena, json_object());
    for (size_t i = 0; i < n; i++)
        json_object_set_new(users, user_ids[i], json_array());
    json_t *body = json_keep(job->arena, json_pack("{s:O}", "device_keys", users));
    struct fed_reply reply;
    TRY(remote_keys_ask(job, p, "/_matrix/federation/v1/user/keys/query", body, &reply));
    if (!json_is_object(json_object_get(reply.json, "device_keys")))
        return err(ERR_BAD_STATUS, "The server's answer is malformed");
    return remote_keys_store(job, lists, n, position, user_ids, reply.json);
}

static const struct err *query_server(struct job *job, const struct part *p)
{
    for (size_t i = 0; i < p->n; i += USERS_AT_ONCE) {
        size_t some = p->n - i < USERS_AT_ONCE ? p->n - i : USERS_AT_ONCE;
        TRY(query_some(job, p, p->user_ids + i, some));
    }
    return NULL;
}

/* ---- claims ---- */

static json_t *claims_json(struct arena *a, const struct part *p)
{
    json_t *users = json_keep(a, json_object());
    for (size_t i = 0; i < p->n; i++) {
        const struct key_claim *c = &p->first[i];
        json_t *devices = json_object_get(users, c->user_id);
        if (!devices)
            json_object_set_new(users, c->user_id, devices = json_object());
        json_object_set_new(devices, c->device_id, json_string(c->algorithm));
    }
    return users;
}

/* The key that the server returned for a claim; NULL if there is no valid one. */
static const json_t *find_claimed(struct arena *a, const json_t *reply, const struct key_claim *c,
                                  const char **ret_name)
{
    const char *name, *algorithm, *id;
    json_t *key;
    json_object_foreach ((json_t *)json_at(reply, "one_time_keys", c->user_id, c->device_id, NULL),
                         name, key) {
        struct str form;
        if (one_time_key_check(name, key) || !key_name_split(a, name, &algorithm, &id) ||
            strcmp(algorithm, c->algorithm) != 0)
            continue;
        if (json_is_object(key) && key_signed_form(a, key, &form))
            continue; /* too large */
        *ret_name = name;
        return key;
    }
    return NULL;
}

static void add_claimed(struct arena *a, const json_t *reply, struct part *p)
{
    const char *name, *user_id = NULL;
    struct buf *b = &p->answer;
    for (size_t i = 0; i < p->n; i++) {
        const struct key_claim *c = &p->first[i];
        const json_t *key = find_claimed(a, reply, c, &name);
        if (!key)
            continue;
        bool is_same = user_id && strcmp(user_id, c->user_id) == 0;
        if (user_id)
            buf_add_text(b, is_same ? "," : "},");
        if (!is_same) {
            buf_add_json_string(b, str_of(c->user_id));
            BUF_LIT(b, ":{");
        }
        user_id = c->user_id;
        buf_add_json_string(b, str_of(c->device_id));
        BUF_LIT(b, ":{");
        buf_add_json_string(b, str_of(name));
        buf_add_char(b, ':');
        buf_add_json(b, key);
        buf_add_char(b, '}');
    }
    if (user_id)
        buf_add_char(b, '}');
}

static const struct err *claim_from_server(struct job *job, struct part *p)
{
    struct fed_reply reply;
    json_t *users = claims_json(job->arena, p);
    json_t *body = json_keep(job->arena, json_pack("{s:O}", "one_time_keys", users));
    TRY(remote_keys_ask(job, p, "/_matrix/federation/v1/user/keys/claim", body, &reply));
    add_claimed(job->arena, reply.json, p);
    return NULL;
}

/* ---- all servers at once ---- */

static void run_part(struct job *job, void *part)
{
    struct part *p = part;
    const struct err *e = p->user_ids ? query_server(job, p) : claim_from_server(job, p);
    p->has_failed = e != NULL;
    if (e)
        p->why = *e;
}

static void run_all(struct job *job, struct part *parts, size_t n, int64_t timeout_ms,
                    json_t *failed)
{
    int64_t most = REMOTE_KEYS_TIMEOUT_MAX_MS;
    timeout_ms = timeout_ms < 1 ? 1 : timeout_ms > most ? most : timeout_ms;
    for (size_t i = 0; i < n; i++)
        parts[i].deadline_mono_ms = mono_ms() + timeout_ms;
    helpers_run(job->federation->key_askers, job, run_part, parts, sizeof *parts, n, HELPERS_MAX);
    for (size_t i = 0; i < n; i++)
        if (parts[i].has_failed)
            json_object_set_new(failed, parts[i].server,
                                json_pack("{s:s, s:s, s:i}", "errcode", err_errcode(&parts[i].why),
                                          "error", parts[i].why.text, "status",
                                          err_status(&parts[i].why)));
}

static int compare_servers(const char *a, const char *b)
{
    return strcmp(strchr(a, ':') + 1, strchr(b, ':') + 1);
}

static int remote_keys_compare_users(const void *a, const void *b)
{
    const char *const *x = a, *const *y = b;
    return compare_servers(*x, *y);
}

static int compare_claims(const void *a, const void *b)
{
    const struct key_claim *x = a, *y = b;
    int by_server = compare_servers(x->user_id, y->user_id);
    return by_server ? by_server : strcmp(x->user_id, y->user_id);
}

static struct part *remote_keys_add_part(struct part *parts, size_t *n, const char *user_id)
{
    const char *server = strchr(user_id, ':') + 1;
    if (!*n || strcmp(parts[*n - 1].server, server) != 0)
        parts[(*n)++].server = server;
    return &parts[*n - 1];
}

const struct err *remote_keys_fetch(struct job *job, const char *const *user_ids, size_t n,
                                    int64_t timeout_ms, json_t *failed)
{
    const char **sorted = (const char **)arena_memdup(job->arena, user_ids, n * sizeof *sorted);
    struct part *parts = arena_alloc_array(job->arena, n, sizeof *parts);
    size_t parts_n = 0;
    qsort(sorted, n, sizeof *sorted, remote_keys_compare_users);
    for (size_t i = 0; i < n; i++) {
        struct part *p = remote_keys_add_part(parts, &parts_n, sorted[i]);
        if (!p->n++)
            p->user_ids = &sorted[i];
    }
    run_all(job, parts, parts_n, timeout_ms, failed);
    return NULL;
}

const struct err *remote_keys_claim(struct job *job, const struct key_claim *claims, size_t n,
                                    int64_t timeout_ms, struct buf *out, json_t *failed)
{
    struct key_claim *sorted = (void *)arena_memdup(job->arena, claims, n * sizeof *sorted);
    struct part *parts = arena_alloc_array(job->arena, n, sizeof *parts);
    size_t parts_n = 0;
    qsort(sorted, n, sizeof *sorted, compare_claims);
    for (size_t i = 0; i < n; i++) {
        struct part *p = remote_keys_add_part(parts, &parts_n, sorted[i].user_id);
        if (!p->n++)
            p->first = &sorted[i];
    }
    run_all(job, parts, parts_n, timeout_ms, failed);
    for (size_t i = 0; i < parts_n; i++) {
        if (parts[i].answer.n)
            buf_add_json_comma(out);
        buf_add_str(out, buf_str(&parts[i].answer));
        buf_finish(&parts[i].answer);
    }
    return NULL;
}
