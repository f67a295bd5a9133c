/* Send-to-Device messaging. */
#include "base/clock.h"
#include "base/sha256.h"
#include "matrix/id.h"
#include "server/caller.h"
#include "server/routes.h"
#include "storage/to_device.h"

enum {
    TARGETS_MAX = 10000,       /* devices that one request may name */
    CONTENT_BYTES_MAX = 65536, /* as for events in rooms */
    TYPE_BYTES_MAX = 255,
    TXN_BYTES_MAX = 255,
    TXN_HASH_BYTES = 16,
    BODY_BYTES_MAX = 8 << 20
};

/* One (user, device) pair of the request; contents are JSON text. */
struct pairs {
    const char **user_ids, **device_ids;
    struct str *contents;
    size_t n;
};

struct message {
    struct job *job;
    const char *sender, *type;
    struct write *write;
};

static struct str json_bytes(struct arena *a, const json_t *v)
{
    return str_of(json_write(a, v));
}

/* Appends the messages of one user's devices. */
static const struct err *add_pairs(struct arena *a, struct pairs *p, const char *user_id,
                                   const json_t *devices)
{
    const char *device_id;
    json_t *content;
    if (!json_is_object(devices))
        return err(ERR_BAD_JSON, "`messages` must map users to objects");
    json_object_foreach ((json_t *)devices, device_id, content) {
        if (!json_is_object(content))
            return err(ERR_BAD_JSON, "A message to a device must be an object");
        if (p->n == TARGETS_MAX)
            return err(ERR_INVALID_PARAM, "Send to %d devices at most in one request", TARGETS_MAX);
        struct str bytes = json_bytes(a, content);
        if (bytes.n > CONTENT_BYTES_MAX)
            return err(ERR_TOO_LARGE, "A message to a device may have %d bytes at most",
                       CONTENT_BYTES_MAX);
        p->user_ids[p->n] = user_id;
        p->device_ids[p->n] = device_id;
        p->contents[p->n++] = bytes;
    }
    return NULL;
}

/* ---- to our own users --------------------------------------------------------------------------
 */

static struct str make_event(const struct message *m, struct str content)
{
    buf_auto struct buf b = {0};
    BUF_LIT(&b, "{\"content\":");
    buf_add_str(&b, content);
    BUF_LIT(&b, ",\"sender\":");
    buf_add_json_string(&b, str_of(m->sender));
    BUF_LIT(&b, ",\"type\":");
    buf_add_json_string(&b, str_of(m->type));
    buf_add_char(&b, '}');
    return (struct str){arena_memdup(m->job->arena, b.p, b.n), b.n};
}

static const struct err *add_local(const struct message *m, const struct pairs *p)
{
    const struct device_target *targets;
    size_t n;
    if (!p->n)
        return NULL;
    TRY(to_device_targets(job_tx(m->job), p->user_ids, p->device_ids, p->n, &targets, &n));
    struct str event = {0};
    for (size_t i = 0; i < n; i++) {
        if (i == 0 || targets[i].wanted != targets[i - 1].wanted)
            event = make_event(m, p->contents[targets[i].wanted]);
        to_device_write(m->write, targets[i].user, targets[i].device, targets[i].device_id, event);
    }
    return NULL;
}

/* ---- to users of other servers -----------------------------------------------------------------
 */

static bool may_federate(const struct config *c, struct str server)
{
    for (size_t i = 0; i < c->federation_domain_whitelist.n; i++)
        if (str_is(server, c->federation_domain_whitelist.items[i]))
            return true;
    return !c->federation_domain_whitelist.items;
}

/* One EDU for each server, holding what goes to all users there. */
static void add_remote(const struct message *m, json_t *servers)
{
    const char *server;
    json_t *messages;
    json_object_foreach (servers, server, messages) {
        json_t *edu = json_pack("{s:s, s:s, s:s, s:O}", "sender", m->sender, "type", m->type,
                                "message_id", id_random(m->job->arena, 16), "messages", messages);
        to_device_outbound_write(m->write, server,
                                 json_bytes(m->job->arena, json_keep(m->job->arena, edu)));
    }
}

/* ---- the request -------------------------------------------------------------------------------
 */

static const struct err *add_messages(const struct message *m, const json_t *messages)
{
    struct job *job = m->job;
    struct pairs local = {
        .user_ids = arena_alloc_array(job->arena, TARGETS_MAX, sizeof(char *)),
        .device_ids = arena_alloc_array(job->arena, TARGETS_MAX, sizeof(char *)),
        .contents = arena_alloc_array(job->arena, TARGETS_MAX, sizeof(struct str)),
    };
    json_t *servers = json_keep(job->arena, json_object());
    const char *user_id;
    json_t *devices;
    json_object_foreach ((json_t *)messages, user_id, devices) {
        struct str server = id_server(str_of(user_id));
        size_t before = local.n;
        TRY(add_pairs(job->arena, &local, user_id, devices));
        if (str_is(server, job->store->config->server_name))
            continue;
        local.n = before;
        if (id_is_user(str_of(user_id)) && may_federate(job->store->config, server)) {
            json_t *there = json_object_getn(servers, server.p, server.n);
            if (!there)
                json_object_setn_new(servers, server.p, server.n, there = json_object());
            json_object_set(there, user_id, devices);
        }
    }
    TRY(add_local(m, &local));
    add_remote(m, servers);
    return NULL;
}

/* "Transaction identifiers": of one device, and of one endpoint. */
static struct str txn_hash(struct request *rq, const char *user_id)
{
    unsigned char hash[SHA256_BYTES];
    const struct str parts[] = {
        STR("sendToDevice"),
        STR("\0"),
        str_of(user_id),
        STR("\0"),
        str_of(request_param(rq, "type")),
        STR("\0"),
        str_of(request_param(rq, "txn")),
    };
    sha256_parts(parts, sizeof parts / sizeof *parts, hash);
    return (struct str){arena_memdup(rq->arena, hash, TXN_HASH_BYTES), TXN_HASH_BYTES};
}

static const struct err *put_send_to_device(struct request *rq, struct reply *rp)
{
    struct job *job = job_of(rq);
    const struct caller *c = caller_of(rq);
    const char *type = request_param(rq, "type");
    const json_t *messages;
    if (strlen(type) > TYPE_BYTES_MAX || strlen(request_param(rq, "txn")) > TXN_BYTES_MAX)
        return err(ERR_INVALID_PARAM, "The event type or the transaction id is too long");
    TRY(json_need_object(rq->body, "messages", &messages));
    struct message m = {job, c->user_id, type, write_begin(job)};
    TRY(add_messages(&m, messages));
    if (write_is_empty(m.write))
        return reply_empty(rp);

    struct str txn = txn_hash(rq, c->user_id);
    to_device_txn_write(m.write, c->device, txn, now_ms());
    const struct err *e = write_commit(job, m.write, NULL);
    if (e && e->code == ERR_CONFLICT) {
        /* Sent before: then the answer is the same, and nothing is sent again. */
        bool sent;
        TRY(to_device_txn_exists(job_tx(job), c->device, txn, &sent));
        return sent ? reply_empty(rp) : err_copy(e);
    }
    TRY(e);
    return reply_empty(rp);
}

const struct route send_to_device_routes[] = {
    {.method = PUT,
     .path = "/_matrix/client/v3/sendToDevice/{type}/{txn}",
     .handler = put_send_to_device,
     .who = WHO_GUEST_TOO,
     .body = BODY_JSON,
     .rate = RATE_KEY,
     .spec = "send-to-device messaging",
     .body_max = BODY_BYTES_MAX},
    {.path = NULL},
};
