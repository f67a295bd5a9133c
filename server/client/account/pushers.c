/* Client-server API, "Push Notifications": pushers. */
#include "storage/users/pushers.h"
#include "server/account/caller.h"
#include "server/routes.h"

enum { PUSHKEY_MAX = 512, APP_ID_MAX = 64, PUSHER_BYTES_MAX = 16 * 1024 };

static const struct err *get_pushers(struct request *rq, struct reply *rp)
{
    const struct str *pushers;
    size_t n;
    TRY(pushers_list(job_tx(job_of(rq)), caller_of(rq)->user, &pushers, &n));
    BUF_LIT(&rp->body, "{\"pushers\":[");
    for (size_t i = 0; i < n; i++) {
        buf_add_json_comma(&rp->body);
        buf_add_str(&rp->body, pushers[i]);
    }
    BUF_LIT(&rp->body, "]}");
    return reply_body(rp, 200);
}

/* Notifications are sent over HTTPS, to the path of push gateways. */
static const struct err *check_http(const json_t *data)
{
    const char *url;
    TRY(json_need_string(data, "url", &url));
    struct str s = str_of(url);
    if (!str_starts_with(s, "https://"))
        return err(ERR_INVALID_PARAM, "data.url must be an HTTPS URL");
    const char *path = strchr(url + strlen("https://"), '/');
    if (!path || strcmp(path, "/_matrix/push/v1/notify") != 0)
        return err(ERR_INVALID_PARAM, "The path of data.url must be /_matrix/push/v1/notify");
    return NULL;
}

/* A pusher is returned as it was given, without members that only controlled how to store it. */
static const struct err *pusher_json(struct request *rq, const char **ret)
{
    static const char *const texts[] = {"app_display_name", "device_display_name", "lang"};
    const json_t *data;
    const char *text;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        TRY(json_need_string(rq->body, texts[i], &text));
    TRY(json_need_string(rq->body, "kind", &text));
    TRY(json_need_object(rq->body, "data", &data));
    if (strcmp(text, "http") != 0)
        return err(ERR_INVALID_PARAM, "Only pushers of kind http are served");
    TRY(check_http(data));
    TRY(json_want_string(rq->body, "profile_tag", "", &text));
    json_t *o = json_keep(rq->arena, json_copy(rq->body));
    json_object_del(o, "append");
    *ret = json_write(rq->arena, o);
    return NULL;
}

static const struct err *post_pusher(struct request *rq, struct reply *rp)
{
    const struct caller *c = caller_of(rq);
    struct pusher p = {.user = c->user, .device = c->device};
    const char *json = NULL;
    bool append;
    const json_t *kind = json_object_get(rq->body, "kind");
    TRY(json_need_string(rq->body, "app_id", &p.app_id));
    TRY(json_need_string(rq->body, "pushkey", &p.pushkey));
    TRY(json_want_bool(rq->body, "append", false, &append));
    if (!kind)
        return err(ERR_MISSING_PARAM, "Missing kind");
    if (strlen(p.app_id) > APP_ID_MAX || strlen(p.pushkey) > PUSHKEY_MAX)
        return err(ERR_INVALID_PARAM, "app_id is at most %d bytes, pushkey %d", APP_ID_MAX,
                   PUSHKEY_MAX);
    if (json_is_null(kind)) {
        TRY(pushers_delete(job_tx(job_of(rq)), p.user, p.app_id, p.pushkey));
        return reply_empty(rp);
    }
    TRY(pusher_json(rq, &json));
    p.json = str_of(json);
    TRY(pushers_set(job_tx(job_of(rq)), &p, !append));
    return reply_empty(rp);
}

const struct route pushers_routes[] = {
    {.method = GET,
     .path = "/_matrix/client/v3/pushers",
     .handler = get_pushers,
     .who = WHO_USER,
     .spec = "Push Notifications"},
    {.method = POST,
     .path = "/_matrix/client/v3/pushers/set",
     .handler = post_pusher,
     .who = WHO_USER,
     .body = BODY_JSON,
     .rate = RATE_ACCOUNT,
     .body_max = PUSHER_BYTES_MAX,
     .spec = "Push Notifications"},
    {.path = NULL},
};
