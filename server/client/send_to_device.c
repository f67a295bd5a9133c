/* Send-to-Device messaging. */
#include "base/clock.h"
#include "base/sha256.h"
#include "federation/request.h"
#include "matrix/canonical_json.h"
#include "matrix/id.h"
#include "rooms/device_messages.h"
#include "server/caller.h"
#include "server/routes.h"
#include "storage/to_device.h"

enum {
    TEXT_BYTES_MAX = 255,
    TXN_HASH_BYTES = 16,
    TXN_KEPT_MS = 86400000, /* no client repeats a request after so long */
    BODY_BYTES_MAX = 8 << 20,
    EDU_BYTES_MAX = 48 << 10
};

/* ---- for other servers ---- */

/* EDUs for one server, each with what goes to some devices there: other servers refuse large ones.
 */
struct outbound {
    struct job *job;
    struct write *w;
    const struct device_message *message;
    const char *server, *user_id; /* whose object is open in edu; NULL: none */
    struct buf edu;
};

static void begin_edu(struct outbound *o)
{
    BUF_LIT(&o->edu, "{\"message_id\":\"");
    buf_add_text(&o->edu, id_random(o->job->arena, 16));
    BUF_LIT(&o->edu, "\",\"sender\":");
    buf_add_json_string(&o->edu, str_of(o->message->sender));
    BUF_LIT(&o->edu, ",\"type\":");
    buf_add_json_string(&o->edu, str_of(o->message->type));
    BUF_LIT(&o->edu, ",\"messages\":{");
}

static const struct err *end_edu(struct outbound *o)
{
    buf_auto struct buf b = {0};
    if (!o->edu.n)
        return NULL;
    BUF_LIT(&o->edu, "}}}");
    TRY(canonical_json_add(&b, CANONICAL_STRICT, buf_str(&o->edu)));
    struct str json = {arena_memdup(o->job->arena, b.p, b.n), b.n};
    to_device_outbound_write(o->w, o->server, json);
    buf_clear(&o->edu);
    o->user_id = NULL;
    return NULL;
}

static const struct err *add_message(struct outbound *o, const char *user_id, const char *device_id,
                                     const json_t *content)
{
    struct str text = str_of(json_write(o->job->arena, content));
    if (text.n > DEVICE_MESSAGE_BYTES_MAX)
        return err(ERR_TOO_LARGE, "A message to a device may have %d bytes at most",
                   DEVICE_MESSAGE_BYTES_MAX);
    if (o->edu.n + text.n > EDU_BYTES_MAX)
        TRY(end_edu(o));
    if (!o->edu.n)
        begin_edu(o);
    if (o->user_id != user_id) {
        buf_add_text(&o->edu, o->user_id ? "}," : "");
        buf_add_json_string(&o->edu, str_of(user_id));
        BUF_LIT(&o->edu, ":{");
    } else {
        buf_add_char(&o->edu, ',');
    }
    o->user_id = user_id;
    buf_add_json_string(&o->edu, str_of(device_id));
    buf_add_char(&o->edu, ':');
    buf_add_str(&o->edu, text);
    return NULL;
}

static const struct err *add_server(struct outbound *o, const json_t *messages)
{
    const char *user_id, *device_id;
    json_t *devices, *content;
    json_object_foreach ((json_t *)messages, user_id, devices)
        json_object_foreach (devices, device_id, content)
            TRY(add_message(o, user_id, device_id, content));
    return end_edu(o);
}

static const struct err *add_outbound(struct job *job, struct write *w,
                                      const struct device_message *m, json_t *servers)
{
    const char *server;
    json_t *messages;
    struct outbound o = {.job = job, .w = w, .message = m};
    const struct err *e = NULL;
    json_object_foreach (servers, server, messages) {
        o.server = server;
        if (!e && federation_may_contact(job->store->config, server))
            e = add_server(&o, messages);
    }
    buf_finish(&o.edu);
    return e;
}

/* "Transaction identifiers": of one device, and of one endpoint. */
static struct str txn_hash(struct request *rq, const char *user_id)
{
    unsigned char hash[SHA256_BYTES];
    const struct str parts[] = {
        str_of(user_id), STR("\0sendToDevice\0"),          str_of(request_param(rq, "type")),
        STR("\0"),       str_of(request_param(rq, "txn")),
    };
    sha256_parts(parts, sizeof parts / sizeof *parts, hash);
    return (struct str){arena_memdup(rq->arena, hash, TXN_HASH_BYTES), TXN_HASH_BYTES};
}

static const struct err *put_send_to_device(struct request *rq, struct reply *rp)
{
    struct job *job = job_of(rq);
    const struct caller *c = caller_of(rq);
    struct device_message m = {c->user_id, request_param(rq, "type")};
    const json_t *messages;
    json_t *servers;
    if (strlen(m.type) > TEXT_BYTES_MAX || strlen(request_param(rq, "txn")) > TEXT_BYTES_MAX)
        return err(ERR_INVALID_PARAM, "The event type or the transaction id is too long");
    TRY(json_need_object(rq->body, "messages", &messages));
    TRY(canonical_json_check_tree(messages));
    struct write *w = write_begin(job);
    TRY(device_messages_add(job, w, &m, messages, &servers));
    TRY(add_outbound(job, w, &m, servers));
    if (write_is_empty(w))
        return reply_empty(rp);

    struct str txn = txn_hash(rq, c->user_id);
    if (txn.p[0] == 0) /* one request in 256 clears away */
        TRY(to_device_txns_delete_before(job_tx(job), now_ms() - TXN_KEPT_MS));
    to_device_txn_write(w, c->device, txn, now_ms());
    const struct err *e = write_commit(job, w, NULL);
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
