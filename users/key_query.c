#include "users/key_query.h"

#include "base/map.h"
#include "matrix/id.h"
#include "matrix/json_named.h"
#include "matrix/json_scan.h"
#include "storage/devices/one_time_keys.h"

void key_query_reply_finish(struct key_query_reply *r)
{
    for (int kind = 0; kind < KEY_KIND_COUNT; kind++)
        buf_finish(&r->of_kind[kind]);
}

static void key_query_add_name(struct buf *b, const char *name)
{
    buf_add_json_comma(b);
    buf_add_json_string(b, str_of(name));
    buf_add_char(b, ':');
}

/* Device keys always have signatures; a cross-signing key may have been uploaded without any. */
static void key_query_add_signatures(struct buf *b, const struct public_key *k,
                                     const struct key_requester *requester)
{
    if (k->kind != KEY_DEVICE && !k->owner_signatures && !k->requester_signatures)
        return;
    key_query_add_name(b, "signatures");
    buf_add_char(b, '{');
    if (k->owner_signatures) {
        key_query_add_name(b, k->user_id);
        buf_add_text(b, k->owner_signatures);
    }
    if (k->requester_signatures) {
        key_query_add_name(b, requester->user_id);
        buf_add_text(b, k->requester_signatures);
    }
    buf_add_char(b, '}');
}

/* Clients always get this member; other servers do not need an empty one. */
static void add_unsigned(struct buf *b, const struct public_key *k,
                         const struct key_requester *requester)
{
    bool has_name_to_send = k->display_name && requester->sees_names;
    if (k->kind != KEY_DEVICE || (!has_name_to_send && !requester->user))
        return;
    BUF_LIT(b, ",\"unsigned\":{");
    if (has_name_to_send) {
        BUF_LIT(b, "\"device_display_name\":");
        buf_add_json_string(b, str_of(k->display_name));
    }
    buf_add_char(b, '}');
}

void public_key_add(struct buf *b, const struct public_key *k,
                    const struct key_requester *requester)
{
    buf_add(b, k->json.p, k->json.n - 1);
    key_query_add_signatures(b, k, requester);
    add_unsigned(b, k, requester);
    buf_add_char(b, '}');
}

/* Reads the wanted device ids; false if all are wanted. */
static bool key_query_read_wanted(struct arena *a, const struct key_wanted *w, struct map *ret)
{
    struct json_member m;
    size_t n = 0;
    for (size_t pos = 0; json_scan_next(w->devices, &pos, &m); n++) {
        const char *device_id = json_scan_string(a, m.value);
        if (device_id)
            map_put(ret, str_of(device_id), (void *)device_id);
    }
    return n > 0;
}

/* The keys of one user, in a list. */
struct user_keys {
    const struct public_key *key;
    struct user_keys *next;
};

static void key_query_add_user(struct arena *a, struct key_query_reply *r,
                               const struct key_wanted *w, const struct user_keys *keys,
                               const struct key_requester *requester)
{
    struct buf *devices = &r->of_kind[KEY_DEVICE];
    struct map wanted = {0};
    bool some = keys && key_query_read_wanted(a, w, &wanted);
    key_query_add_name(devices, w->user_id);
    buf_add_char(devices, '{');
    for (; keys; keys = keys->next) {
        const struct public_key *k = keys->key;
        struct buf *b = &r->of_kind[k->kind];
        if (k->kind == KEY_DEVICE && some && !map_get(&wanted, str_of(k->name)))
            continue;
        key_query_add_name(b, k->kind == KEY_DEVICE ? k->name : k->user_id);
        public_key_add(b, k, requester);
    }
    buf_add_char(devices, '}');
    map_finish(&wanted);
}

const struct err *key_query_add(struct job *job, const struct key_wanted *wanted, size_t n,
                                const struct key_requester *requester, struct key_query_reply *r)
{
    const char **user_ids = arena_alloc_array(job->arena, n, sizeof *user_ids);
    for (size_t i = 0; i < n; i++)
        user_ids[i] = wanted[i].user_id;
    const struct public_key *keys;
    size_t keys_n;
    TRY(public_keys_read(job_tx(job), user_ids, n, requester->user, &keys, &keys_n));

    struct map users = {0};
    struct user_keys *entries = arena_alloc_array(job->arena, keys_n, sizeof *entries);
    for (size_t i = 0; i < keys_n; i++) {
        entries[i].key = &keys[i];
        entries[i].next = map_put(&users, str_of(keys[i].user_id), &entries[i]);
    }
    for (size_t i = 0; i < n; i++)
        key_query_add_user(job->arena, r, &wanted[i], map_get(&users, str_of(wanted[i].user_id)),
                           requester);
    map_finish(&users);
    return NULL;
}

/* ---- claims ---- */

static const struct err *too_many_claims(void)
{
    return err(ERR_INVALID_PARAM, "At most %d keys can be claimed at once", KEY_CLAIMS_MAX);
}

/* Appends the claims for one user to the *n claims in the list. */
static const struct err *read_user_claims(struct arena *a, const struct json_named *user,
                                          struct key_claim *claims, size_t *n)
{
    struct json_named *devices;
    size_t devices_n;
    if (user->value.p[0] != '{')
        return err(ERR_BAD_JSON, "`one_time_keys` must map users to objects");
    if (!id_is_user(str_of(user->name)))
        return NULL;
    if (!json_named_list(a, user->value, KEY_CLAIMS_MAX - *n, &devices, &devices_n))
        return too_many_claims();
    for (size_t i = 0; i < devices_n; i++) {
        const char *algorithm = json_scan_string(a, devices[i].value);
        if (!algorithm)
            return err(ERR_BAD_JSON, "`one_time_keys` must map devices to names of algorithms");
        claims[(*n)++] = (struct key_claim){user->name, devices[i].name, algorithm};
    }
    return NULL;
}

const struct err *key_claims_read(struct arena *a, struct str users, struct key_claim **ret,
                                  size_t *ret_n)
{
    struct json_named *list;
    size_t list_n;
    if (!json_named_list(a, users, KEY_CLAIMS_MAX, &list, &list_n))
        return too_many_claims();
    *ret = arena_alloc_array(a, KEY_CLAIMS_MAX, sizeof **ret);
    *ret_n = 0;
    for (size_t i = 0; i < list_n; i++)
        TRY(read_user_claims(a, &list[i], *ret, ret_n));
    return NULL;
}

static const struct err *write_changes(struct job *job, const struct claimed_key *keys, size_t n)
{
    struct write *w = write_begin(job);
    for (size_t i = 0; i < n; i++)
        if (keys[i].changes_counts)
            device_keys_change_write(w, keys[i].user, keys[i].device, keys[i].device_id);
    return write_is_empty(w) ? NULL : write_commit(job, w, NULL);
}

static int key_query_compare_users(const void *a, const void *b)
{
    const struct claimed_key *x = a, *y = b;
    return x->user < y->user ? -1 : x->user > y->user;
}

const struct err *key_claim_add(struct job *job, const struct key_claim *claims, size_t n,
                                struct buf *out)
{
    const struct claimed_key *claimed;
    size_t claimed_n;
    TRY(one_time_keys_claim(job_tx(job), claims, n, &claimed, &claimed_n));
    TRY(write_changes(job, claimed, claimed_n));
    if (!claimed_n)
        return NULL;
    struct claimed_key *keys =
        (void *)arena_memdup(job->arena, claimed, claimed_n * sizeof *claimed);
    qsort(keys, claimed_n, sizeof *keys, key_query_compare_users);
    for (size_t i = 0; i < claimed_n; i++) {
        const struct claimed_key *k = &keys[i];
        if (i == 0 || keys[i - 1].user != k->user) {
            key_query_add_name(out, k->user_id);
            buf_add_char(out, '{');
        }
        key_query_add_name(out, k->device_id);
        BUF_LIT(out, "{\"");
        buf_add_json_inside(out, str_of(k->key.algorithm));
        buf_add_char(out, ':');
        buf_add_json_inside(out, str_of(k->key.key_id));
        BUF_LIT(out, "\":");
        buf_add_str(out, k->key.json);
        buf_add_char(out, '}');
        if (i + 1 == claimed_n || keys[i + 1].user != k->user)
            buf_add_char(out, '}');
    }
    return NULL;
}
