/* Client-server API, "Server Administration": locking and suspending accounts, and whois. */
#include "matrix/id.h"
#include "server/account/caller.h"
#include "server/routes.h"
#include "storage/devices/devices.h"
#include "storage/users/users.h"

/* The account in the path, if an administrator may change it. */
static const struct err *need_target(struct request *rq, struct account *ret)
{
    struct job *job = job_of(rq);
    const char *user_id = request_param(rq, "user");
    bool found;
    if (!id_is_user_of(user_id, job->config->server_name))
        return err(ERR_INVALID_PARAM, "That is not a user of this server");
    TRY(users_find(job_tx(job), user_id, &found, ret));
    if (!found || ret->deactivated)
        return err(ERR_NOT_FOUND, "No such user");
    return NULL;
}

static const struct err *need_other(struct request *rq, struct account *ret)
{
    TRY(need_target(rq, ret));
    if (ret->is_admin)
        return err(ERR_FORBIDDEN, "That user is an administrator");
    return NULL;
}

typedef void write_flag(struct write *w, int64_t user, bool on);

static const struct err *set_flag(struct request *rq, struct reply *rp, const char *key,
                                  write_flag *write)
{
    struct account a = {0};
    bool on;
    TRY(need_other(rq, &a));
    if (!json_object_get(rq->body, key))
        return err(ERR_MISSING_PARAM, "Missing %s", key);
    TRY(json_want_bool(rq->body, key, false, &on));
    struct write *w = write_begin(job_of(rq));
    users_write_changed(w, a.user, a.user_id);
    write(w, a.user, on);
    TRY(write_commit(job_of(rq), w, NULL));
    return reply_json(rp, 200, "{s:b}", key, on);
}

static const struct err *get_lock(struct request *rq, struct reply *rp)
{
    struct account a = {0};
    TRY(need_other(rq, &a));
    return reply_json(rp, 200, "{s:b}", "locked", a.locked);
}

static const struct err *put_lock(struct request *rq, struct reply *rp)
{
    return set_flag(rq, rp, "locked", users_write_locked);
}

static const struct err *get_suspend(struct request *rq, struct reply *rp)
{
    struct account a = {0};
    TRY(need_other(rq, &a));
    return reply_json(rp, 200, "{s:b}", "suspended", a.suspended);
}

static const struct err *put_suspend(struct request *rq, struct reply *rp)
{
    return set_flag(rq, rp, "suspended", users_write_suspended);
}

/* Users may query themselves, administrators all users. */
static const struct err *get_whois(struct request *rq, struct reply *rp)
{
    const struct caller *c = caller_of(rq);
    struct account a = {0};
    const struct device *devices;
    size_t n;
    if (!c->is_admin && strcmp(c->user_id, request_param(rq, "user")) != 0)
        return err(ERR_FORBIDDEN, "Only an administrator may ask about others");
    TRY(need_target(rq, &a));
    TRY(devices_list(job_tx(job_of(rq)), a.user, &devices, &n));
    json_t *list = json_object();
    for (size_t i = 0; i < n; i++) {
        json_t *connections = json_array();
        if (devices[i].last_seen_ts)
            json_array_append_new(connections,
                                  json_pack("{s:s, s:I, s:s*}", "ip", devices[i].last_seen_ip,
                                            "last_seen", (json_int_t)devices[i].last_seen_ts,
                                            "user_agent", devices[i].last_seen_agent));
        json_object_set_new(list, devices[i].device_id,
                            json_pack("{s:[{s:o}]}", "sessions", "connections", connections));
    }
    return reply_json(rp, 200, "{s:s, s:o}", "user_id", a.user_id, "devices", list);
}

#define SPEC "Server Administration"

const struct route moderation_routes[] = {
    {.method = GET,
     .path = "/_matrix/client/v1/admin/lock/{user}",
     .handler = get_lock,
     .who = WHO_ADMIN,
     .spec = SPEC,
     .also = "/_matrix/client/unstable/uk.timedout.msc4323/admin/lock/{user}"},
    {.method = PUT,
     .path = "/_matrix/client/v1/admin/lock/{user}",
     .handler = put_lock,
     .who = WHO_ADMIN,
     .body = BODY_JSON,
     .spec = SPEC,
     .also = "/_matrix/client/unstable/uk.timedout.msc4323/admin/lock/{user}"},
    {.method = GET,
     .path = "/_matrix/client/v1/admin/suspend/{user}",
     .handler = get_suspend,
     .who = WHO_ADMIN,
     .spec = SPEC,
     .also = "/_matrix/client/unstable/uk.timedout.msc4323/admin/suspend/{user}"},
    {.method = PUT,
     .path = "/_matrix/client/v1/admin/suspend/{user}",
     .handler = put_suspend,
     .who = WHO_ADMIN,
     .body = BODY_JSON,
     .spec = SPEC,
     .also = "/_matrix/client/unstable/uk.timedout.msc4323/admin/suspend/{user}"},
    {.method = GET,
     .path = "/_matrix/client/v3/admin/whois/{user}",
     .handler = get_whois,
     .who = WHO_USER,
     .spec = SPEC},
    {.path = NULL},
};
