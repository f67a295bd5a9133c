#include "federation/told_keys.h"

#include "matrix/device_keys.h"
#include "matrix/id.h"
#include "rooms/device_changes.h"

enum { SIGNATURES_MAX = 16 };

/* ---- reading ---- */

static void add(struct arena *a, struct told_keys *t, const struct told_key *k)
{
    if (t->n == t->room) {
        t->room = t->room ? t->room * 2 : 8;
        struct told_key *grown = arena_alloc_array(a, t->room, sizeof *grown);
        if (t->n)
            memcpy(grown, t->keys, t->n * sizeof *grown);
        t->keys = grown;
    }
    t->keys[t->n++] = *k;
}

static bool has_name(const struct told_keys *t, const char *name)
{
    for (size_t i = 0; i < t->n; i++)
        if (strcmp(t->keys[i].name, name) == 0)
            return true;
    return false;
}

void told_keys_add_device(struct arena *a, struct told_keys *t, const char *device_id,
                          const json_t *keys, const char *display_name)
{
    struct told_key k = {.kind = KEY_DEVICE, .name = device_id};
    if (t->n >= TOLD_DEVICES_MAX || !json_is_object(keys) || !id_is_device(str_of(device_id)) ||
        device_keys_check(keys, t->user_id, device_id) || key_signed_form(a, keys, &k.form))
        return;
    if (display_name && strlen(display_name) <= TOLD_NAME_MAX)
        k.display_name = display_name;
    k.signatures = json_at(keys, "signatures", t->user_id, NULL);
    add(a, t, &k);
}

/* A cross-signing key never has the name of a device: their signatures would be mixed up. */
void told_keys_add_cross_signing(struct arena *a, struct told_keys *t, enum key_kind kind,
                                 const json_t *key)
{
    static const char *const usages[KEY_KIND_COUNT] = {
        [KEY_MASTER] = "master", [KEY_SELF_SIGNING] = "self_signing"};
    struct told_key k = {.kind = kind};
    if (!json_is_object(key) || !usages[kind] ||
        cross_signing_key_check(key, t->user_id, usages[kind], &k.name) || has_name(t, k.name) ||
        key_signed_form(a, key, &k.form))
        return;
    k.signatures = json_at(key, "signatures", t->user_id, NULL);
    add(a, t, &k);
}

/* ---- storing ---- */

static bool same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static const struct public_key *find_stored(const struct public_key *stored, size_t n,
                                            const struct told_key *k)
{
    for (size_t i = 0; i < n; i++)
        if (stored[i].kind == k->kind && strcmp(stored[i].name, k->name) == 0)
            return &stored[i];
    return NULL;
}

static bool is_told(const struct told_keys *t, const struct public_key *stored)
{
    for (size_t i = 0; i < t->n; i++)
        if (t->keys[i].kind == stored->kind && strcmp(t->keys[i].name, stored->name) == 0)
            return true;
    return false;
}

static bool write_signatures(struct job *job, struct write *w, const struct told_key *k,
                             int64_t user, const char *stored)
{
    json_t *old = NULL, *signature;
    const char *name;
    size_t n = 0;
    bool differs = false;
    if (stored && json_read(job->arena, str_of(stored), &old))
        old = NULL;
    if (!json_is_object(k->signatures))
        return false;
    json_object_foreach ((json_t *)k->signatures, name, signature) {
        const char *text = json_string_value(signature);
        if (!text || strlen(name) > KEY_NAME_MAX || strlen(text) > KEY_NAME_MAX ||
            ++n > SIGNATURES_MAX || same_text(json_text(old, name), text))
            continue;
        key_signature_write(w, &(struct key_signature){user, k->name, user, name, text});
        differs = true;
    }
    return differs;
}

static bool write_key(struct job *job, struct write *w, const struct told_key *k, int64_t user,
                      const struct public_key *stored)
{
    if (stored && str_eq(stored->json, k->form) && same_text(stored->display_name, k->display_name))
        return write_signatures(job, w, k, user, stored->owner_signatures);
    if (k->kind == KEY_DEVICE)
        device_keys_write(w, user, k->name, k->display_name, k->form);
    else
        cross_signing_key_write(w, user, k->kind, k->name, k->form);
    write_signatures(job, w, k, user, NULL);
    return true;
}

static bool has_kind(const struct told_keys *t, enum key_kind kind)
{
    for (size_t i = 0; i < t->n; i++)
        if (t->keys[i].kind == kind)
            return true;
    return false;
}

const struct err *told_keys_write(struct job *job, struct write *w, const struct told_keys *t,
                                  int64_t user, bool whole, bool *ret_differs)
{
    const struct public_key *stored;
    size_t n;
    bool differs = false;
    TRY(public_keys_read(job_tx(job), &t->user_id, 1, 0, &stored, &n));
    for (size_t i = 0; whole && i < n; i++) {
        if (is_told(t, &stored[i]))
            continue;
        if (stored[i].kind == KEY_DEVICE)
            device_keys_delete(w, user, stored[i].name);
        else if (!has_kind(t, stored[i].kind))
            cross_signing_key_delete(w, user, stored[i].kind);
        differs = true;
    }
    for (size_t i = 0; i < t->n; i++)
        differs |= write_key(job, w, &t->keys[i], user, find_stored(stored, n, &t->keys[i]));
    *ret_differs = differs;
    return NULL;
}

/* Who asks for the first time has the answer; only later ones are news. */
const struct err *told_list_write(struct job *job, struct write *w, const struct told_keys *t,
                                  const struct remote_list *l, int64_t position, int64_t stream_id)
{
    bool differs;
    TRY(told_keys_write(job, w, t, l->user, true, &differs));
    remote_list_write_whole(w, l, position, stream_id);
    if (differs && l->told_before)
        TRY(remote_devices_change_add(job, w, l->user, t->user_id));
    return NULL;
}
