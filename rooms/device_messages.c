#include "rooms/device_messages.h"

#include "matrix/id.h"
#include "rooms/message_quota.h"

enum { SHARED_MIN = 256 }; /* bytes; what is smaller is no larger than a reference to it */

/* (user, device) pairs with the JSON text of what is for them. */
struct pairs {
    const char **user_ids, **device_ids;
    struct str *contents;
    size_t n, room;
};

static void *grow(struct arena *a, const void *old, size_t n, size_t room, size_t size)
{
    void *grown = arena_alloc_array(a, room, size);
    if (n)
        memcpy(grown, old, n * size);
    return grown;
}

static void add_pair(struct arena *a, struct pairs *p, const char *user_id, const char *device_id,
                     struct str content)
{
    if (p->n == p->room) {
        p->room = p->room ? p->room * 2 : 16;
        p->user_ids = grow(a, p->user_ids, p->n, p->room, sizeof *p->user_ids);
        p->device_ids = grow(a, p->device_ids, p->n, p->room, sizeof *p->device_ids);
        p->contents = grow(a, p->contents, p->n, p->room, sizeof *p->contents);
    }
    p->user_ids[p->n] = user_id;
    p->device_ids[p->n] = device_id;
    p->contents[p->n++] = content;
}

/* The messages for one user of ours. */
static const struct err *read_user(struct arena *a, const char *user_id, const json_t *devices,
                                   struct pairs *p)
{
    const char *device_id;
    json_t *content;
    json_object_foreach ((json_t *)devices, device_id, content) {
        struct str text = str_of(json_write(a, content));
        if (text.n > DEVICE_MESSAGE_BYTES_MAX)
            return err(ERR_TOO_LARGE, "A message to a device may have %d bytes at most",
                       DEVICE_MESSAGE_BYTES_MAX);
        add_pair(a, p, user_id, device_id, text);
    }
    return NULL;
}

static void add_other(json_t *others, struct str server, const char *user_id, json_t *devices)
{
    json_t *there = json_object_getn(others, server.p, server.n);
    if (!there)
        json_object_setn_new(others, server.p, server.n, there = json_object());
    json_object_set(there, user_id, devices);
}

/* Counts the messages for a user, whose server may be any. */
static const struct err *check_user(const json_t *devices, size_t *total)
{
    const char *device_id;
    json_t *content;
    if (!json_is_object(devices))
        return err(ERR_BAD_JSON, "`messages` must map users to objects");
    json_object_foreach ((json_t *)devices, device_id, content)
        if (!json_is_object(content))
            return err(ERR_BAD_JSON, "A message to a device must be an object");
    *total += json_object_size(devices);
    if (*total > DEVICE_MESSAGES_MAX)
        return err(ERR_INVALID_PARAM, "Send to %d devices at most at once", DEVICE_MESSAGES_MAX);
    return NULL;
}

static struct str make_event(struct arena *a, const struct device_message *m, struct str content)
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

/* How many of the targets from here on get the same. */
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

static size_t count_bytes(const struct device_delivery *d)
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
        struct str event = make_event(write_arena(w), &d->message, content);
        size_t same = count_same(d, d->next);
        size_t room = (DEVICE_PIECE_BYTES - *bytes) / TO_DEVICE_ROW_BYTES + 1;
        size_t n = same < room ? same : room;
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

const struct err *device_messages_prepare(struct job *job, const struct device_message *m,
                                          const json_t *messages, struct device_delivery *ret,
                                          json_t **ret_others)
{
    struct pairs ours = {0};
    json_t *others = json_keep(job->arena, json_object());
    size_t total = 0;
    const char *user_id;
    json_t *devices;
    json_object_foreach ((json_t *)messages, user_id, devices) {
        struct str server = id_server(str_of(user_id));
        TRY(check_user(devices, &total));
        if (str_is(server, job->store->config->server_name))
            TRY(read_user(job->arena, user_id, devices, &ours));
        else if (id_is_user(str_of(user_id)))
            add_other(others, server, user_id, devices);
    }
    struct device_delivery d = {.message = *m, .contents = ours.contents};
    if (ours.n)
        TRY(to_device_targets(job_tx(job), ours.user_ids, ours.device_ids, ours.n,
                              DEVICE_TARGETS_MAX + 1, &d.targets, &d.n));
    if (d.n > DEVICE_TARGETS_MAX)
        return err(ERR_TOO_LARGE, "That is for more than %d devices: send it to fewer at once",
                   DEVICE_TARGETS_MAX);
    d.bytes = count_bytes(&d);
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
