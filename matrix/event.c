#include "matrix/event.h"

#include "base/mem.h"
#include "matrix/event_internal.h"
#include "matrix/json_scan.h"

#include <stdatomic.h>
#include <stddef.h>

/* One allocation: this, the two lists of ids, the strings, the JSON. */
struct event_block {
    struct event e; /* first, so that both have the same address */
    atomic_uint references;
    _Atomic(json_t *) content_tree;
    const char *ids[];
};

static struct event_block *block_of(const struct event *e)
{
    return (struct event_block *)e;
}

struct event *event_ref(const struct event *e)
{
    atomic_fetch_add_explicit(&block_of(e)->references, 1, memory_order_relaxed);
    return &block_of(e)->e;
}

size_t event_bytes(const struct event *e)
{
    return sizeof *block_of(e) + 4 * e->json.n;
}

void event_unref(const struct event *e)
{
    if (!e || atomic_fetch_sub_explicit(&block_of(e)->references, 1, memory_order_acq_rel) != 1)
        return;
    json_decref(atomic_load(&block_of(e)->content_tree));
    free(block_of(e));
}

static void unref(void *e)
{
    event_unref(e);
}

const struct event *event_keep(struct arena *a, struct event *e)
{
    arena_defer(a, unref, e);
    return e;
}

/* Rooms of versions 1 to 5 may contain numbers beyond jansson's integers, or beyond doubles. */
static json_t *parse_content(struct str content)
{
    json_t *tree = json_loadb(content.p, content.n, JSON_ALLOW_NUL, NULL);
    if (!tree)
        tree = json_loadb(content.p, content.n, JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, NULL);
    return tree ? tree : json_object();
}

const json_t *event_content(const struct event *e)
{
    struct event_block *b = block_of(e);
    json_t *tree = atomic_load_explicit(&b->content_tree, memory_order_acquire);
    if (tree)
        return tree;
    json_t *mine = parse_content(e->content), *other = NULL;
    if (atomic_compare_exchange_strong(&b->content_tree, &other, mine))
        return mine;
    json_decref(mine);
    return other;
}

enum membership event_membership(const struct event *e)
{
    return e ? membership_parse_raw(json_scan_get(e->content, "membership")) : MEMBERSHIP_NONE;
}

size_t event_memory(const struct event *e)
{
    bool has_tree = e->state_key || atomic_load(&block_of(e)->content_tree);
    return e->json.n + (has_tree ? json_measure(e->content).tree_bytes : 0);
}

#define FIELD(key, member)                                                                         \
    {                                                                                              \
        key, sizeof(key) - 1, offsetof(struct event_fields, member)                                \
    }
static const struct {
    const char *key;
    size_t n, offset;
} fields[] = {
    FIELD("auth_events", auth_events),
    FIELD("content", content),
    FIELD("depth", depth),
    FIELD("event_id", event_id),
    FIELD("hashes", hashes),
    FIELD("origin_server_ts", origin_server_ts),
    FIELD("prev_events", prev_events),
    FIELD("redacts", redacts),
    FIELD("room_id", room_id),
    FIELD("sender", sender),
    FIELD("signatures", signatures),
    FIELD("state_key", state_key),
    FIELD("type", type),
    FIELD("unsigned", unsigned_),
};

void event_fields_find(struct str pdu, struct event_fields *ret)
{
    struct event_fields f = {0};
    struct json_member m;
    for (size_t pos = 0; json_scan_next(pdu, &pos, &m);)
        for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
            if (m.key.n == fields[i].n && memcmp(m.key.p, fields[i].key, m.key.n) == 0)
                *(struct str *)((char *)&f + fields[i].offset) = m.value;
    *ret = f;
}

bool event_names_its_room(const struct room_version *v, const struct event_fields *f)
{
    return v->room_id_is_create_hash && json_scan_string_is(f->type, "m.room.create") &&
           json_scan_string_is(f->state_key, "");
}

static size_t event_count(struct str list)
{
    struct json_member m;
    size_t n = 0;
    for (size_t pos = 0; json_scan_next(list, &pos, &m);)
        n++;
    return n;
}

/* Unescapes a raw string to *at and moves *at on; NULL when it is none or contains NUL. */
static const char *put_string(struct str raw, char **at)
{
    if (raw.n < 2 || raw.p[0] != '"')
        return NULL;
    char *text = *at;
    size_t n = json_scan_unescape((struct str){raw.p + 1, raw.n - 2}, text);
    if (memchr(text, '\0', n))
        return NULL;
    text[n] = '\0';
    *at += n + 1;
    return text;
}

static const char *put_text(const char *text, char **at)
{
    size_t n = strlen(text) + 1;
    char *copy = memcpy(*at, text, n);
    *at += n;
    return copy;
}

/* Ids are plain strings, or in versions 1 and 2 pairs of id and hashes. */
static bool put_ids(struct str list, const char **ids, char **at)
{
    struct json_member m, first;
    for (size_t pos = 0; json_scan_next(list, &pos, &m); ids++) {
        size_t inner = 0;
        if (m.value.p[0] == '[' && json_scan_next(m.value, &inner, &first))
            m.value = first.value;
        if (!(*ids = put_string(m.value, at)))
            return false;
    }
    return true;
}

/* Raw `redacts` of a redaction, from the version's place for it. */
static struct str find_redacts(const struct room_version *v, const struct event_fields *f)
{
    if (!json_scan_string_is(f->type, "m.room.redaction"))
        return (struct str){0};
    return v->redacts_in_content ? json_scan_get(f->content, "redacts") : f->redacts;
}

static bool put_strings(struct event *e, const struct event_fields *f, const char *event_id,
                        char **at)
{
    e->event_id = event_id ? put_text(event_id, at) : put_string(f->event_id, at);
    e->type = put_string(f->type, at);
    e->sender = put_string(f->sender, at);
    if (!e->event_id || !e->type || !e->sender)
        return false;
    if (event_names_its_room(e->version, f)) {
        char *room_id = *at;
        put_text(e->event_id, at);
        room_id[0] = '!';
        e->room_id = room_id;
    } else if (!(e->room_id = put_string(f->room_id, at))) {
        return false;
    }
    if (f->state_key.p && !(e->state_key = put_string(f->state_key, at)))
        return false;
    e->redacts = put_string(find_redacts(e->version, f), at);
    return true;
}

struct event *event_create(const struct room_version *v, const char *event_id, struct str pdu,
                           const struct event_fields *f)
{
    struct event e = {
        .version = v, .prev_n = event_count(f->prev_events), .auth_n = event_count(f->auth_events)};
    if (!f->content.n || f->content.p[0] != '{' || !json_scan_int(f->depth, &e.depth) ||
        !json_scan_int(f->origin_server_ts, &e.origin_server_ts))
        return NULL;
    /* Unescaped, a string is no longer than in the JSON. The event id may be added, and again as
     * room id. */
    size_t ids = (e.prev_n + e.auth_n) * sizeof(char *);
    size_t strings = pdu.n + (event_id ? 2 * (strlen(event_id) + 1) : 0);
    struct event_block *b = mem_alloc(sizeof *b + ids + strings + pdu.n + 1);
    char *at = (char *)b->ids + ids;
    e.prev_events = b->ids;
    e.auth_events = b->ids + e.prev_n;
    if (!put_strings(&e, f, event_id, &at) || !put_ids(f->prev_events, b->ids, &at) ||
        !put_ids(f->auth_events, b->ids + e.prev_n, &at)) {
        free(b);
        return NULL;
    }
    memcpy(at, pdu.p, pdu.n);
    at[pdu.n] = '\0';
    e.json = (struct str){at, pdu.n};
    e.content = (struct str){at + (f->content.p - pdu.p), f->content.n};
    b->e = e;
    atomic_init(&b->references, 1);
    atomic_init(&b->content_tree, NULL);
    return &b->e;
}

const struct err *event_parse_stored(const struct room_version *v, const char *event_id,
                                     struct str pdu, struct event **ret)
{
    struct event_fields f;
    event_fields_find(pdu, &f);
    struct event *e = event_create(v, event_id, pdu, &f);
    if (!e)
        return err_internal("the stored event %s is malformed", event_id);
    *ret = e;
    return NULL;
}
