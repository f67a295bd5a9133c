/* End-to-end encryption, "Cross-signing": uploading signatures.
 *
 * Which keys may sign which: a self-signing key signs the user's devices; devices, and the master
 * key itself, sign the master key; a user-signing key signs master keys of other users. */
#include "matrix/device_keys.h"
#include "matrix/sign.h"
#include "server/account/caller.h"
#include "server/routes.h"
#include "storage/devices/e2ee_keys.h"
#include "users/device_changes.h"

enum { SIGNED_KEYS_MAX = 1000 };

struct signing {
    struct job *job;
    const struct caller *caller;
    const struct public_key *keys; /* of the caller and of all users in the request */
    size_t keys_n;
    const char *self_signing, *user_signing; /* the caller's; NULL: none */
    struct write *write;
    const char **signed_own; /* keys of the caller: devices, or CROSS_SIGNING_KEYS */
    size_t signed_own_n;
    json_t *failures;
};

static const struct public_key *key_signatures_find_key(const struct signing *s,
                                                        const char *user_id, const char *name)
{
    for (size_t i = 0; i < s->keys_n; i++) {
        const struct public_key *k = &s->keys[i];
        if ((k->kind == KEY_DEVICE || k->kind == KEY_MASTER) && strcmp(k->name, name) == 0 &&
            strcmp(k->user_id, user_id) == 0)
            return k;
    }
    return NULL;
}

static const char *public_key_of(struct signing *s, const struct public_key *device)
{
    json_t *keys;
    if (json_read_own(s->job->arena, device->json, &keys))
        return NULL;
    return device_keys_find(keys, "ed25519", device->name);
}

/* The caller's public key of that id, if it may sign the target; NULL otherwise. */
static const char *find_signer(struct signing *s, const struct public_key *target, const char *id)
{
    bool is_own = target->user == s->caller->user;
    const char *only = target->kind == KEY_DEVICE ? s->self_signing
                       : is_own                   ? target->name
                                                  : s->user_signing;
    if (only && strcmp(only, id) == 0)
        return only;
    if (!is_own || target->kind != KEY_MASTER)
        return NULL;
    const struct public_key *device = key_signatures_find_key(s, s->caller->user_id, id);
    return device && device->kind == KEY_DEVICE ? public_key_of(s, device) : NULL;
}

static bool is_stored(struct signing *s, const struct public_key *target, const char *name,
                      const char *signature)
{
    const char *text =
        target->user == s->caller->user ? target->owner_signatures : target->requester_signatures;
    json_t *stored;
    if (!text || json_read_own(s->job->arena, str_of(text), &stored))
        return false;
    const char *old = json_text(stored, name);
    return old && strcmp(old, signature) == 0;
}

static void key_signatures_add_own(struct signing *s, const char *name)
{
    if (s->signed_own_n && strcmp(s->signed_own[s->signed_own_n - 1], name) == 0)
        return;
    s->signed_own[s->signed_own_n++] = name;
}

static void key_signatures_add_signature(struct signing *s, const struct public_key *target,
                                         const char *name, const char *signature)
{
    const struct caller *c = s->caller;
    if (is_stored(s, target, name, signature))
        return;
    key_signature_write(
        s->write, &(struct key_signature){target->user, target->name, c->user, name, signature});
    if (target->user == c->user)
        key_signatures_add_own(s, target->kind == KEY_DEVICE ? target->name : CROSS_SIGNING_KEYS);
    else
        user_signature_change_write(s->write, c->user, target->user, target->user_id);
}

static const struct err *sign_one(struct signing *s, const char *user_id, const char *key_id,
                                  const json_t *object)
{
    struct arena *a = s->job->arena;
    if (!json_is_object(object))
        return err(ERR_BAD_JSON, "A signed key is an object");
    const struct public_key *target = key_signatures_find_key(s, user_id, key_id);
    if (!target || (target->kind == KEY_DEVICE && target->user != s->caller->user))
        return err(ERR_NOT_FOUND, "There is no such key that you may sign");
    struct str form;
    TRY(key_signed_form(a, object, &form));
    if (!str_eq(form, target->json))
        return err(ERR_INVALID_PARAM, "The key is not the stored one");

    bool any = false;
    const char *name, *algorithm, *id;
    json_t *signature;
    json_object_foreach ((json_t *)json_at(object, "signatures", s->caller->user_id, NULL), name,
                         signature) {
        const char *by = key_name_split(a, name, &algorithm, &id) && json_string_text(signature)
                             ? find_signer(s, target, id)
                             : NULL;
        if (!by)
            continue;
        if (!sign_check_json(object, s->caller->user_id, name, str_of(by)))
            return err(ERR_INVALID_SIGNATURE, "The signature is not valid");
        key_signatures_add_signature(s, target, name, json_string_value(signature));
        any = true;
    }
    return any ? NULL : err(ERR_INVALID_SIGNATURE, "No key that may sign this key has signed it");
}

static void add_failure(struct signing *s, const char *user_id, const char *key_id,
                        const struct err *e)
{
    json_t *of_user = json_object_get(s->failures, user_id);
    if (!of_user)
        json_object_set_new(s->failures, user_id, of_user = json_object());
    json_object_set_new(of_user, key_id,
                        json_pack("{s:s, s:s}", "errcode", err_errcode(e), "error", e->text));
}

static const struct err *load_keys(struct signing *s, const json_t *body)
{
    const struct caller *c = s->caller;
    const char **users =
        arena_alloc_array(s->job->arena, json_object_size(body) + 1, sizeof *users);
    size_t n = 0, signed_n = 0;
    users[n++] = c->user_id;
    const char *user_id;
    json_t *keys;
    json_object_foreach ((json_t *)body, user_id, keys) {
        if (!json_is_object(keys))
            return err(ERR_BAD_JSON, "The body must map users to objects");
        signed_n += json_object_size(keys);
        users[n++] = user_id;
    }
    if (signed_n > SIGNED_KEYS_MAX)
        return err(ERR_INVALID_PARAM, "Sign %d keys at most in one request", SIGNED_KEYS_MAX);
    if (json_object_size(body) > (json_object_get(body, c->user_id) != NULL))
        TRY(user_signatures_check_number(job_tx(s->job), c->user));
    s->signed_own = arena_alloc_array(s->job->arena, signed_n + 1, sizeof *s->signed_own);
    TRY(public_keys_read(job_tx(s->job), users, n, c->user, &s->keys, &s->keys_n));
    for (size_t i = 0; i < s->keys_n; i++) {
        if (s->keys[i].user != c->user)
            continue;
        if (s->keys[i].kind == KEY_SELF_SIGNING)
            s->self_signing = s->keys[i].name;
        if (s->keys[i].kind == KEY_USER_SIGNING)
            s->user_signing = s->keys[i].name;
    }
    return NULL;
}

static const struct err *post_signatures(struct request *rq, struct reply *rp)
{
    struct job *job = job_of(rq);
    struct signing s = {.job = job,
                        .caller = caller_of(rq),
                        .write = write_begin(job),
                        .failures = json_keep(rq->arena, json_object())};
    TRY(load_keys(&s, rq->body));
    const char *user_id, *key_id;
    json_t *keys, *object;
    json_object_foreach (rq->body, user_id, keys) {
        json_object_foreach (keys, key_id, object) {
            const struct err *e = sign_one(&s, user_id, key_id, object);
            if (e && err_status(e) >= 500)
                return err_copy(e);
            if (e)
                add_failure(&s, user_id, key_id, e);
        }
    }
    if (s.signed_own_n)
        TRY(device_changes_add(job, s.write, s.caller->user, s.caller->user_id, s.signed_own,
                               s.signed_own_n));
    if (!write_is_empty(s.write))
        TRY(write_commit(job, s.write, NULL));
    return reply_json(rp, 200, "{s:O}", "failures", s.failures);
}

const struct route key_signatures_routes[] = {
    {.method = POST,
     .path = "/_matrix/client/v3/keys/signatures/upload",
     .handler = post_signatures,
     .who = WHO_USER,
     .body = BODY_JSON,
     .body_max = BODY_AS_SET,
     .rate = RATE_KEY,
     .spec = "cross-signing",
     .also = "/_matrix/client/unstable/keys/signatures/upload"},
    {.path = NULL},
};
