/* MSC3814: dehydrated devices, which receive room keys while their user has no other device. */
#include "storage/devices/dehydrated_devices.h"

#include "matrix/canonical_json.h"
#include "matrix/device_keys.h"
#include "matrix/id.h"
#include "server/account/caller.h"
#include "server/account/sessions_end.h"
#include "server/client/e2ee/keys.h"
#include "server/routes.h"
#include "server/sync_token.h"
#include "storage/devices/e2ee_keys.h"
#include "storage/users/users.h"
#include "users/device_changes.h"

enum { DATA_BYTES_MAX = 262144, EVENTS_PAGE = 100, NAME_BYTES_MAX = 255 };

/* ---- making one ---- */

struct dehydration {
    const char *device_id, *display_name;
    struct str data;
};

static const struct err *dehydrated_device_read_body(struct request *rq, struct dehydration *ret)
{
    const json_t *data, *keys;
    const char *algorithm;
    TRY(json_need_string(rq->body, "device_id", &ret->device_id));
    TRY(json_need_object(rq->body, "device_data", &data));
    TRY(json_need_string(data, "algorithm", &algorithm));
    TRY(json_need_object(rq->body, "device_keys", &keys));
    TRY(json_want_string(rq->body, "initial_device_display_name", NULL, &ret->display_name));
    if (!id_is_device(str_of(ret->device_id)))
        return err(ERR_INVALID_PARAM, "`device_id` is empty or too long");
    if (ret->display_name && strlen(ret->display_name) > NAME_BYTES_MAX)
        return err(ERR_INVALID_PARAM, "`initial_device_display_name` is too long");
    TRY(device_keys_check(keys, caller_of(rq)->user_id, ret->device_id));
    buf_auto struct buf b = {0};
    TRY(canonical_json_add_tree(&b, CANONICAL_LENIENT, data));
    if (b.n > DATA_BYTES_MAX)
        return err(ERR_TOO_LARGE, "`device_data` may have %d bytes at most", DATA_BYTES_MAX);
    ret->data = (struct str){arena_memdup(rq->arena, b.p, b.n), b.n};
    return NULL;
}

/* Stores the new device's keys and removes the previous device, in one write. */
static const struct err *dehydrated_device_store(struct request *rq, const struct dehydration *d,
                                                 int64_t device,
                                                 const struct dehydrated_device *old)
{
    struct job *job = job_of(rq);
    const struct caller *c = caller_of(rq);
    struct key_owner owner = {c->user, device, c->user_id, d->device_id};
    struct write *w = write_begin(job);
    TRY(keys_upload_add(job, &owner, rq->body, w));
    dehydrated_device_write(w, c->user, device, d->data);
    if (old->device.id && old->device.id != device) {
        users_write_changed(w, c->user, c->user_id);
        e2ee_delete_devices(w, c->user, &old->device, 1);
        devices_write_deletion(w, &old->device, 1);
        TRY(device_changes_add(job, w, c->user, c->user_id, &old->device.device_id, 1));
    }
    return write_commit(job, w, NULL);
}

static const struct err *dehydrated_device_put_device(struct request *rq, struct reply *rp)
{
    struct job *job = job_of(rq);
    const struct caller *c = caller_of(rq);
    struct dehydration d = {0};
    struct dehydrated_device old;
    int64_t device;
    bool is_new;
    TRY(dehydrated_device_read_body(rq, &d));
    TRY(dehydrated_device_get(job_tx(job), c->user, &old));
    TRY(devices_open(job_tx(job), c->user, d.device_id, d.display_name, &device, &is_new));
    if (!is_new && device != old.device.id)
        return err(ERR_INVALID_PARAM, "You are signed in on a device of that id");
    const struct err *e = dehydrated_device_store(rq, &d, device, &old);
    if (e && is_new) {
        struct err why = *e;
        TRY(sessions_end_device(job, c->user, c->user_id, d.device_id));
        return err_copy(&why);
    }
    TRY(e);
    return reply_json(rp, 200, "{s:s}", "device_id", d.device_id);
}

/* ---- using it ---- */

static const struct err *dehydrated_device_need_device(struct request *rq,
                                                       struct dehydrated_device *ret)
{
    TRY(dehydrated_device_get(job_tx(job_of(rq)), caller_of(rq)->user, ret));
    return ret->device.id ? NULL : err(ERR_NOT_FOUND, "There is no dehydrated device");
}

static const struct err *dehydrated_device_get_device(struct request *rq, struct reply *rp)
{
    struct dehydrated_device d;
    TRY(dehydrated_device_need_device(rq, &d));
    BUF_LIT(&rp->body, "{\"device_id\":");
    buf_add_json_string(&rp->body, str_of(d.device.device_id));
    BUF_LIT(&rp->body, ",\"device_data\":");
    buf_add_str(&rp->body, d.data);
    buf_add_char(&rp->body, '}');
    return reply_body(rp, 200);
}

static const struct err *dehydrated_device_delete_device(struct request *rq, struct reply *rp)
{
    const struct caller *c = caller_of(rq);
    struct dehydrated_device d;
    TRY(dehydrated_device_need_device(rq, &d));
    TRY(sessions_end_device(job_of(rq), c->user, c->user_id, d.device.device_id));
    return reply_json(rp, 200, "{s:s}", "device_id", d.device.device_id);
}

/* With a token from lost history, all waiting messages are read again. */
static const struct err *read_place(const struct storage *storage, const char *from, int64_t *ret)
{
    struct sync_token token = {0};
    if (from)
        TRY(sync_token_parse_since(storage, from, &token));
    *ret = token.is_lost ? 0 : token.position;
    return NULL;
}

/* Nothing is deleted: if the reading device stops halfway, another one can start again. */
static const struct err *dehydrated_device_reply_events(struct request *rq, struct reply *rp,
                                                        const char *from, bool always_next_batch)
{
    struct job *job = job_of(rq);
    struct dehydrated_device d;
    int64_t since = 0;
    TRY(dehydrated_device_get(job_tx(job), caller_of(rq)->user, &d));
    if (!d.device.id || strcmp(d.device.device_id, request_param(rq, "device")) != 0)
        return err(ERR_FORBIDDEN, "This is not your dehydrated device");
    TRY(read_place(job->storage, from, &since));
    const struct to_device_message *messages;
    size_t n;
    bool more;
    TRY(to_device_read(job_tx(job), d.device.id, since, INT64_MAX, EVENTS_PAGE, &messages, &n,
                       &more));
    BUF_LIT(&rp->body, "{\"events\":[");
    for (size_t i = 0; i < n; i++) {
        buf_add_json_comma(&rp->body);
        buf_add_str(&rp->body, messages[i].json);
    }
    buf_add_char(&rp->body, ']');
    if (more || always_next_batch) {
        BUF_LIT(&rp->body, ",\"next_batch\":\"");
        sync_token_add(&rp->body, job->storage, n ? messages[n - 1].position : since, 0);
        buf_add_char(&rp->body, '"');
    }
    buf_add_char(&rp->body, '}');
    return reply_body(rp, 200);
}

static const struct err *dehydrated_device_get_events(struct request *rq, struct reply *rp)
{
    return dehydrated_device_reply_events(rq, rp, request_query(rq, "from"), false);
}

/* The older draft: clients continue until no events are returned, and always need a token for that.
 */
static const struct err *post_events(struct request *rq, struct reply *rp)
{
    const char *from;
    TRY(json_want_string(rq->body, "next_batch", NULL, &from));
    return dehydrated_device_reply_events(rq, rp, from, true);
}

#define BASE "/_matrix/client/unstable/org.matrix.msc3814.v1/dehydrated_device"
#define ROUTE(method_, path_, handler_, body_, ...)                                                \
    {                                                                                              \
        .method = method_, .path = BASE path_, .handler = handler_, .who = WHO_USER,               \
        .body = body_, .rate = RATE_KEY, .spec = "MSC3814 dehydrated devices", __VA_ARGS__         \
    }

const struct route dehydrated_device_routes[] = {
    ROUTE(PUT, "", dehydrated_device_put_device, BODY_JSON, .body_max = BODY_AS_SET),
    ROUTE(GET, "", dehydrated_device_get_device, BODY_NONE, ),
    ROUTE(DELETE, "", dehydrated_device_delete_device, BODY_NONE, ),
    ROUTE(GET, "/{device}/events", dehydrated_device_get_events, BODY_NONE, ),
    ROUTE(POST, "/{device}/events", post_events, BODY_MAYBE, ),
    {.path = NULL},
};
