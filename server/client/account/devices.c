/* Client-server API, "Device Management". */
#include "server/account/sessions_end.h"
#include "server/account/sign_in.h"
#include "server/account/uia.h"
#include "server/routes.h"
#include "users/device_changes.h"

enum { DELETED_AT_ONCE_MAX = 1000 };

static json_t *device_json(const struct device *d)
{
    json_t *o = json_pack("{s:s}", "device_id", d->device_id);
    if (d->display_name)
        json_object_set_new(o, "display_name", json_string(d->display_name));
    if (d->last_seen_ts) {
        json_object_set_new(o, "last_seen_ts", json_integer(d->last_seen_ts));
        json_object_set_new(o, "last_seen_ip", json_string(d->last_seen_ip));
    }
    return o;
}

static const struct err *devices_get_devices(struct request *rq, struct reply *rp)
{
    const struct device *devices;
    size_t n;
    TRY(devices_list(job_tx(job_of(rq)), caller_of(rq)->user, &devices, &n));
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, device_json(&devices[i]));
    return reply_json(rp, 200, "{s:o}", "devices", list);
}

static const struct err *devices_need_device(struct request *rq, struct device *ret)
{
    bool found;
    TRY(devices_find(job_tx(job_of(rq)), caller_of(rq)->user, request_param(rq, "device"), &found,
                     ret));
    return found ? NULL : err(ERR_NOT_FOUND, "You have no device of that id");
}

static const struct err *devices_get_device(struct request *rq, struct reply *rp)
{
    struct device d = {0};
    TRY(devices_need_device(rq, &d));
    return reply_tree(rp, 200, device_json(&d));
}

/* Others receive the name with the device's keys. */
static const struct err *rename_device(struct request *rq, int64_t device, const char *name)
{
    struct job *job = job_of(rq);
    const struct caller *c = caller_of(rq);
    const char *device_id = request_param(rq, "device");
    struct write *w = write_begin(job);
    devices_write_name(w, device, name);
    TRY(device_changes_add(job, w, c->user, c->user_id, &device_id, 1));
    return write_commit(job, w, NULL);
}

static const struct err *devices_put_device(struct request *rq, struct reply *rp)
{
    struct device d = {0};
    const char *name;
    TRY(devices_need_device(rq, &d));
    TRY(json_want_string(rq->body, "display_name", NULL, &name));
    if (name && strlen(name) > DEVICE_NAME_MAX)
        return err(ERR_INVALID_PARAM, "The device's display name is too long");
    if (name && (!d.display_name || strcmp(name, d.display_name) != 0))
        TRY(rename_device(rq, d.id, name));
    return reply_empty(rp);
}

static const struct err *devices_delete_device(struct request *rq, struct reply *rp)
{
    const struct caller *c = caller_of(rq);
    bool done;
    TRY(uia_require_password(rq, rp, &done));
    if (!done)
        return NULL;
    TRY(sessions_end_device(job_of(rq), c->user, c->user_id, request_param(rq, "device")));
    return reply_empty(rp);
}

static const struct err *read_device_ids(struct request *rq, const char *const **ret, size_t *ret_n)
{
    const json_t *list;
    TRY(json_need_array(rq->body, "devices", &list));
    size_t n = json_array_size(list);
    if (n > DELETED_AT_ONCE_MAX)
        return err(ERR_INVALID_PARAM, "At most %d devices at once", DELETED_AT_ONCE_MAX);
    const char **ids = arena_alloc_array(rq->arena, n, sizeof *ids);
    for (size_t i = 0; i < n; i++) {
        ids[i] = json_string_text(json_array_get(list, i));
        if (!ids[i])
            return err(ERR_BAD_JSON, "devices must be a list of strings");
    }
    *ret = ids;
    *ret_n = n;
    return NULL;
}

static const struct err *post_delete_devices(struct request *rq, struct reply *rp)
{
    const struct caller *c = caller_of(rq);
    const char *const *ids = NULL;
    size_t n = 0;
    bool done;
    TRY(uia_recall(rq, NULL));
    TRY(read_device_ids(rq, &ids, &n));
    TRY(uia_require_password(rq, rp, &done));
    if (!done)
        return NULL;
    TRY(sessions_end_devices(job_of(rq), c->user, c->user_id, ids, n));
    return reply_empty(rp);
}

#define SPEC "Device Management"

const struct route devices_routes[] = {
    {.method = GET,
     .path = "/_matrix/client/v3/devices",
     .handler = devices_get_devices,
     .who = WHO_GUEST_TOO,
     .spec = SPEC},
    {.method = GET,
     .path = "/_matrix/client/v3/devices/{device}",
     .handler = devices_get_device,
     .who = WHO_GUEST_TOO,
     .spec = SPEC},
    {.method = PUT,
     .path = "/_matrix/client/v3/devices/{device}",
     .handler = devices_put_device,
     .who = WHO_GUEST_TOO,
     .body = BODY_JSON,
     .rate = RATE_ACCOUNT,
     .spec = SPEC},
    {.method = DELETE,
     .path = "/_matrix/client/v3/devices/{device}",
     .handler = devices_delete_device,
     .who = WHO_USER,
     .body = BODY_MAYBE,
     .rate = RATE_ACCOUNT,
     .pool = POOL_PASSWORD,
     .spec = SPEC},
    {.method = POST,
     .path = "/_matrix/client/v3/delete_devices",
     .handler = post_delete_devices,
     .who = WHO_USER,
     .body = BODY_JSON,
     .rate = RATE_ACCOUNT,
     .pool = POOL_PASSWORD,
     .spec = SPEC},
    {.path = NULL},
};
