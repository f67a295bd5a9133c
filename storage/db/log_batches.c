#include "storage/db/log_batches.h"

#include <jansson.h>

/* A change is a JSON object of its members that are not zero; an event is stored as its JSON. */

enum { BATCHES_MAX = 256 };

enum field_type { FIELD_INT64, FIELD_INT, FIELD_BOOL, FIELD_TEXT, FIELD_JSON, FIELD_EVENT };

/* kinds: bits of those that have it, ~0u for all; name: of the member of the object. */
#define FIELD(type, kinds, name, member)                                                           \
    {                                                                                              \
        name, kinds, FIELD_##type, offsetof(struct change, member)                                 \
    }
#define OF(kind) (1u << CHANGE_##kind)
static const struct field {
    const char *name;
    unsigned kinds;
    enum field_type type;
    size_t offset;
} fields[] = {
    FIELD(INT64, ~0u, "room", room),
    FIELD(INT64, ~0u, "user", user),
    FIELD(EVENT, OF(EVENT), "event", event.event),
    FIELD(TEXT, OF(EVENT), "client_txn", event.client_txn),
    FIELD(INT64, OF(EVENT), "client_device", event.client_device),
    FIELD(INT64, OF(EVENT), "thread", event.thread),
    FIELD(INT64, OF(EVENT), "parent", event.parent),
    FIELD(INT64, OF(EVENT), "redacts_position", event.redacts_position),
    FIELD(INT64, OF(EVENT), "redacted_by", event.redacted_by),
    FIELD(INT64, OF(EVENT), "notify_total", event.notify_total),
    FIELD(INT64, OF(EVENT), "highlight_total", event.highlight_total),
    FIELD(INT, OF(EVENT), "notify", event.notify),
    FIELD(INT, OF(EVENT), "highlight", event.highlight),
    FIELD(BOOL, OF(EVENT), "has_children", event.has_children),
    FIELD(BOOL, OF(EVENT), "is_withheld", event.is_withheld),
    FIELD(BOOL, OF(EVENT), "is_lost", event.is_lost),
    FIELD(BOOL, OF(EVENT), "follows_gap", event.follows_gap),
    FIELD(BOOL, OF(EVENT), "is_relayed", event.is_relayed),
    FIELD(EVENT, OF(STATE), "event", state.event),
    FIELD(INT64, OF(STATE), "state_event", state.event_position),
    FIELD(BOOL, OF(STATE), "is_end", state.is_end),
    FIELD(TEXT, OF(RECEIPT), "user_id", receipt.user_id),
    FIELD(JSON, OF(RECEIPT), "json", receipt.json),
    FIELD(INT64, OF(RECEIPT), "parent", receipt.event),
    FIELD(INT64, OF(RECEIPT), "thread", receipt.thread),
    FIELD(BOOL, OF(RECEIPT), "private_to_user", receipt.is_private),
    FIELD(BOOL, OF(ACCOUNT_DATA), "is_push_rules", account_data.is_push_rules),
    FIELD(TEXT, OF(TO_DEVICE) | OF(DEVICE_KEYS), "device", device.device_id),
    FIELD(TEXT, OF(DEVICE_LIST), "user_id", device_list.user_id),
    FIELD(BOOL, OF(DEVICE_LIST), "private_to_user", device_list.is_private),
    FIELD(TEXT, OF(ACCOUNT), "user_id", account.user_id),
    FIELD(BOOL, OF(ACCOUNT), "is_erasure", account.is_erasure),
    FIELD(TEXT, OF(TO_SERVER), "device", to_server.server),
    FIELD(EVENT, ~0u, "redacted_event", local.redacted_event),
    FIELD(BOOL, ~0u, "resets_room", local.resets_room),
    FIELD(BOOL, ~0u, "has_own_rules", local.has_own_rules),
    FIELD(INT64, ~0u, "rules_as_of", local.rules_as_of),
    FIELD(BOOL, ~0u, "is_asked", local.is_asked),
};
enum { FIELDS_N = sizeof fields / sizeof *fields };

/* ---- writing ---- */

static json_t *text_value(struct str s)
{
    return json_stringn_nocheck(s.p ? s.p : "", s.n);
}

static json_t *event_value(const struct event *e)
{
    return json_pack("{s:s, s:s, s:o}", "version", e->version->id, "id", e->event_id, "json",
                     text_value(e->json));
}

/* NULL: zero, which is left out. */
static json_t *field_value(const struct field *f, const struct change *c)
{
    const void *at = (const char *)c + f->offset;
    int64_t n = 0;
    switch (f->type) {
    case FIELD_TEXT: {
        const char *text = *(const char *const *)at;
        return text ? text_value(str_of(text)) : NULL;
    }
    case FIELD_JSON: {
        const struct str *json = at;
        return json->n ? text_value(*json) : NULL;
    }
    case FIELD_EVENT: {
        const struct event *e = *(const struct event *const *)at;
        return e ? event_value(e) : NULL;
    }
    case FIELD_INT64:
        n = *(const int64_t *)at;
        break;
    case FIELD_INT:
        n = *(const int *)at;
        break;
    case FIELD_BOOL:
        n = *(const bool *)at;
        break;
    }
    return n ? json_integer(n) : NULL;
}

static void add_lists(json_t *o, const struct change_local *l)
{
    json_t *audience = json_array(), *actions = json_array();
    for (size_t i = 0; i < l->audience_n; i++)
        json_array_append_new(audience, json_integer(l->audience[i]));
    for (size_t i = 0; i < l->actions_n; i++)
        json_array_append_new(actions, json_pack("[I, i, i]", (json_int_t)l->actions[i].user,
                                                 l->actions[i].notify, l->actions[i].highlight));
    if (l->audience_n)
        json_object_set(o, "audience", audience);
    if (l->actions_n)
        json_object_set(o, "actions", actions);
    json_decref(audience);
    json_decref(actions);
}

static json_t *head_value(const struct change_head *h)
{
    json_t *ids = json_array();
    for (size_t i = 0; i < h->extremities_n; i++)
        json_array_append_new(ids, text_value(str_of(h->extremities[i])));
    return json_pack("[I, I, I, I, o]", (json_int_t)h->version, (json_int_t)h->depth,
                     (json_int_t)h->notify_total, (json_int_t)h->highlight_total, ids);
}

void log_batch_add(struct buf *b, const struct change *c)
{
    json_t *o = json_pack("{s:i}", "kind", (int)c->kind);
    for (size_t i = 0; i < FIELDS_N; i++) {
        json_t *value = fields[i].kinds & 1u << c->kind ? field_value(&fields[i], c) : NULL;
        if (value)
            json_object_set_new(o, fields[i].name, value);
    }
    add_lists(o, &c->local);
    if (c->local.head)
        json_object_set_new(o, "head", head_value(c->local.head));
    char *text = json_dumps(o, JSON_COMPACT);
    buf_add_char(b, b->n ? ',' : '[');
    buf_add_text(b, text);
    free(text);
    json_decref(o);
}

void log_batch_end(struct buf *b)
{
    buf_add_text(b, b->n ? "]" : "[]");
}

/* ---- reading ---- */

static struct str log_batches_read_text(struct arena *a, const json_t *value)
{
    size_t n = json_string_length(value);
    return (struct str){arena_memdup(a, json_string_value(value), n), n};
}

static bool log_batches_read_event(struct arena *a, const json_t *o, const struct event **ret)
{
    const char *version = json_string_value(json_object_get(o, "version"));
    const char *id = json_string_value(json_object_get(o, "id"));
    const json_t *bytes = json_object_get(o, "json");
    const struct room_version *v = version ? room_version_find(version) : NULL;
    struct event *event;
    if (!v || !id || !json_is_string(bytes) ||
        event_parse_stored(v, id, log_batches_read_text(a, bytes), &event) != NULL)
        return false;
    *ret = event_keep(a, event);
    return true;
}

static bool read_field(struct arena *a, const struct field *f, const json_t *value,
                       struct change *c)
{
    void *at = (char *)c + f->offset;
    switch (f->type) {
    case FIELD_TEXT:
        if (json_is_string(value))
            *(const char **)at = log_batches_read_text(a, value).p;
        return json_is_string(value);
    case FIELD_JSON:
        if (json_is_string(value))
            *(struct str *)at = log_batches_read_text(a, value);
        return json_is_string(value);
    case FIELD_EVENT:
        return log_batches_read_event(a, value, at);
    case FIELD_INT64:
        *(int64_t *)at = json_integer_value(value);
        break;
    case FIELD_INT:
        *(int *)at = (int)json_integer_value(value);
        break;
    case FIELD_BOOL:
        *(bool *)at = json_integer_value(value);
        break;
    }
    return json_is_integer(value);
}

static void log_batches_read_lists(struct arena *a, const json_t *o, struct change_local *l)
{
    const json_t *audience = json_object_get(o, "audience"),
                 *actions = json_object_get(o, "actions");
    size_t audience_n = json_array_size(audience), actions_n = json_array_size(actions);
    int64_t *rooms = arena_alloc_array(a, audience_n + 1, sizeof *rooms);
    struct push_action *list = arena_alloc_array(a, actions_n + 1, sizeof *list);
    for (size_t i = 0; i < audience_n; i++)
        rooms[i] = json_integer_value(json_array_get(audience, i));
    for (size_t i = 0; i < actions_n; i++) {
        const json_t *one = json_array_get(actions, i);
        list[i].user = json_integer_value(json_array_get(one, 0));
        list[i].notify = (int)json_integer_value(json_array_get(one, 1));
        list[i].highlight = (int)json_integer_value(json_array_get(one, 2));
    }
    l->audience = rooms;
    l->audience_n = audience_n;
    l->actions = list;
    l->actions_n = actions_n;
}

static const struct change_head *read_head_value(struct arena *a, const json_t *list)
{
    const json_t *ids = json_array_get(list, 4);
    size_t n = json_array_size(ids);
    const char **extremities = arena_alloc_array(a, n + 1, sizeof *extremities);
    struct change_head *h = arena_alloc(a, sizeof *h);
    for (size_t i = 0; i < n; i++)
        extremities[i] = log_batches_read_text(a, json_array_get(ids, i)).p;
    *h = (struct change_head){.version = json_integer_value(json_array_get(list, 0)),
                              .depth = json_integer_value(json_array_get(list, 1)),
                              .notify_total = json_integer_value(json_array_get(list, 2)),
                              .highlight_total = json_integer_value(json_array_get(list, 3)),
                              .extremities = extremities,
                              .extremities_n = n};
    return h;
}

/* Has it what its listeners and readers count on? */
static bool change_is_whole(const struct change *c)
{
    switch (c->kind) {
    case CHANGE_EVENT:
        return c->event.event;
    case CHANGE_TO_DEVICE:
    case CHANGE_DEVICE_KEYS:
        return c->device.device_id;
    case CHANGE_ACCOUNT:
        return c->account.user_id || !c->account.is_erasure;
    case CHANGE_TO_SERVER:
        return c->to_server.server;
    default:
        return true;
    }
}

static bool read_change(struct arena *a, const json_t *o, struct change *ret)
{
    const json_t *kind = json_object_get(o, "kind");
    json_int_t number = json_integer_value(kind);
    if (!json_is_integer(kind) || number < 0 || number >= CHANGE_KIND_COUNT)
        return false;
    *ret = (struct change){.kind = (enum change_kind)number};
    for (size_t i = 0; i < FIELDS_N; i++) {
        const json_t *value =
            fields[i].kinds & 1u << number ? json_object_get(o, fields[i].name) : NULL;
        if (value && !read_field(a, &fields[i], value, ret))
            return false;
    }
    log_batches_read_lists(a, o, &ret->local);
    const json_t *head = json_object_get(o, "head");
    ret->local.head = head ? read_head_value(a, head) : NULL;
    ret->local.is_foreign = true;
    return change_is_whole(ret);
}

bool log_batch_decode(struct arena *a, struct str encoded, int64_t first, struct change **ret,
                      size_t *ret_n)
{
    json_t *list = json_loadb(encoded.p, encoded.n, JSON_ALLOW_NUL, NULL);
    size_t n = json_array_size(list);
    struct change *changes = arena_alloc_array(a, n + 1, sizeof *changes);
    bool good = json_is_array(list);
    for (size_t i = 0; i < n && good; i++) {
        good = read_change(a, json_array_get(list, i), &changes[i]);
        changes[i].position = first + (int64_t)i;
    }
    json_decref(list);
    *ret = changes;
    *ret_n = n;
    return good;
}

/* One statement, and so one state of the database. */
SQL(log_batches_look_sql,
    "SELECT h.position, h.epoch, h.members, b.first, b.last, b.node, b.batch, b.changes "
    "FROM log_head h LEFT JOIN (SELECT * FROM log_batches WHERE first > $1 ORDER BY first LIMIT "
    "$2) "
    "b ON true ORDER BY b.first")

const struct err *log_batches_look(struct tx *tx, int64_t after, struct log_look *ret)
{
    struct rows rows;
    size_t n = 0;
    TRY(db_query(tx, &log_batches_look_sql, P(INT(after), INT(BATCHES_MAX)), &rows));
    struct log_batch *list = arena_alloc_array(tx->arena, (size_t)rows.n, sizeof *list);
    *ret = (struct log_look){.list = list};
    while (rows_next(&rows)) {
        ret->position = row_int(&rows, 0);
        ret->epoch = row_int(&rows, 1);
        ret->members = row_int(&rows, 2);
        if (!row_is_null(&rows, 3))
            list[n++] = (struct log_batch){row_int(&rows, 3), row_int(&rows, 4), row_int(&rows, 5),
                                           row_int(&rows, 6), row_bytes(&rows, 7)};
    }
    ret->n = n;
    ret->is_cut = n == BATCHES_MAX;
    return NULL;
}

SQL(log_batches_find_sql, "SELECT last FROM log_batches WHERE node = $1 AND batch = $2")

const struct err *log_batches_find(struct tx *tx, int64_t node, int64_t batch, bool *ret_found,
                                   int64_t *ret_last)
{
    return db_one(tx, &log_batches_find_sql, P(INT(node), INT(batch)), ret_found,
                  R(INT_OUT(ret_last)));
}
