#include "storage/db/feed.h"

#include "base/lock.h"
#include "base/map.h"
#include "base/mem.h"

/* One remembered change, with its links to the previous change of the same room and user. */
struct entry {
    struct change change; /* owns a reference to the event and the bytes at `owned` */
    char *owned;
    size_t bytes;
    int64_t previous_of_room, previous_of_user;
};

/* The index of an entry is position % size. Valid positions are oldest .. newest without gaps. */
struct feed {
    pthread_rwlock_t lock;
    struct entry *ring;
    size_t size, bytes, bytes_max;
    int64_t oldest, newest;
    int64_t settled;                   /* the newest that all listeners have seen */
    struct map rooms, users;           /* id -> newest position (as pointer-sized integer) */
    int64_t kinds[CHANGE_UNKNOWN + 1]; /* newest position of each */
    const struct feed_listener *listeners;
    size_t listeners_n;
};

struct feed *feed_create(size_t entries, size_t bytes_max, int64_t position)
{
    struct feed *f = mem_zalloc(sizeof *f);
    /* Readers who come one after another must not keep the committer waiting. */
    pthread_rwlockattr_t writers_first;
    pthread_rwlockattr_init(&writers_first);
    pthread_rwlockattr_setkind_np(&writers_first, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(&f->lock, &writers_first);
    pthread_rwlockattr_destroy(&writers_first);
    f->ring = mem_zalloc(entries * sizeof *f->ring);
    f->size = entries;
    f->bytes_max = bytes_max;
    f->oldest = position + 1;
    f->newest = f->settled = position;
    return f;
}

static struct entry *entry_at(struct feed *f, int64_t position)
{
    return &f->ring[(uint64_t)position % f->size];
}

static void feed_forget_oldest(struct feed *f)
{
    struct entry *e = entry_at(f, f->oldest);
    event_unref(change_any_event(&e->change));
    free(e->owned);
    f->bytes -= e->bytes;
    *e = (struct entry){0};
    f->oldest++;
}

void feed_destroy(struct feed *f)
{
    if (!f)
        return;
    while (f->oldest <= f->newest)
        feed_forget_oldest(f);
    map_finish(&f->rooms);
    map_finish(&f->users);
    pthread_rwlock_destroy(&f->lock);
    free(f->ring);
    free(f);
}

void feed_set_listeners(struct feed *f, const struct feed_listener *list, size_t n)
{
    f->listeners = list;
    f->listeners_n = n;
}

/* Makes `position` the head of a chain and returns the head before it (0: none). */
static int64_t chain(struct map *heads, int64_t id, int64_t position)
{
    return id ? (int64_t)(intptr_t)map_put_int(heads, id, (void *)(intptr_t)position) : 0;
}

/* The text that a change points to, and its length with the final zero; *ret_n is 0 for none. */
static const char **feed_text_of(struct change *c, size_t *ret_n)
{
    const char **text = NULL;
    switch (c->kind) {
    case CHANGE_EVENT:
        text = &c->event.client_txn;
        break;
    case CHANGE_RECEIPT:
        text = &c->receipt.user_id;
        break;
    case CHANGE_DEVICE_LIST:
        text = &c->device_list.user_id;
        break;
    case CHANGE_TO_DEVICE:
    case CHANGE_DEVICE_KEYS:
        text = &c->device.device_id;
        break;
    case CHANGE_ACCOUNT:
        text = &c->account.user_id;
        break;
    case CHANGE_TO_SERVER:
        text = &c->to_server.server;
        break;
    case CHANGE_TYPING:
        text = &c->typing.user_id;
        break;
    default:
        break;
    }
    *ret_n = text && *text ? strlen(*text) + 1 : 0;
    return text;
}

/* Readers of the ring must not see redacted content. */
static void redact_in_ring(struct feed *f, const struct change *redaction)
{
    int64_t target = redaction->event.redacts_position;
    if (target < f->oldest || target >= redaction->position)
        return;
    struct change *c = &entry_at(f, target)->change;
    if (c->kind != CHANGE_EVENT)
        return;
    event_unref(c->event.event);
    c->event.event = event_ref(redaction->local.redacted_event);
    c->event.redacted_by = redaction->position;
}

static void note_child(struct feed *f, const struct change *c)
{
    int64_t parent = c->event.parent;
    struct change *of =
        parent >= f->oldest && parent < c->position ? &entry_at(f, parent)->change : NULL;
    if (of && of->kind == CHANGE_EVENT)
        of->event.has_children = true;
}

/* Copies a change so that it needs no memory of the writer. */
static void feed_remember(struct feed *f, const struct change *c)
{
    struct entry *e = entry_at(f, c->position);
    *e = (struct entry){.change = *c};
    size_t text_n, json_n = c->kind == CHANGE_RECEIPT ? c->receipt.json.n : 0;
    const char **text = feed_text_of(&e->change, &text_n);
    const struct event *event = change_any_event(c);
    e->bytes = text_n + json_n + (event ? event_memory(event) : 0) + sizeof *e;
    e->owned = text_n + json_n ? mem_alloc(text_n + json_n) : NULL;
    if (text_n)
        *text = memcpy(e->owned, *text, text_n);
    if (json_n)
        e->change.receipt.json.p = memcpy(e->owned + text_n, c->receipt.json.p, json_n);
    if (event)
        event_ref(event);
    if (c->kind == CHANGE_PRESENCE)
        e->change.presence = (struct change_presence){0};
    e->change.local.actions = NULL;
    e->change.local.redacted_event = NULL;
    e->change.local.head = NULL;
    e->change.local.audience = NULL;
    e->change.local.actions_n = e->change.local.audience_n = 0;
    if (c->kind == CHANGE_EVENT)
        note_child(f, c);
    if (c->kind == CHANGE_EVENT && c->local.redacted_event)
        redact_in_ring(f, c);
    e->previous_of_room = chain(&f->rooms, c->room, c->position);
    e->previous_of_user = chain(&f->users, c->user, c->position);
    f->kinds[c->kind] = c->position;
    f->bytes += e->bytes;
}

/* Readers may go up to `position` only when every listener has seen it. */
static void call_listeners(struct feed *f, const struct change *changes, size_t n, int64_t position)
{
    const struct feed_listener *end = f->listeners + f->listeners_n;
    for (const struct feed_listener *l = f->listeners; l < end; l++)
        l->on_changes(l->ctx, changes, n);
    pthread_rwlock_wrlock(&f->lock);
    f->settled = position;
    pthread_rwlock_unlock(&f->lock);
    for (const struct feed_listener *l = f->listeners; l < end; l++)
        if (l->on_settled)
            l->on_settled(l->ctx);
}

void feed_publish(struct feed *f, const struct change *changes, size_t n)
{
    if (!n)
        return;
    pthread_rwlock_wrlock(&f->lock);
    for (size_t i = 0; i < n; i++) {
        if ((size_t)(f->newest - f->oldest + 1) == f->size)
            feed_forget_oldest(f);
        feed_remember(f, &changes[i]);
        f->newest = changes[i].position;
        while (f->bytes > f->bytes_max && f->oldest < f->newest)
            feed_forget_oldest(f);
    }
    pthread_rwlock_unlock(&f->lock);
    call_listeners(f, changes, n, changes[n - 1].position);
}

void feed_reset(struct feed *f, int64_t position)
{
    pthread_rwlock_wrlock(&f->lock);
    while (f->oldest <= f->newest)
        feed_forget_oldest(f);
    f->oldest = position + 1;
    f->newest = position;
    f->settled = position;
    map_finish(&f->rooms);
    map_finish(&f->users);
    memset(f->kinds, 0, sizeof f->kinds);
    pthread_rwlock_unlock(&f->lock);
    call_listeners(f, NULL, 0, position);
}

int64_t feed_position(struct feed *f)
{
    pthread_rwlock_rdlock(&f->lock);
    int64_t settled = f->settled;
    pthread_rwlock_unlock(&f->lock);
    return settled;
}

int64_t feed_newest(struct feed *f)
{
    pthread_rwlock_rdlock(&f->lock);
    int64_t newest = f->newest;
    pthread_rwlock_unlock(&f->lock);
    return newest;
}

bool feed_covers(struct feed *f, int64_t since)
{
    pthread_rwlock_rdlock(&f->lock);
    bool covers = since + 1 >= f->oldest;
    pthread_rwlock_unlock(&f->lock);
    return covers;
}

enum chain_of { OF_ROOM, OF_USER };

static int64_t previous(const struct entry *e, enum chain_of which)
{
    return which == OF_ROOM ? e->previous_of_room : e->previous_of_user;
}

static int64_t head_locked(struct feed *f, enum chain_of which, int64_t id)
{
    return (int64_t)(intptr_t)map_get_int(which == OF_ROOM ? &f->rooms : &f->users, id);
}

static void feed_drop_event(void *event)
{
    event_unref(event);
}

/* Copies a change into the reader's arena; the event stays shared. */
static void copy_out(struct arena *a, const struct change *from, struct change *to)
{
    *to = *from;
    size_t text_n;
    const char **text = feed_text_of(to, &text_n);
    if (text_n)
        *text = arena_memdup(a, *text, text_n);
    if (from->kind == CHANGE_RECEIPT && from->receipt.json.n)
        to->receipt.json.p = arena_memdup(a, from->receipt.json.p, from->receipt.json.n);
    if (change_any_event(from))
        arena_defer(a, feed_drop_event, event_ref(change_any_event(from)));
}

/* Walks a chain from its head back to `since`; the newest `max` matches, turned oldest first. */
static void read_chain(struct feed *f, struct arena *a, enum chain_of which, int64_t id,
                       int64_t since, int64_t until, unsigned kinds, size_t max,
                       const struct change **ret, size_t *ret_n, bool *ret_more)
{
    size_t n = 0, cap = 8;
    int64_t few[8];
    int64_t *positions = few;
    bool more = false;
    pthread_rwlock_rdlock(&f->lock);
    for (int64_t p = head_locked(f, which, id); p > since && p >= f->oldest;) {
        const struct entry *e = entry_at(f, p);
        if (p <= until && kinds & 1u << e->change.kind) {
            if (n == max) {
                more = true;
                break;
            }
            if (n == cap) {
                int64_t *grown = arena_alloc_array(a, cap * 2, sizeof *grown);
                memcpy(grown, positions, n * sizeof *grown);
                positions = grown;
                cap *= 2;
            }
            positions[n++] = p;
        }
        p = previous(e, which);
    }
    struct change *out = n ? arena_alloc_array(a, n, sizeof *out) : NULL;
    for (size_t i = 0; i < n; i++)
        copy_out(a, &entry_at(f, positions[n - 1 - i])->change, &out[i]);
    pthread_rwlock_unlock(&f->lock);
    *ret = out;
    *ret_n = n;
    *ret_more = more;
}

void feed_read_room(struct feed *f, struct arena *a, int64_t room, int64_t since, int64_t until,
                    unsigned kinds, size_t max, const struct change **ret, size_t *ret_n,
                    bool *ret_more)
{
    read_chain(f, a, OF_ROOM, room, since, until, kinds, max, ret, ret_n, ret_more);
}

void feed_read_user(struct feed *f, struct arena *a, int64_t user, int64_t since, int64_t until,
                    unsigned kinds, size_t max, const struct change **ret, size_t *ret_n,
                    bool *ret_more)
{
    read_chain(f, a, OF_USER, user, since, until, kinds, max, ret, ret_n, ret_more);
}

static int64_t head_position(struct feed *f, enum chain_of which, int64_t id)
{
    pthread_rwlock_rdlock(&f->lock);
    int64_t p = head_locked(f, which, id);
    pthread_rwlock_unlock(&f->lock);
    return p;
}

int64_t feed_room_position(struct feed *f, int64_t room)
{
    return head_position(f, OF_ROOM, room);
}

int64_t feed_user_position(struct feed *f, int64_t user)
{
    return head_position(f, OF_USER, user);
}

int64_t feed_kind_position(struct feed *f, enum change_kind kind)
{
    pthread_rwlock_rdlock(&f->lock);
    int64_t p = f->kinds[kind];
    pthread_rwlock_unlock(&f->lock);
    return p;
}

void feed_add_metrics(struct feed *f, struct buf *out)
{
    pthread_rwlock_rdlock(&f->lock);
    buf_printf(out,
               "# HELP concorde_feed_position The last position of the log.\n"
               "# TYPE concorde_feed_position counter\nconcorde_feed_position %lld\n"
               "# HELP concorde_feed_entries Changes in memory.\n"
               "# TYPE concorde_feed_entries gauge\nconcorde_feed_entries %lld\n"
               "# HELP concorde_feed_bytes Memory of these changes.\n"
               "# TYPE concorde_feed_bytes gauge\nconcorde_feed_bytes %zu\n",
               (long long)f->newest, (long long)f->newest - f->oldest + 1, f->bytes);
    pthread_rwlock_unlock(&f->lock);
}
