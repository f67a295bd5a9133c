/* Send-to-Device messaging. */
#include "base/clock.h"
#include "base/sha256.h"
#include "federation/request.h"
#include "matrix/id.h"
#include "rooms/device_messages.h"
#include "server/caller.h"
#include "server/routes.h"
#include "storage/to_device.h"

enum {
    TEXT_BYTES_MAX = 255,
    TXN_HASH_BYTES = 16,
    TXN_KEPT_MS = 86400000, /* nobody repeats a request after so long */
    BODY_BYTES_MAX = 8 << 20
};

/* One EDU for each server, holding what goes to all users there. */
static void add_outbound(struct job *job, struct write *w, const struct device_message *m,
                         json_t *servers)
{
    const char *server;
    json_t *messages;
    json_object_foreach (servers, server, messages) {
        if (!federation_may_contact(job->store->config, server))
            continue;
        json_t *edu = json_pack("{s:s, s:s, s:s, s:O}", "sender", m->sender, "type", m->type,
                                "message_id", id_random(job->arena, 16), "messages", messages);
        const char *text = json_write(job->arena, json_keep(job->arena, edu));
        to_device_outbound_write(w, server, str_of(text));
    }
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
    struct write *w = write_begin(job);
    TRY(device_messages_add(job, w, &m, messages, &servers));
    add_outbound(job, w, &m, servers);
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
