#include "rooms/key_query.h"

#include "base/map.h"
#include "storage/one_time_keys.h"

void key_query_reply_finish(struct key_query_reply *r)
{
    for (int kind = 0; kind < KEY_KIND_COUNT; kind++)
        buf_finish(&r->of_kind[kind]);
}

static void add_comma(struct buf *b)
{
    if (b->n && b->p[b->n - 1] != '{')
        buf_add_char(b, ',');
}

static void add_name(struct buf *b, const char *name)
{
    add_comma(b);
    buf_add_json_string(b, str_of(name));
    buf_add_char(b, ':');
}

/* Devices always have them; a cross-signing key was uploaded without. */
static void add_signatures(struct buf *b, const struct public_key *k,
                           const struct key_requester *requester)
{
    if (k->kind != KEY_DEVICE && !k->owner_signatures && !k->requester_signatures)
        return;
    add_name(b, "signatures");
    buf_add_char(b, '{');
    if (k->owner_signatures) {
        add_name(b, k->user_id);
        buf_add_text(b, k->owner_signatures);
    }
    if (k->requester_signatures) {
        add_name(b, requester->user_id);
        buf_add_text(b, k->requester_signatures);
    }
    buf_add_char(b, '}');
}

/* For clients it is always there, other servers have no need of an empty one. */
static void add_unsigned(struct buf *b, const struct public_key *k,
                         const struct key_requester *requester)
{
    bool shows_name = k->display_name && requester->sees_names;
    if (k->kind != KEY_DEVICE || (!shows_name && !requester->user))
        return;
    BUF_LIT(b, ",\"unsigned\":{");
    if (shows_name) {
        BUF_LIT(b, "\"device_display_name\":");
        buf_add_json_string(b, str_of(k->display_name));
    }
    buf_add_char(b, '}');
}

void public_key_add(struct buf *b, const struct public_key *k,
                    const struct key_requester *requester)
{
    buf_add(b, k->json.p, k->json.n - 1);
    add_signatures(b, k, requester);
    add_unsigned(b, k, requester);
    buf_add_char(b, '}');
}

static bool is_wanted(const struct key_wanted *w, const char *device_id)
{
    if (!json_array_size(w->devices))
        return true;
    size_t i;
    json_t *one;
    json_array_foreach ((json_t *)w->devices, i, one)
        if (json_string_text(one) && strcmp(json_string_text(one), device_id) == 0)
            return true;
    return false;
}

/* The keys of one user, as a list. */
struct user_keys {
    const struct public_key *key;
    struct user_keys *next;
};

static void add_user(struct key_query_reply *r, const struct key_wanted *w,
                     const struct user_keys *keys, const struct key_requester *requester)
{
    struct buf *devices = &r->of_kind[KEY_DEVICE];
    add_name(devices, w->user_id);
    buf_add_char(devices, '{');
    for (; keys; keys = keys->next) {
        const struct public_key *k = keys->key;
        struct buf *b = &r->of_kind[k->kind];
        if (k->kind == KEY_DEVICE && !is_wanted(w, k->name))
            continue;
        add_name(b, k->kind == KEY_DEVICE ? k->name : k->user_id);
        public_key_add(b, k, requester);
    }
    buf_add_char(devices, '}');
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
        add_user(r, &wanted[i], map_get(&users, str_of(wanted[i].user_id)), requester);
    map_finish(&users);
    return NULL;
}

/* ---- claims ---- */

static const struct err *tell_devices(struct job *job, const struct claimed_key *keys, size_t n)
{
    struct write *w = write_begin(job);
    for (size_t i = 0; i < n; i++)
        if (keys[i].changes_counts)
            device_keys_change_write(w, keys[i].user, keys[i].device, keys[i].device_id);
    return write_is_empty(w) ? NULL : write_commit(job, w, NULL);
}

static int compare_users(const void *a, const void *b)
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
    TRY(tell_devices(job, claimed, claimed_n));
    if (!claimed_n)
        return NULL;
    struct claimed_key *keys =
        (void *)arena_memdup(job->arena, claimed, claimed_n * sizeof *claimed);
    qsort(keys, claimed_n, sizeof *keys, compare_users);
    for (size_t i = 0; i < claimed_n; i++) {
        const struct claimed_key *k = &keys[i];
        if (i == 0 || keys[i - 1].user != k->user) {
            add_name(out, k->user_id);
            buf_add_char(out, '{');
        }
        add_name(out, k->device_id);
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
