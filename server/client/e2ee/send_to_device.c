/* Send-to-Device messaging. */
#include "base/clock.h"
#include "base/sha256.h"
#include "federation/peer/request.h"
#include "matrix/canonical_json.h"
#include "matrix/id.h"
#include "matrix/json_named.h"
#include "server/account/caller.h"
#include "server/routes.h"
#include "storage/devices/to_device.h"
#include "users/device_messages.h"
#include "users/message_quota.h"

enum {
    TEXT_BYTES_MAX = 255,
    TXN_HASH_BYTES = 16,
    TXN_KEPT_MS = 86400000, /* no client repeats a request later */
    BODY_BYTES_MAX = 8 << 20,
    EDU_BYTES_MAX = 48 << 10,
    BYTES_OF_ONE = 65536 /* bytes written that count as one more request for the rate limit */
};

/* ---- for other servers ---- */

struct outbound_edu {
    const char *server;
    struct str json;
};

/* EDUs, each for some devices of one server: other servers refuse large ones. */
struct outbound {
    struct job *job;
    const struct device_message *message;
    const char *server, *user_id; /* of the object that is open in edu; NULL: none */
    bool may_contact;
    struct buf edu;
    struct outbound_edu *edus;
    size_t n, cap, next; /* next: the first one not yet written */
    size_t bytes;        /* their size in the database, with rows */
};

static void keep_edu(struct outbound *o, struct str json)
{
    if (o->n == o->cap) {
        size_t cap = o->cap ? o->cap * 2 : 4;
        struct outbound_edu *grown = arena_alloc_array(o->job->arena, cap, sizeof *grown);
        if (o->n)
            memcpy(grown, o->edus, o->n * sizeof *grown);
        o->edus = grown;
        o->cap = cap;
    }
    o->edus[o->n++] = (struct outbound_edu){o->server, json};
    o->bytes += json.n + TO_DEVICE_ROW_BYTES;
}

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
    keep_edu(o, json);
    buf_clear(&o->edu);
    o->user_id = NULL;
    return NULL;
}

static const struct err *add_message(struct outbound *o, const struct device_content *m)
{
    if (o->edu.n + m->json.n > EDU_BYTES_MAX)
        TRY(end_edu(o));
    if (!o->edu.n)
        begin_edu(o);
    if (o->user_id != m->user_id) {
        buf_add_text(&o->edu, o->user_id ? "}," : "");
        buf_add_json_string(&o->edu, str_of(m->user_id));
        BUF_LIT(&o->edu, ":{");
    } else {
        buf_add_char(&o->edu, ',');
    }
    o->user_id = m->user_id;
    buf_add_json_string(&o->edu, str_of(m->device_id));
    buf_add_char(&o->edu, ':');
    buf_add_str(&o->edu, m->json);
    return NULL;
}

/* The server of a checked id. */
static const char *server_of(const struct device_content *m)
{
    return strchr(m->user_id, ':') + 1;
}

static int by_server(const void *x, const void *y)
{
    const struct device_content *const *a = x, *const *b = y;
    int c = strcmp(server_of(*a), server_of(*b));
    return c ? c : *a < *b ? -1 : 1;
}

/* Grouped by server, in the order of arrival within each. */
static const struct err *send_to_device_add_messages(struct outbound *o,
                                                     const struct device_contents *c)
{
    const struct config *config = o->job->config;
    const struct device_content **sorted = arena_alloc_array(o->job->arena, c->n, sizeof *sorted);
    for (size_t i = 0; i < c->n; i++)
        sorted[i] = &c->list[i];
    qsort(sorted, c->n, sizeof *sorted, by_server);
    for (size_t i = 0; i < c->n; i++) {
        const char *server = server_of(sorted[i]);
        if (!o->server || strcmp(server, o->server) != 0) {
            TRY(end_edu(o));
            o->server = server;
            o->may_contact = federation_may_contact(config, server);
        }
        if (o->may_contact)
            TRY(add_message(o, sorted[i]));
    }
    return end_edu(o);
}

static const struct err *prepare_outbound(struct outbound *o, const struct device_contents *c)
{
    const struct err *e = c->n ? send_to_device_add_messages(o, c) : NULL;
    buf_finish(&o->edu);
    return e;
}

static void write_outbound(struct outbound *o, struct write *w, size_t *bytes)
{
    for (; o->next < o->n && *bytes < DEVICE_PIECE_BYTES; o->next++) {
        const struct outbound_edu *e = &o->edus[o->next];
        to_device_outbound_write(w, e->server, e->json, o->message->source);
        *bytes += e->json.n + TO_DEVICE_ROW_BYTES;
    }
}

/* ---- the request ---- */

/* "Transaction identifiers": for one device, endpoint, and piece of the request. */
static struct str txn_hash(struct request *rq, const char *user_id, int piece)
{
    unsigned char hash[SHA256_BYTES];
    const struct str parts[] = {
        str_of(user_id),
        STR("\0sendToDevice\0"),
        str_of(request_param(rq, "type")),
        STR("\0"),
        str_of(request_param(rq, "txn")),
        STR("\0"),
        str_of(arena_printf(rq->arena, "%d", piece)),
    };
    sha256_parts(parts, piece ? 7 : 5, hash);
    return (struct str){arena_memdup(rq->arena, hash, TXN_HASH_BYTES), TXN_HASH_BYTES};
}

/* If the write's transaction id exists, the piece was sent before: then it is not sent again, and
 * the answer is the same. */
static const struct err *commit_piece(struct request *rq, struct write *w, int piece)
{
    struct job *job = job_of(rq);
    const struct caller *c = caller_of(rq);
    struct str txn = txn_hash(rq, c->user_id, piece);
    if (txn.p[0] == 0) /* one request in 256 removes old ids */
        TRY(to_device_txns_delete_before(job_tx(job), now_ms() - TXN_KEPT_MS));
    to_device_txn_write(w, c->device, txn, now_ms());
    const struct err *e = write_commit(job, w, NULL);
    if (!e || e->code != ERR_CONFLICT)
        return e;
    bool sent;
    TRY(to_device_txn_exists(job_tx(job), c->device, txn, &sent));
    return sent ? NULL : err_copy(e);
}

static const struct err *put_send_to_device(struct request *rq, struct reply *rp)
{
    struct job *job = job_of(rq);
    const struct caller *c = caller_of(rq);
    struct device_message m = {c->user_id, request_param(rq, "type"), c->user};
    struct device_delivery ours;
    struct outbound theirs = {.job = job, .message = &m};
    struct device_contents others;
    struct str messages;
    if (strlen(m.type) > TEXT_BYTES_MAX || strlen(request_param(rq, "txn")) > TEXT_BYTES_MAX)
        return err(ERR_INVALID_PARAM, "The event type or the transaction id is too long");
    TRY(json_body_object(rq->raw, "messages", &messages));
    TRY(device_messages_prepare(job, &m, messages, &ours, &others));
    TRY(prepare_outbound(&theirs, &others));
    size_t written = ours.bytes + theirs.bytes;
    if (written > rq->raw.n) /* the body has been charged */
        request_owe(rq, RATE_KEY, (int)((written - rq->raw.n) / BYTES_OF_ONE));
    for (int piece = 0; device_messages_left(&ours) || theirs.next < theirs.n; piece++) {
        struct write *w = write_begin(job);
        size_t bytes = 0;
        device_messages_add(&ours, w, &bytes);
        write_outbound(&theirs, w, &bytes);
        TRY(commit_piece(rq, w, piece));
    }
    TRY(device_messages_bound(job, &ours));
    if (written)
        TRY(message_quota_caused(job, m.source, written));
    return reply_empty(rp);
}

const struct route send_to_device_routes[] = {
    {.method = PUT,
     .path = "/_matrix/client/v3/sendToDevice/{type}/{txn}",
     .handler = put_send_to_device,
     .who = WHO_GUEST_TOO,
     .body = BODY_RAW,
     .rate = RATE_KEY,
     .spec = "send-to-device messaging",
     .body_max = BODY_BYTES_MAX},
    {.path = NULL},
};
