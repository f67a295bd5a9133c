/* Client-server API, "Push Notifications": pushers. */
#include "storage/users/pushers.h"
#include "base/clock.h"
#include "server/account/caller.h"
#include "server/routes.h"
#include "storage/db/intern.h"
#include "storage/users/users.h"

enum { PUSHKEY_MAX = 512, APP_ID_MAX = 64, PUSHER_BYTES_MAX = 16 * 1024 };

/* MSC3881. */
#define ENABLED "org.matrix.msc3881.enabled"
#define DEVICE_ID "org.matrix.msc3881.device_id"

/* As it was set, with what clients learn of it besides. */
static const struct err *pushers_add_listed(struct arena *a, const struct listed_pusher *p,
                                            struct buf *out)
{
    json_t *o;
    TRY(json_read_own(a, p->json, &o));
    if (!json_object_get(o, ENABLED))
        json_object_set_new(o, ENABLED, json_true());
    if (p->device_id)
        json_object_set_new(o, DEVICE_ID, json_string(p->device_id));
    buf_add_json_comma(out);
    buf_add_json(out, o);
    return NULL;
}

static const struct err *get_pushers(struct request *rq, struct reply *rp)
{
    const struct listed_pusher *pushers;
    size_t n;
    TRY(pushers_list(job_tx(job_of(rq)), caller_of(rq)->user, &pushers, &n));
    BUF_LIT(&rp->body, "{\"pushers\":[");
    for (size_t i = 0; i < n; i++)
        TRY(pushers_add_listed(rq->arena, &pushers[i], &rp->body));
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
    bool enabled;
    TRY(json_want_bool(rq->body, ENABLED, true, &enabled));
    json_t *o = json_keep(rq->arena, json_copy(rq->body));
    json_object_del(o, "append");
    json_object_del(o, DEVICE_ID);
    *ret = json_write(rq->arena, o);
    return NULL;
}

/* The changes tell the nodes that send to these users to look again. */
static const struct err *pushers_fill(struct job *job, struct write *w, const struct pusher *p,
                                      const char *user_id, bool alone)
{
    const int64_t *others;
    const char **names;
    size_t n = 0;
    if (p->json.p && alone) {
        TRY(pushers_find_others(job_tx(job), p, &others, &n));
        names = arena_alloc_array(job->arena, n + 1, sizeof *names);
        TRY(intern_names(job->storage->intern, INTERN_USER, others, n, names));
    }
    for (size_t i = 0; i < n; i++)
        users_write_changed(w, others[i], names[i]);
    users_write_changed(w, p->user, user_id);
    if (p->json.p)
        pushers_write(w, p, alone, (int)write_changes_n(w));
    else
        pushers_write_deletion(w, p->user, p->app_id, p->pushkey);
    return NULL;
}

static const struct err *pushers_store(struct job *job, const struct pusher *p, const char *user_id,
                                       bool alone)
{
    struct write *w = write_begin(job);
    const struct err *e = pushers_fill(job, w, p, user_id, alone);
    if (!e)
        return write_commit(job, w, NULL);
    write_abandon(w);
    return e;
}

static const struct err *post_pusher(struct request *rq, struct reply *rp)
{
    const struct caller *c = caller_of(rq);
    struct pusher p = {.user = c->user, .device = c->device, .set_ts = now_ms()};
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
    if (!json_is_null(kind)) {
        TRY(pusher_json(rq, &json));
        p.json = str_of(json);
        TRY(pushers_check_space(job_tx(job_of(rq)), &p));
    }
    TRY(pushers_store(job_of(rq), &p, c->user_id, !append));
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
