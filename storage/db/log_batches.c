#include "storage/db/log_batches.h"

#include "matrix/json_scan.h"

/* A change is a JSON object of its members that are not zero, first its kind. What is JSON already,
 * as an event is, stands in it with its very bytes. */

enum { BATCHES_MAX = 256 };

enum field_type { FIELD_INT64, FIELD_INT, FIELD_BOOL, FIELD_TEXT, FIELD_JSON, FIELD_EVENT };

/* kinds: bits of those that have it, ~0u for all; name: of the member of the object. */
#define FIELD(type, kinds, name, member)                                                           \
    {                                                                                              \
        name, sizeof(name) - 1, kinds, FIELD_##type, offsetof(struct change, member)               \
    }
#define OF(kind) (1u << CHANGE_##kind)
static const struct field {
    const char *name;
    size_t name_n;
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
    FIELD(TEXT, OF(PRESENCE), "user_id", presence.user_id),
    FIELD(TEXT, OF(PRESENCE), "status_msg", presence.status_msg),
    FIELD(INT64, OF(PRESENCE), "state", presence.state),
    FIELD(INT64, OF(PRESENCE), "last_active", presence.last_active_ts),
    FIELD(INT64, OF(PRESENCE), "until", presence.until_ms),
    FIELD(INT64, OF(PRESENCE), "device_id", presence.device),
    FIELD(INT64, OF(PRESENCE), "device_state", presence.device_state),
    FIELD(BOOL, OF(PRESENCE), "is_ended", presence.is_ended),
    FIELD(TEXT, OF(TYPING), "user_id", typing.user_id),
    FIELD(INT64, OF(TYPING), "until", typing.until_ms),
    FIELD(BOOL, OF(TYPING), "is_repeated", typing.is_repeated),
    FIELD(EVENT, ~0u, "redacted_event", local.redacted_event),
    FIELD(BOOL, ~0u, "resets_room", local.resets_room),
    FIELD(BOOL, ~0u, "has_own_rules", local.has_own_rules),
    FIELD(INT64, ~0u, "rules_as_of", local.rules_as_of),
    FIELD(BOOL, ~0u, "is_asked", local.is_asked),
};
enum { FIELDS_N = sizeof fields / sizeof *fields };

/* ---- writing ---- */

static void log_batches_add_name(struct buf *b, const char *name, size_t name_n)
{
    BUF_LIT(b, ",\"");
    buf_add(b, name, name_n);
    BUF_LIT(b, "\":");
}

static void log_batches_add_event(struct buf *b, const struct event *e)
{
    BUF_LIT(b, "{\"version\":");
    buf_add_json_string(b, str_of(e->version->id));
    BUF_LIT(b, ",\"id\":");
    buf_add_json_string(b, str_of(e->event_id));
    BUF_LIT(b, ",\"json\":");
    buf_add_str(b, e->json);
    buf_add_char(b, '}');
}

static int64_t log_batches_number(const struct field *f, const void *at)
{
    return f->type == FIELD_INT64 ? *(const int64_t *)at
           : f->type == FIELD_INT ? *(const int *)at
                                  : *(const bool *)at;
}

static bool log_batches_is_zero(const struct field *f, const void *at)
{
    switch (f->type) {
    case FIELD_TEXT:
    case FIELD_EVENT:
        return !*(const void *const *)at;
    case FIELD_JSON:
        return !((const struct str *)at)->n;
    default:
        return !log_batches_number(f, at);
    }
}

static void log_batches_add_field(struct buf *b, const struct field *f, const void *at)
{
    if (log_batches_is_zero(f, at))
        return;
    log_batches_add_name(b, f->name, f->name_n);
    if (f->type == FIELD_TEXT)
        buf_add_json_string(b, str_of(*(const char *const *)at));
    else if (f->type == FIELD_JSON)
        buf_add_str(b, *(const struct str *)at);
    else if (f->type == FIELD_EVENT)
        log_batches_add_event(b, *(const struct event *const *)at);
    else
        buf_add_int(b, log_batches_number(f, at));
}

static void log_batches_add_numbers(struct buf *b, const int64_t *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        buf_add_json_comma(b);
        buf_add_int(b, list[i]);
    }
}

static void log_batches_add_lists(struct buf *b, const struct change_local *l)
{
    if (l->audience_n) {
        BUF_LIT(b, ",\"audience\":[");
        log_batches_add_numbers(b, l->audience, l->audience_n);
        buf_add_char(b, ']');
    }
    if (!l->actions_n)
        return;
    BUF_LIT(b, ",\"actions\":[");
    for (size_t i = 0; i < l->actions_n; i++) {
        const struct push_action *one = &l->actions[i];
        buf_add_json_comma(b);
        buf_add_char(b, '[');
        log_batches_add_numbers(b, (int64_t[]){one->user, one->notify, one->highlight}, 3);
        buf_add_char(b, ']');
    }
    buf_add_char(b, ']');
}

static void log_batches_add_head(struct buf *b, const struct change_head *h)
{
    if (!h)
        return;
    BUF_LIT(b, ",\"head\":[");
    log_batches_add_numbers(
        b, (int64_t[]){h->version, h->depth, h->notify_total, h->highlight_total}, 4);
    BUF_LIT(b, ",[");
    for (size_t i = 0; i < h->extremities_n; i++) {
        buf_add_json_comma(b);
        buf_add_json_string(b, str_of(h->extremities[i]));
    }
    BUF_LIT(b, "]]");
}

void log_batch_add(struct buf *b, const struct change *c)
{
    buf_add_char(b, b->n ? ',' : '[');
    BUF_LIT(b, "{\"kind\":");
    buf_add_int(b, c->kind);
    for (size_t i = 0; i < FIELDS_N; i++)
        if (fields[i].kinds & 1u << c->kind)
            log_batches_add_field(b, &fields[i], (const char *)c + fields[i].offset);
    log_batches_add_lists(b, &c->local);
    log_batches_add_head(b, c->local.head);
    buf_add_char(b, '}');
}

void log_batch_end(struct buf *b)
{
    buf_add_text(b, b->n ? "]" : "[]");
}

/* ---- reading ---- */

/* JSON was written as a string before. */
static bool log_batches_read_json(struct arena *a, struct str value, struct str *ret)
{
    bool is_string = value.n && value.p[0] == '"';
    *ret = is_string ? json_scan_str(a, value) : value;
    return ret->n && ret->p[0] == '{' && (!is_string || !json_scan_check(*ret));
}

/* *ret stays as it is if the room's version is not known. */
static bool log_batches_read_event(struct arena *a, struct str value, const struct event **ret)
{
    struct json_member m;
    struct str version = {0}, id = {0}, raw = {0}, other, json;
    for (size_t pos = 0; json_scan_next(value, &pos, &m);)
        *(str_is(m.key, "version") ? &version
          : str_is(m.key, "id")    ? &id
          : str_is(m.key, "json")  ? &raw
                                   : &other) = m.value;
    const char *version_id = json_scan_string(a, version), *event_id = json_scan_string(a, id);
    const struct room_version *v = version_id ? room_version_find(version_id) : NULL;
    struct event *event;
    if (version_id && !v)
        return true;
    if (!v || !event_id || !log_batches_read_json(a, raw, &json) ||
        event_parse_stored(v, event_id, json, &event) != NULL)
        return false;
    *ret = event_keep(a, event);
    return true;
}

static bool log_batches_read_number(const struct field *f, struct str value, void *at)
{
    int64_t n;
    if (!json_scan_int(value, &n))
        return false;
    if (f->type == FIELD_INT64)
        *(int64_t *)at = n;
    else if (f->type == FIELD_INT)
        *(int *)at = (int)n;
    else
        *(bool *)at = n;
    return true;
}

static bool log_batches_read_field(struct arena *a, const struct field *f, struct str value,
                                   void *at)
{
    struct str json;
    switch (f->type) {
    case FIELD_TEXT:
        return (*(const char **)at = json_scan_string(a, value));
    case FIELD_JSON:
        if (!log_batches_read_json(a, value, &json))
            return false;
        *(struct str *)at = (struct str){arena_memdup(a, json.p, json.n), json.n};
        return true;
    case FIELD_EVENT:
        return log_batches_read_event(a, value, at);
    default:
        return log_batches_read_number(f, value, at);
    }
}

static size_t log_batches_count(struct str list)
{
    struct json_member m;
    size_t n = 0;
    for (size_t pos = 0; json_scan_next(list, &pos, &m);)
        n++;
    return n;
}

/* As many of the first elements as are numbers, up to max. */
static size_t log_batches_read_numbers(struct str list, size_t max, int64_t *ret)
{
    struct json_member m;
    size_t n = 0;
    for (size_t pos = 0;
         n < max && json_scan_next(list, &pos, &m) && json_scan_int(m.value, &ret[n]);)
        n++;
    return n;
}

static bool log_batches_read_audience(struct arena *a, struct str list, struct change_local *l)
{
    size_t n = log_batches_count(list);
    int64_t *rooms = arena_alloc_array(a, n, sizeof *rooms);
    l->audience = rooms;
    l->audience_n = n;
    return log_batches_read_numbers(list, n, rooms) == n;
}

static bool log_batches_read_actions(struct arena *a, struct str list, struct change_local *l)
{
    size_t n = log_batches_count(list), pos = 0;
    struct push_action *actions = arena_alloc_array(a, n, sizeof *actions);
    struct json_member m;
    for (size_t i = 0; json_scan_next(list, &pos, &m); i++) {
        int64_t one[3];
        if (log_batches_read_numbers(m.value, 3, one) != 3)
            return false;
        actions[i] = (struct push_action){one[0], (int)one[1], (int)one[2]};
    }
    l->actions = actions;
    l->actions_n = n;
    return true;
}

static bool log_batches_read_ids(struct arena *a, struct str list, struct change_head *h)
{
    struct json_member m;
    size_t pos = 0;
    const char **ids = arena_alloc_array(a, log_batches_count(list), sizeof *ids);
    for (; json_scan_next(list, &pos, &m); h->extremities_n++)
        if (!(ids[h->extremities_n] = json_scan_string(a, m.value)))
            return false;
    h->extremities = ids;
    return true;
}

static bool log_batches_read_head(struct arena *a, struct str list, struct change_local *l)
{
    int64_t n[4];
    struct json_member last;
    struct change_head *h = arena_alloc(a, sizeof *h);
    if (log_batches_read_numbers(list, 4, n) != 4)
        return false;
    *h = (struct change_head){
        .version = n[0], .depth = n[1], .notify_total = n[2], .highlight_total = n[3]};
    l->head = h;
    for (size_t pos = 0, i = 0; json_scan_next(list, &pos, &last); i++)
        if (i == 4)
            return log_batches_read_ids(a, last.value, h);
    return false;
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
    case CHANGE_PRESENCE:
        return c->presence.user_id;
    case CHANGE_TYPING:
        return c->typing.user_id;
    default:
        return true;
    }
}

static bool log_batches_read_kind(struct str value, enum change_kind *ret)
{
    int64_t number;
    if (!json_scan_int(value, &number) || number < 0)
        return false;
    *ret = number < CHANGE_KIND_COUNT ? (enum change_kind)number : CHANGE_UNKNOWN;
    return true;
}

/* Members are written in the order of the table, so the next one is looked for from `from` on; NULL
 * for one of another kind or version. */
static const struct field *log_batches_find_field(enum change_kind kind, struct str name,
                                                  size_t from)
{
    for (size_t i = 0; i < FIELDS_N; i++) {
        const struct field *f = &fields[(from + i) % FIELDS_N];
        if (f->name_n == name.n && f->kinds & 1u << kind && memcmp(f->name, name.p, name.n) == 0)
            return f;
    }
    return NULL;
}

static bool log_batches_read_member(struct arena *a, const struct json_member *m, size_t *from,
                                    struct change *ret)
{
    if (str_is(m->key, "head"))
        return log_batches_read_head(a, m->value, &ret->local);
    if (str_is(m->key, "audience"))
        return log_batches_read_audience(a, m->value, &ret->local);
    if (str_is(m->key, "actions"))
        return log_batches_read_actions(a, m->value, &ret->local);
    const struct field *f = log_batches_find_field(ret->kind, m->key, *from);
    if (!f)
        return true;
    *from = (size_t)(f - fields) + 1;
    void *at = (char *)ret + f->offset;
    if (!log_batches_read_field(a, f, m->value, at))
        return false;
    if (f->type == FIELD_EVENT && log_batches_is_zero(f, at)) /* of a newer room version */
        ret->kind = CHANGE_UNKNOWN;
    return true;
}

static bool log_batches_read_change(struct arena *a, struct str object, struct change *ret)
{
    struct json_member m;
    size_t pos = 0, from = 0;
    if (!json_scan_next(object, &pos, &m) || !str_is(m.key, "kind") ||
        !log_batches_read_kind(m.value, &ret->kind))
        return false;
    while (json_scan_next(object, &pos, &m))
        if (!log_batches_read_member(a, &m, &from, ret))
            return false;
    if (ret->kind == CHANGE_UNKNOWN)
        ret->local.redacted_event = NULL; /* only events have one */
    ret->local.is_foreign = true;
    return change_is_whole(ret);
}

bool log_batch_decode(struct arena *a, struct str encoded, int64_t first, struct change *ret,
                      size_t n)
{
    struct json_member m;
    size_t done = 0;
    if (!encoded.n || encoded.p[0] != '[')
        return false;
    for (size_t pos = 0; json_scan_next(encoded, &pos, &m); done++) {
        if (done == n)
            return false;
        ret[done] = (struct change){.position = first + (int64_t)done};
        if (!log_batches_read_change(a, m.value, &ret[done]))
            return false;
    }
    return done == n;
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
