#include "server/account/sign_in.h"

#include "base/clock.h"
#include "matrix/id.h"
#include "storage/devices/devices.h"
#include "storage/devices/e2ee_keys.h"
#include "storage/users/tokens.h"
#include "storage/users/users.h"
#include "users/device_changes.h"

enum { DEVICE_ID_LETTERS = 10 };

const struct err *sign_in_read(const json_t *body, struct sign_in *ret)
{
    struct sign_in s;
    TRY(json_want_string(body, "device_id", NULL, &s.device_id));
    TRY(json_want_string(body, "initial_device_display_name", NULL, &s.display_name));
    TRY(json_want_bool(body, "refresh_token", false, &s.refreshable));
    if (s.device_id && !id_is_device(str_of(s.device_id)))
        return err(ERR_INVALID_PARAM, "device_id must be 1 to 255 printable characters");
    if (s.display_name && strlen(s.display_name) > DEVICE_NAME_MAX)
        return err(ERR_INVALID_PARAM, "The device's display name is too long");
    *ret = s;
    return NULL;
}

static const char *make_device_id(struct arena *a)
{
    char *id = id_random(a, DEVICE_ID_LETTERS);
    for (char *p = id; *p; p++)
        if (*p >= 'a' && *p <= 'z')
            *p -= 'a' - 'A'; /* as clients expect them */
    return id;
}

static const struct err *end_tokens(struct job *job, int64_t user, const char *user_id,
                                    int64_t device)
{
    struct write *w = write_begin(job);
    users_write_changed(w, user, user_id);
    tokens_write_end(w, device);
    return write_commit(job, w, NULL);
}

/* A device is in its user's list before it has keys. */
static const struct err *write_new_device(struct job *job, int64_t user, const char *user_id,
                                          const char *device_id)
{
    struct write *w = write_begin(job);
    TRY(device_changes_add(job, w, user, user_id, &device_id, 1));
    return write_commit(job, w, NULL);
}

static struct token_pair make_pair(struct job *job, bool refreshable)
{
    struct token_pair pair = {.access = token_make(job->arena, TOKEN_ACCESS_PREFIX)};
    if (refreshable) {
        pair.refresh = token_make(job->arena, TOKEN_REFRESH_PREFIX);
        pair.expires_ts = now_ms() + job->config->access_token_lifetime_ms;
    }
    return pair;
}

static void add_pair(struct job *job, json_t *reply, const struct token_pair *pair)
{
    json_object_set_new(reply, "access_token", json_string(pair->access));
    if (!pair->refresh)
        return;
    json_object_set_new(reply, "refresh_token", json_string(pair->refresh));
    json_object_set_new(reply, "expires_in_ms",
                        json_integer(job->config->access_token_lifetime_ms));
}

const struct err *sign_in(struct job *job, int64_t user, const char *user_id,
                          const struct sign_in *how, json_t **ret)
{
    const char *device_id = how->device_id ? how->device_id : make_device_id(job->arena);
    int64_t device;
    bool is_new, is_key = false;
    if (how->device_id)
        TRY(cross_signing_key_exists(job_tx(job), user, device_id, &is_key));
    if (is_key)
        return err(ERR_FORBIDDEN, "The device id is the name of a cross-signing key");
    TRY(devices_open(job_tx(job), user, device_id, how->display_name, &device, &is_new));
    TRY(is_new ? write_new_device(job, user, user_id, device_id)
               : end_tokens(job, user, user_id, device));
    struct token_pair pair = make_pair(job, how->refreshable);
    TRY(tokens_give(job_tx(job), user, device, &pair));
    json_t *reply = json_pack("{s:s, s:s, s:s}", "user_id", user_id, "device_id", device_id,
                              "home_server", job->config->server_name);
    add_pair(job, reply, &pair);
    *ret = reply;
    return NULL;
}

static const struct err *sign_in_unknown_token(void)
{
    return err(ERR_UNKNOWN_TOKEN, "Unknown refresh token");
}

static const struct err *charge_owner(struct request *rq, const char *user_id)
{
    const char *caller = rq->caller_id;
    rq->caller_id = user_id;
    const struct err *e = request_charge(rq, RATE_ACCOUNT, 1);
    rq->caller_id = caller;
    return e;
}

const struct err *sign_in_refresh(struct request *rq, const char *refresh_token, json_t **ret)
{
    struct job *job = job_of(rq);
    struct token_hash hash = token_hash(refresh_token);
    struct refresh_owner owner;
    struct token_pair pair;
    bool found, done = false;
    TRY(tokens_find_refresh(job_tx(job), token_bytes(&hash), &found, &owner));
    if (!found)
        return sign_in_unknown_token();
    TRY(charge_owner(rq, owner.user_id));
    if (owner.locked)
        return err_with_fields(err(ERR_USER_LOCKED, "This account has been locked"),
                               "\"soft_logout\":true");
    if (!owner.has_ended)
        TRY(tokens_refresh(job_tx(job), refresh_token,
                           now_ms() + job->config->access_token_lifetime_ms, &done, &pair));
    if (!done) {
        TRY(end_tokens(job, owner.user, owner.user_id, owner.device));
        return sign_in_unknown_token();
    }
    json_t *reply = json_object();
    add_pair(job, reply, &pair);
    *ret = reply;
    return NULL;
}
