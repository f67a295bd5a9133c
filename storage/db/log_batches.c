#include "storage/db/log_batches.h"

#include <jansson.h>

/* A change is a JSON object of its members that are not zero; an event is stored as its JSON. */

enum { CHANGES_MAX = 20000 };

enum field_type { FIELD_INT64, FIELD_INT, FIELD_BOOL, FIELD_TEXT, FIELD_EVENT };

#define FIELD(type, name)                                                                          \
    {                                                                                              \
#name, FIELD_##type, offsetof(struct change, name)                                         \
    }
static const struct field {
    const char *name;
    enum field_type type;
    size_t offset;
} fields[] = {
    FIELD(INT64, room),
    FIELD(INT64, user),
    FIELD(TEXT, user_id),
    FIELD(TEXT, device),
    FIELD(EVENT, event),
    FIELD(TEXT, client_txn),
    FIELD(INT64, client_device),
    FIELD(BOOL, private_to_user),
    FIELD(INT64, thread),
    FIELD(INT64, notify_total),
    FIELD(INT64, highlight_total),
    FIELD(INT, notify),
    FIELD(INT, highlight),
    FIELD(INT64, redacts_position),
    FIELD(EVENT, redacted_event),
    FIELD(INT64, redacted_by),
    FIELD(INT64, parent),
    FIELD(BOOL, has_children),
    FIELD(BOOL, is_push_rules),
    FIELD(BOOL, is_lost),
    FIELD(BOOL, follows_gap),
    FIELD(BOOL, is_end),
    FIELD(BOOL, resets_room),
    FIELD(BOOL, is_relayed),
    FIELD(INT64, state_event),
    FIELD(BOOL, is_asked),
    FIELD(BOOL, has_own_rules),
    FIELD(BOOL, is_withheld),
    FIELD(BOOL, is_erasure),
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

static void add_lists(json_t *o, const struct change *c)
{
    json_t *audience = json_array(), *actions = json_array();
    for (size_t i = 0; i < c->audience_n; i++)
        json_array_append_new(audience, json_integer(c->audience[i]));
    for (size_t i = 0; i < c->actions_n; i++)
        json_array_append_new(actions, json_pack("[I, i, i]", (json_int_t)c->actions[i].user,
                                                 c->actions[i].notify, c->actions[i].highlight));
    if (c->audience_n)
        json_object_set(o, "audience", audience);
    if (c->actions_n)
        json_object_set(o, "actions", actions);
    json_decref(audience);
    json_decref(actions);
}

void log_batch_add(struct buf *b, const struct change *c)
{
    json_t *o = json_pack("{s:i}", "kind", (int)c->kind);
    for (size_t i = 0; i < FIELDS_N; i++) {
        json_t *value = field_value(&fields[i], c);
        if (value)
            json_object_set_new(o, fields[i].name, value);
    }
    if (c->json.p)
        json_object_set_new(o, "json", text_value(c->json));
    add_lists(o, c);
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

static void log_batches_read_lists(struct arena *a, const json_t *o, struct change *c)
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
    c->audience = rooms;
    c->audience_n = audience_n;
    c->actions = list;
    c->actions_n = actions_n;
}

static bool read_change(struct arena *a, const json_t *o, struct change *ret)
{
    const json_t *kind = json_object_get(o, "kind"), *json = json_object_get(o, "json");
    json_int_t number = json_integer_value(kind);
    if (!json_is_integer(kind) || number < 0 || number >= CHANGE_KIND_COUNT)
        return false;
    *ret = (struct change){.kind = (enum change_kind)number};
    for (size_t i = 0; i < FIELDS_N; i++) {
        const json_t *value = json_object_get(o, fields[i].name);
        if (value && !read_field(a, &fields[i], value, ret))
            return false;
    }
    if (json_is_string(json))
        ret->json = log_batches_read_text(a, json);
    log_batches_read_lists(a, o, ret);
    /* Another process wrote this: what is cached of the room, above all its head, is stale. */
    ret->resets_room |= ret->kind == CHANGE_EVENT || ret->kind == CHANGE_STATE;
    return ret->kind != CHANGE_EVENT || ret->event;
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

SQL(log_batches_read_sql, "SELECT first, last, changes FROM log_batches "
                          "WHERE first > $1 AND last <= $2 ORDER BY first")

const struct err *log_batches_read(struct tx *tx, int64_t after, int64_t until,
                                   const struct change **ret, size_t *ret_n, bool *ret_covers)
{
    *ret_covers = false;
    *ret = NULL;
    *ret_n = 0;
    if (until - after > CHANGES_MAX || until <= after)
        return NULL;
    struct rows rows;
    struct change *all = arena_alloc_array(tx->arena, (size_t)(until - after), sizeof *all);
    size_t filled = 0;
    int64_t at = after;
    TRY(db_query(tx, &log_batches_read_sql, P(INT(after), INT(until)), &rows));
    while (rows_next(&rows)) {
        struct change *part;
        size_t n;
        int64_t first = row_int(&rows, 0), last = row_int(&rows, 1);
        if (first != at + 1 ||
            !log_batch_decode(tx->arena, row_bytes(&rows, 2), first, &part, &n) ||
            (int64_t)n != last - first + 1)
            return NULL;
        memcpy(all + filled, part, n * sizeof *part);
        filled += n;
        at = last;
    }
    *ret = all;
    *ret_n = filled;
    *ret_covers = at == until;
    return NULL;
}
