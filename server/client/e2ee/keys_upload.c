/* End-to-end encryption, "Uploading keys". */
#include "server/client/e2ee/keys.h"

#include "matrix/canonical_json.h"
#include "matrix/device_keys.h"
#include "server/account/caller.h"
#include "server/routes.h"
#include "storage/devices/e2ee_keys.h"
#include "storage/devices/one_time_keys.h"
#include "users/device_changes.h"

enum {
    UPLOAD_KEYS_MAX = 1000,  /* one-time keys in one request */
    DEVICE_KEYS_MAX = 10000, /* one-time keys of one device in all */
    FALLBACK_KEYS_MAX = 16
};

/* ---- identity keys ---- */

/* The device's keys as stored; a cross-signing key of the same name is refused. */
static const struct err *keys_upload_find_stored(struct job *job, const struct key_owner *owner,
                                                 struct public_key *ret)
{
    const struct public_key *keys;
    size_t n;
    TRY(public_keys_read(job_tx(job), &owner->user_id, 1, owner->user, &keys, &n));
    *ret = (struct public_key){0};
    for (size_t i = 0; i < n; i++) {
        if (strcmp(keys[i].name, owner->device_id) != 0)
            continue;
        if (keys[i].kind != KEY_DEVICE)
            return err(ERR_FORBIDDEN, "A cross-signing key has the name of this device");
        *ret = keys[i];
    }
    return NULL;
}

static bool keys_upload_same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

/* Whether the device has a new identity, so that its old one-time keys are useless. */
static const struct err *identity_changed(struct job *job, const struct key_owner *owner,
                                          struct str stored, const json_t *keys, bool *ret)
{
    json_t *old;
    TRY(json_read_own(job->arena, stored, &old));
    *ret = !keys_upload_same_text(device_keys_find(old, "ed25519", owner->device_id),
                                  device_keys_find(keys, "ed25519", owner->device_id)) ||
           !keys_upload_same_text(device_keys_find(old, "curve25519", owner->device_id),
                                  device_keys_find(keys, "curve25519", owner->device_id));
    return NULL;
}

/* Adds the signatures by the owner's keys; others are uploaded with /keys/signatures/upload. */
static bool keys_upload_add_signatures(struct job *job, const struct key_owner *owner,
                                       const json_t *keys, const char *stored, struct write *w)
{
    json_t *old = NULL;
    if (stored && json_read_own(job->arena, str_of(stored), &old))
        old = NULL;
    bool changed = false;
    const char *name;
    json_t *signature;
    json_object_foreach ((json_t *)json_at(keys, "signatures", owner->user_id, NULL), name,
                         signature) {
        if (keys_upload_same_text(json_text(old, name), json_string_value(signature)))
            continue;
        changed = true;
        key_signature_write(w, &(struct key_signature){owner->user, owner->device_id, owner->user,
                                                       name, json_string_value(signature)});
    }
    return changed;
}

/* ret_renewed: the one-time keys of a former identity of the device are removed. */
static const struct err *add_device_keys(struct job *job, const struct key_owner *owner,
                                         const json_t *keys, struct write *w, bool *ret_renewed)
{
    TRY(device_keys_check(keys, owner->user_id, owner->device_id));
    TRY(canonical_json_check_tree(keys));
    struct str form;
    struct public_key stored;
    TRY(key_signed_form(job->arena, keys, &form));
    TRY(keys_upload_find_stored(job, owner, &stored));
    bool same = stored.json.p && str_eq(stored.json, form);
    if (!same) {
        if (stored.json.p)
            TRY(identity_changed(job, owner, stored.json, keys, ret_renewed));
        if (*ret_renewed)
            one_time_keys_delete(w, owner->device);
        device_keys_write(w, owner->user, owner->device_id, NULL, form);
    }
    bool signatures =
        keys_upload_add_signatures(job, owner, keys, same ? stored.owner_signatures : NULL, w);
    if (same && !signatures)
        return NULL;
    return device_changes_add(job, w, owner->user, owner->user_id, &owner->device_id, 1);
}

/* ---- one-time and fallback keys ---- */

static const struct err *parse_key(struct arena *a, const char *name, const json_t *value,
                                   struct one_time_key *ret)
{
    TRY(one_time_key_check(name, value));
    key_name_split(a, name, &ret->algorithm, &ret->key_id);
    buf_auto struct buf b = {0};
    TRY(canonical_json_add_tree(&b, CANONICAL_STRICT, value));
    ret->json = (struct str){arena_memdup(a, b.p, b.n), b.n};
    return b.n <= KEY_JSON_MAX ? NULL : err(ERR_INVALID_PARAM, "The key %.40s is too large", name);
}

static const struct err *keys_upload_parse_keys(struct arena *a, const json_t *body,
                                                const char *member, size_t max,
                                                const struct one_time_key **ret, size_t *ret_n)
{
    const json_t *o;
    TRY(json_want_object(body, member, &o));
    size_t n = json_object_size(o), i = 0;
    if (n > max)
        return err(ERR_INVALID_PARAM, "`%s` may hold %zu keys at most", member, max);
    struct one_time_key *keys = arena_alloc_array(a, n, sizeof *keys);
    const char *name;
    json_t *value;
    json_object_foreach ((json_t *)o, name, value)
        TRY(parse_key(a, name, value, &keys[i++]));
    *ret = keys;
    *ret_n = n;
    return NULL;
}

static const struct err *add_one_time_keys(struct job *job, const struct key_owner *owner,
                                           const json_t *body, bool renewed, struct write *w,
                                           bool *ret_changed)
{
    const struct one_time_key *keys;
    const enum one_time_key_found *found;
    size_t n, fresh_n = 0;
    int64_t total;
    TRY(keys_upload_parse_keys(job->arena, body, "one_time_keys", UPLOAD_KEYS_MAX, &keys, &n));
    if (!n)
        return NULL;
    TRY(one_time_keys_find(job_tx(job), owner->device, keys, n, &found, &total));
    if (renewed)
        total = 0;
    struct one_time_key *fresh = arena_alloc_array(job->arena, n, sizeof *fresh);
    for (size_t i = 0; i < n; i++) {
        if (renewed || found[i] == ONE_TIME_KEY_IS_NEW)
            fresh[fresh_n++] = keys[i];
        else if (found[i] == ONE_TIME_KEY_DIFFERS)
            return err(ERR_UNKNOWN, "One time key %s:%s already exists with another value",
                       keys[i].algorithm, keys[i].key_id);
    }
    if (!fresh_n)
        return NULL;
    if (total + (int64_t)fresh_n > DEVICE_KEYS_MAX)
        return err(ERR_INVALID_PARAM, "A device may have %d one-time keys at most",
                   DEVICE_KEYS_MAX);
    one_time_keys_write(w, owner->device, fresh, fresh_n);
    *ret_changed = true;
    return NULL;
}

static const struct err *add_fallback_keys(struct job *job, const struct key_owner *owner,
                                           const json_t *body, bool renewed, struct write *w,
                                           bool *ret_changed)
{
    static const char *const members[] = {"fallback_keys", "org.matrix.msc2732.fallback_keys"};
    for (size_t m = 0; m < 2; m++) {
        const struct one_time_key *keys;
        size_t n;
        TRY(keys_upload_parse_keys(job->arena, body, members[m], FALLBACK_KEYS_MAX, &keys, &n));
        for (size_t i = 0; i < n; i++) {
            bool is_free;
            TRY(fallback_key_is_free(job_tx(job), owner->device, &keys[i], &is_free));
            if (!is_free && !renewed)
                return err(ERR_UNKNOWN, "The key %s:%s is or was a one-time key", keys[i].algorithm,
                           keys[i].key_id);
            fallback_key_write(w, owner->device, &keys[i]);
        }
        *ret_changed |= n > 0;
    }
    return NULL;
}

const struct err *keys_upload_add(struct job *job, const struct key_owner *owner,
                                  const json_t *body, struct write *w)
{
    const json_t *device_keys;
    bool renewed = false;
    TRY(json_want_object(body, "device_keys", &device_keys));
    if (device_keys)
        TRY(add_device_keys(job, owner, device_keys, w, &renewed));
    bool counts_changed = renewed;
    TRY(add_one_time_keys(job, owner, body, renewed, w, &counts_changed));
    TRY(add_fallback_keys(job, owner, body, renewed, w, &counts_changed));
    if (counts_changed)
        device_keys_change_write(w, owner->user, owner->device, owner->device_id);
    return NULL;
}

static const struct err *keys_upload_post_upload(struct request *rq, struct reply *rp)
{
    struct job *job = job_of(rq);
    const struct caller *c = caller_of(rq);
    if (!c->device_id)
        return err(ERR_INVALID_PARAM, "Only a device can upload keys");
    struct key_owner owner = {c->user, c->device, c->user_id, c->device_id};
    struct write *w = write_begin(job);
    TRY(keys_upload_add(job, &owner, rq->body, w));
    if (!write_is_empty(w))
        TRY(write_commit(job, w, NULL));

    struct device_summary now;
    TRY(device_state_get(job, &(struct device_ref){c->user, c->device, c->device_id}, &now));
    BUF_LIT(&rp->body, "{\"one_time_key_counts\":");
    buf_add_text(&rp->body, now.one_time_key_counts);
    buf_add_char(&rp->body, '}');
    return reply_body(rp, 200);
}

const struct route keys_upload_routes[] = {
    {.method = POST,
     .path = "/_matrix/client/v3/keys/upload",
     .handler = keys_upload_post_upload,
     .who = WHO_GUEST_TOO,
     .body = BODY_JSON,
     .body_max = BODY_AS_SET,
     .rate = RATE_KEY,
     .spec = "end-to-end encryption"},
    {.path = NULL},
};
