#include "federation/users/received_keys.h"

#include "matrix/device_keys.h"
#include "matrix/id.h"
#include "users/device_changes.h"

enum { SIGNATURES_MAX = 16 };

/* ---- reading ---- */

static void received_keys_add(struct arena *a, struct received_keys *t,
                              const struct received_key *k)
{
    if (t->n == t->cap) {
        t->cap = t->cap ? t->cap * 2 : 8;
        struct received_key *grown = arena_alloc_array(a, t->cap, sizeof *grown);
        if (t->n)
            memcpy(grown, t->keys, t->n * sizeof *grown);
        t->keys = grown;
    }
    t->keys[t->n++] = *k;
}

static bool received_keys_has_name(const struct received_keys *t, const char *name)
{
    for (size_t i = 0; i < t->n; i++)
        if (strcmp(t->keys[i].name, name) == 0)
            return true;
    return false;
}

void received_keys_add_device(struct arena *a, struct received_keys *t, const char *device_id,
                              const json_t *keys, const char *display_name)
{
    struct received_key k = {.kind = KEY_DEVICE, .name = device_id};
    if (t->n >= RECEIVED_DEVICES_MAX || !json_is_object(keys) || !id_is_device(str_of(device_id)) ||
        device_keys_check(keys, t->user_id, device_id) || key_signed_form(a, keys, &k.form))
        return;
    if (display_name && strlen(display_name) <= RECEIVED_NAME_MAX)
        k.display_name = display_name;
    k.signatures = json_at(keys, "signatures", t->user_id, NULL);
    received_keys_add(a, t, &k);
}

/* A cross-signing key must not have the name of a device: their signatures would be mixed up. */
void received_keys_add_cross_signing(struct arena *a, struct received_keys *t, enum key_kind kind,
                                     const json_t *key)
{
    static const char *const usages[KEY_KIND_COUNT] = {
        [KEY_MASTER] = "master", [KEY_SELF_SIGNING] = "self_signing"};
    struct received_key k = {.kind = kind};
    if (!json_is_object(key) || !usages[kind] ||
        cross_signing_key_check(key, t->user_id, usages[kind], &k.name) ||
        received_keys_has_name(t, k.name) || key_signed_form(a, key, &k.form))
        return;
    k.signatures = json_at(key, "signatures", t->user_id, NULL);
    received_keys_add(a, t, &k);
}

/* ---- storing ---- */

static bool received_keys_same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

const struct err *stored_keys_read(struct job *job, const char *const *user_ids, size_t n,
                                   struct stored_keys *ret)
{
    return public_keys_read(job_tx(job), user_ids, n, 0, &ret->keys, &ret->n);
}

static const struct public_key *received_keys_find_stored(const struct stored_keys *stored,
                                                          int64_t user,
                                                          const struct received_key *k)
{
    for (size_t i = 0; i < stored->n; i++) {
        const struct public_key *s = &stored->keys[i];
        if (s->user == user && s->kind == k->kind && strcmp(s->name, k->name) == 0)
            return s;
    }
    return NULL;
}

static bool is_listed_key(const struct received_keys *t, const struct public_key *stored)
{
    for (size_t i = 0; i < t->n; i++)
        if (t->keys[i].kind == stored->kind && strcmp(t->keys[i].name, stored->name) == 0)
            return true;
    return false;
}

static bool write_signatures(struct job *job, struct write *w, const struct received_key *k,
                             int64_t user, const char *stored)
{
    json_t *old = NULL, *signature;
    const char *name;
    size_t n = 0;
    bool differs = false;
    if (stored && json_read_own(job->arena, str_of(stored), &old))
        old = NULL;
    if (!json_is_object(k->signatures))
        return false;
    json_object_foreach ((json_t *)k->signatures, name, signature) {
        const char *text = json_string_text(signature);
        if (!text || strlen(name) > KEY_NAME_MAX || strlen(text) > KEY_NAME_MAX ||
            ++n > SIGNATURES_MAX || received_keys_same_text(json_text(old, name), text))
            continue;
        key_signature_write(w, &(struct key_signature){user, k->name, user, name, text});
        differs = true;
    }
    return differs;
}

static bool write_key(struct job *job, struct write *w, const struct received_key *k, int64_t user,
                      const struct public_key *stored)
{
    if (stored && str_eq(stored->json, k->form) &&
        received_keys_same_text(stored->display_name, k->display_name))
        return write_signatures(job, w, k, user, stored->owner_signatures);
    if (k->kind == KEY_DEVICE)
        device_keys_write(w, user, k->name, k->display_name, k->form);
    else
        cross_signing_key_write(w, user, k->kind, k->name, k->form);
    write_signatures(job, w, k, user, NULL);
    return true;
}

static bool has_kind(const struct received_keys *t, enum key_kind kind)
{
    for (size_t i = 0; i < t->n; i++)
        if (t->keys[i].kind == kind)
            return true;
    return false;
}

static bool drop_others(struct write *w, const struct received_keys *t,
                        const struct stored_keys *stored)
{
    bool any = false;
    for (size_t i = 0; i < stored->n; i++) {
        const struct public_key *k = &stored->keys[i];
        if (k->user != t->user || is_listed_key(t, k))
            continue;
        if (k->kind == KEY_DEVICE)
            device_keys_delete(w, t->user, k->name);
        else if (!has_kind(t, k->kind))
            cross_signing_key_delete(w, t->user, k->kind);
        any = true;
    }
    return any;
}

bool received_keys_write(struct job *job, struct write *w, const struct received_keys *t,
                         const struct stored_keys *stored, bool whole)
{
    bool differs = whole && drop_others(w, t, stored);
    for (size_t i = 0; i < t->n; i++) {
        const struct received_key *k = &t->keys[i];
        differs |= write_key(job, w, k, t->user, received_keys_find_stored(stored, t->user, k));
    }
    return differs;
}

/* Not for the first request: its caller gets the list as the answer. Later differences are a
 * change. */
const struct err *received_list_write(struct job *job, struct write *w,
                                      const struct received_keys *t,
                                      const struct stored_keys *stored, const struct remote_list *l,
                                      int64_t position, int64_t stream_id)
{
    bool differs = received_keys_write(job, w, t, stored, true);
    remote_list_write_whole(w, l, position, stream_id);
    if (differs && l->was_known)
        TRY(remote_devices_change_add(job, w, t->user, t->user_id));
    return NULL;
}
