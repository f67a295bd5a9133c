/* End-to-end encryption, "Cross-signing": publishing cross-signing keys. Signatures by them are
 * uploaded in key_signatures.c. */
#include "matrix/canonical_json.h"
#include "matrix/device_keys.h"
#include "matrix/sign.h"
#include "server/account/caller.h"
#include "server/account/uia.h"
#include "server/routes.h"
#include "storage/devices/e2ee_keys.h"
#include "users/device_changes.h"

/* One kind of key in a request, and the stored one. */
struct upload {
    const json_t *key;      /* NULL: not in the request */
    const char *public_key; /* of the request */
    struct str form;
    bool is_new;
};

static const struct {
    const char *member, *usage;
} kinds[KEY_KIND_COUNT] = {
    [KEY_MASTER] = {"master_key", "master"},
    [KEY_SELF_SIGNING] = {"self_signing_key", "self_signing"},
    [KEY_USER_SIGNING] = {"user_signing_key", "user_signing"},
};

static const struct err *read_upload(struct job *job, const struct caller *c, const json_t *body,
                                     enum key_kind kind, const struct public_key *stored,
                                     struct upload *ret)
{
    TRY(json_want_object(body, kinds[kind].member, &ret->key));
    if (!ret->key)
        return NULL;
    TRY(cross_signing_key_check(ret->key, c->user_id, kinds[kind].usage, &ret->public_key));
    TRY(canonical_json_check_tree(ret->key));
    TRY(key_signed_form(job->arena, ret->key, &ret->form));
    ret->is_new = !stored->json.p || !str_eq(stored->json, ret->form);
    bool taken;
    TRY(device_id_exists(job_tx(job), c->user, ret->public_key, &taken));
    return taken ? err(ERR_FORBIDDEN, "A device of yours has the name of this key") : NULL;
}

static char *key_name(struct arena *a, const char *public_key)
{
    return arena_printf(a, "ed25519:%s", public_key);
}

/* The other keys must be signed by the master key of the request, or else by the stored one. */
static const struct err *check_signed_by_master(struct job *job, const struct caller *c,
                                                const struct upload uploads[KEY_KIND_COUNT],
                                                const struct public_key *stored_master)
{
    const char *master =
        uploads[KEY_MASTER].key ? uploads[KEY_MASTER].public_key : stored_master->name;
    for (enum key_kind kind = KEY_SELF_SIGNING; kind <= KEY_USER_SIGNING; kind++) {
        const struct upload *u = &uploads[kind];
        if (!u->key)
            continue;
        if (!master)
            return err(ERR_MISSING_PARAM, "There is no master key that could have signed the keys");
        if (!sign_check_json(u->key, c->user_id, key_name(job->arena, master), str_of(master)))
            return err(ERR_INVALID_SIGNATURE, "`%s` is not signed by the master key",
                       kinds[kind].member);
    }
    return NULL;
}

/* Only signatures on the master key by itself or by a device of the user count. */
static const struct err *add_master_signatures(struct job *job, const struct caller *c,
                                               const struct upload *u, struct write *w)
{
    const char *name;
    json_t *signature;
    json_object_foreach ((json_t *)json_at(u->key, "signatures", c->user_id, NULL), name,
                         signature) {
        const char *algorithm, *id, *by = NULL;
        if (!key_name_split(job->arena, name, &algorithm, &id))
            continue;
        struct public_key device;
        TRY(device_keys_get(job_tx(job), c->user, id, &device));
        if (strcmp(id, u->public_key) == 0)
            by = u->public_key;
        else if (device.json.p) {
            json_t *keys;
            TRY(json_read_own(job->arena, device.json, &keys));
            by = device_keys_find(keys, "ed25519", id);
        }
        if (!by)
            continue;
        if (!sign_check_json(u->key, c->user_id, name, str_of(by)))
            return err(ERR_INVALID_SIGNATURE, "The signature of the master key by %.60s is wrong",
                       name);
        key_signature_write(w, &(struct key_signature){c->user, u->public_key, c->user, name,
                                                       json_string_value(signature)});
    }
    return NULL;
}

static void add_signature_by_master(struct job *job, const struct caller *c, const struct upload *u,
                                    const char *master, struct write *w)
{
    const char *name = key_name(job->arena, master);
    const json_t *signature = json_at(u->key, "signatures", c->user_id, name, NULL);
    key_signature_write(w, &(struct key_signature){c->user, u->public_key, c->user, name,
                                                   json_string_value(signature)});
}

static const struct err *store_keys(struct job *job, const struct caller *c,
                                    const struct upload uploads[KEY_KIND_COUNT],
                                    const struct public_key *stored)
{
    static const char *const changed[] = {CROSS_SIGNING_KEYS};
    struct write *w = write_begin(job);
    const struct upload *master = &uploads[KEY_MASTER];
    if (master->is_new) {
        cross_signing_key_write(w, c->user, KEY_MASTER, master->public_key, master->form);
        TRY(add_master_signatures(job, c, master, w));
    }
    for (enum key_kind kind = KEY_SELF_SIGNING; kind <= KEY_USER_SIGNING; kind++) {
        const struct upload *u = &uploads[kind];
        if (u->key && (u->is_new || master->is_new)) {
            cross_signing_key_write(w, c->user, kind, u->public_key, u->form);
            add_signature_by_master(job, c, u,
                                    master->key ? master->public_key : stored[KEY_MASTER].name, w);
        } else if (!u->key && master->is_new) {
            /* Signed by the former master key, so no longer valid. */
            cross_signing_key_delete(w, c->user, kind);
        }
    }
    /* No other user ever sees the user-signing key. */
    if (master->is_new || uploads[KEY_SELF_SIGNING].is_new)
        TRY(device_changes_add(job, w, c->user, c->user_id, changed, 1));
    else
        user_signature_change_write(w, c->user, c->user, c->user_id);
    return write_commit(job, w, NULL);
}

/* The first set of keys, and keys that are stored already, need no confirmation; new keys do. */
static const struct err *post_device_signing(struct request *rq, struct reply *rp)
{
    struct job *job = job_of(rq);
    const struct caller *c = caller_of(rq);
    struct public_key stored[KEY_KIND_COUNT];
    struct upload uploads[KEY_KIND_COUNT] = {0};
    bool any_new = false;
    TRY(uia_recall(rq, NULL));
    TRY(cross_signing_keys_get(job_tx(job), c->user, stored));
    for (enum key_kind kind = KEY_MASTER; kind < KEY_KIND_COUNT; kind++) {
        TRY(read_upload(job, c, rq->body, kind, &stored[kind], &uploads[kind]));
        any_new |= uploads[kind].is_new;
    }
    TRY(check_signed_by_master(job, c, uploads, &stored[KEY_MASTER]));
    if (!any_new)
        return reply_empty(rp);
    if (stored[KEY_MASTER].json.p) {
        bool confirmed;
        TRY(uia_require_password(rq, rp, &confirmed));
        if (!confirmed)
            return NULL;
    }
    TRY(store_keys(job, c, uploads, stored));
    return reply_empty(rp);
}

const struct route cross_signing_routes[] = {
    {.method = POST,
     .path = "/_matrix/client/v3/keys/device_signing/upload",
     .handler = post_device_signing,
     .who = WHO_USER,
     .body = BODY_JSON,
     .rate = RATE_KEY,
     .pool = POOL_PASSWORD,
     .spec = "cross-signing",
     .also = "/_matrix/client/unstable/keys/device_signing/upload"},
    {.path = NULL},
};
