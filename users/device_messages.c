#include "users/device_messages.h"

#include "base/map.h"
#include "matrix/canonical_json.h"
#include "matrix/id.h"
#include "matrix/json_named.h"
#include "users/message_quota.h"

enum {
    SHARED_MIN = 256, /* bytes; smaller content is no larger than a reference to it */
    CONTENT_RAW_MAX = 6 * DEVICE_MESSAGE_BYTES_MAX /* all of it escapes */
};

/* ---- reading ---- */

struct reading {
    struct arena *arena;   /* holds the result */
    struct arena *scratch; /* holds the tree of one content */
    bool strict;
    size_t n; /* messages so far */
};

static const struct err *device_messages_too_many(void)
{
    return err(ERR_INVALID_PARAM, "At most %d devices can be named at once", DEVICE_MESSAGES_MAX);
}

static const struct err *device_messages_read_members(struct arena *a, struct str object,
                                                      struct json_named **ret, size_t *ret_n)
{
    return json_named_list(a, object, DEVICE_MESSAGES_MAX, ret, ret_n) ? NULL
                                                                       : device_messages_too_many();
}

static const struct err *device_messages_too_large(void)
{
    return err(ERR_TOO_LARGE, "A message to a device may have %d bytes at most",
               DEVICE_MESSAGE_BYTES_MAX);
}

/* The content as it is stored: sorted, without white space and needless escapes. A tree is made of
 * one content at a time, so that a large request takes no more memory than its bytes. */
static const struct err *read_content(struct reading *r, struct str raw, struct str *ret)
{
    json_t *v;
    if (raw.n > CONTENT_RAW_MAX)
        return device_messages_too_large();
    TRY(json_read(r->scratch, raw, &v));
    if (r->strict)
        TRY(canonical_json_check_tree(v));
    const char *text = json_write(r->scratch, v);
    *ret = str_of(text);
    if (ret->n > DEVICE_MESSAGE_BYTES_MAX)
        return device_messages_too_large();
    ret->p = arena_memdup(r->arena, text, ret->n);
    arena_reset(r->scratch);
    return NULL;
}

/* The messages for one user of any server. */
static const struct err *read_devices(struct reading *r, struct str devices,
                                      struct json_named **ret, size_t *ret_n)
{
    if (devices.p[0] != '{')
        return err(ERR_BAD_JSON, "`messages` must map users to objects");
    TRY(device_messages_read_members(r->arena, devices, ret, ret_n));
    for (size_t i = 0; i < *ret_n; i++)
        if ((*ret)[i].value.p[0] != '{')
            return err(ERR_BAD_JSON, "A message to a device must be an object");
    return (r->n += *ret_n) <= DEVICE_MESSAGES_MAX ? NULL : device_messages_too_many();
}

static struct device_content *add_room_for(struct arena *a, struct device_contents *c, size_t n)
{
    if (c->n + n > c->cap) {
        size_t cap = 2 * c->cap + n;
        struct device_content *grown = arena_alloc_array(a, cap, sizeof *grown);
        if (c->n)
            memcpy(grown, c->list, c->n * sizeof *grown);
        c->list = grown;
        c->cap = cap;
    }
    return c->list + c->n;
}

static const struct err *device_messages_add_user(struct reading *r, const char *user_id,
                                                  const struct json_named *devices, size_t n,
                                                  struct device_contents *c)
{
    struct device_content *new = add_room_for(r->arena, c, n);
    for (size_t i = 0; i < n; i++) {
        new[i] = (struct device_content){.user_id = user_id, .device_id = devices[i].name};
        TRY(read_content(r, devices[i].value, &new[i].json));
    }
    c->n += n;
    return NULL;
}

/* others NULL: messages for other servers' users are only checked. */
static const struct err *device_messages_read_messages(struct reading *r, const char *server,
                                                       struct str messages,
                                                       struct device_contents *ours,
                                                       struct device_contents *others)
{
    struct json_named *users, *devices;
    size_t users_n, n;
    TRY(device_messages_read_members(r->arena, messages, &users, &users_n));
    for (size_t i = 0; i < users_n; i++) {
        const char *user_id = users[i].name;
        TRY(read_devices(r, users[i].value, &devices, &n));
        if (id_is_of(user_id, server))
            TRY(device_messages_add_user(r, user_id, devices, n, ours));
        else if (others && id_is_user(str_of(user_id)))
            TRY(device_messages_add_user(r, user_id, devices, n, others));
    }
    return NULL;
}

static struct str device_messages_make_event(struct arena *a, const struct device_message *m,
                                             struct str content)
{
    buf_auto struct buf b = {0};
    BUF_LIT(&b, "{\"content\":");
    buf_add_str(&b, content);
    BUF_LIT(&b, ",\"sender\":");
    buf_add_json_string(&b, str_of(m->sender));
    BUF_LIT(&b, ",\"type\":");
    buf_add_json_string(&b, str_of(m->type));
    buf_add_char(&b, '}');
    return (struct str){arena_memdup(a, b.p, b.n), b.n};
}

/* ---- in pieces ---- */

/* The number of targets, from here on, that get the same content. */
static size_t count_same(const struct device_delivery *d, size_t from)
{
    size_t n = 1;
    while (from + n < d->n && d->targets[from + n].wanted == d->targets[from].wanted)
        n++;
    return n;
}

static bool is_shared(size_t n, struct str content)
{
    return n > 1 && content.n >= SHARED_MIN;
}

static size_t device_messages_count_bytes(const struct device_delivery *d)
{
    size_t bytes = 0;
    for (size_t i = 0, n; i < d->n; i += n) {
        struct str content = d->contents[d->targets[i].wanted];
        n = count_same(d, i);
        bytes += n * TO_DEVICE_ROW_BYTES + content.n * (is_shared(n, content) ? 1 : n);
    }
    return bytes;
}

bool device_messages_left(const struct device_delivery *d)
{
    return d->next < d->n;
}

static void add_shared(struct device_delivery *d, struct write *w, struct str event, size_t n)
{
    struct to_device_address *to = arena_alloc_array(write_arena(w), n, sizeof *to);
    for (size_t i = 0; i < n; i++)
        to[i] = d->targets[d->next + i].to;
    to_device_write_shared(w, to, n, event, d->message.source);
}

void device_messages_add(struct device_delivery *d, struct write *w, size_t *bytes)
{
    while (d->next < d->n && *bytes < DEVICE_PIECE_BYTES) {
        struct str content = d->contents[d->targets[d->next].wanted];
        struct str event = device_messages_make_event(write_arena(w), &d->message, content);
        size_t same = count_same(d, d->next);
        size_t cap = (DEVICE_PIECE_BYTES - *bytes) / TO_DEVICE_ROW_BYTES + 1;
        size_t n = same < cap ? same : cap;
        bool shared = is_shared(n, content);
        *bytes += content.n * (shared ? 1 : n) + n * TO_DEVICE_ROW_BYTES;
        if (shared) {
            add_shared(d, w, event, n);
        } else {
            for (size_t i = 0; i < n; i++)
                to_device_write(w, &d->targets[d->next + i].to, event, d->message.source);
        }
        d->next += n;
    }
}

static const struct err *find_targets(struct job *job, const struct device_contents *ours,
                                      struct device_delivery *d)
{
    const char **user_ids = arena_alloc_array(job->arena, ours->n, sizeof *user_ids);
    const char **device_ids = arena_alloc_array(job->arena, ours->n, sizeof *device_ids);
    struct str *contents = arena_alloc_array(job->arena, ours->n, sizeof *contents);
    for (size_t i = 0; i < ours->n; i++) {
        user_ids[i] = ours->list[i].user_id;
        device_ids[i] = ours->list[i].device_id;
        contents[i] = ours->list[i].json;
    }
    TRY(to_device_targets(job_tx(job), user_ids, device_ids, ours->n, DEVICE_TARGETS_MAX + 1,
                          &d->targets, &d->n));
    if (d->n > DEVICE_TARGETS_MAX)
        return err(ERR_TOO_LARGE, "The messages are for more than %d devices", DEVICE_TARGETS_MAX);
    d->contents = contents;
    return NULL;
}

const struct err *device_messages_prepare(struct job *job, const struct device_message *m,
                                          struct str messages, struct device_delivery *ret,
                                          struct device_contents *ret_others)
{
    arena_auto struct arena *scratch = arena_create();
    arena_set_source(scratch, arena_source(job->arena));
    struct reading r = {.arena = job->arena, .scratch = scratch, .strict = m->source > 0};
    struct device_contents ours = {0}, others = {0};
    struct device_delivery d = {.message = *m};
    TRY(device_messages_read_messages(&r, job->config->server_name, messages, &ours,
                                      ret_others ? &others : NULL));
    if (ours.n)
        TRY(find_targets(job, &ours, &d));
    d.bytes = device_messages_count_bytes(&d);
    *ret = d;
    if (ret_others)
        *ret_others = others;
    return NULL;
}

const struct err *device_messages_bound(struct job *job, const struct device_delivery *d)
{
    if (!d->n)
        return NULL;
    struct to_device_address *to = arena_alloc_array(job->arena, d->n, sizeof *to);
    for (size_t i = 0; i < d->n; i++)
        to[i] = d->targets[i].to;
    for (size_t i = 0, n; i < d->n; i += n) {
        n = count_same(d, i);
        TRY(message_quota_waits(job, to + i, n,
                                d->contents[d->targets[i].wanted].n + TO_DEVICE_ROW_BYTES));
    }
    return NULL;
}
