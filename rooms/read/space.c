#include "rooms/read/space.h"

#include "matrix/id.h"

enum { ORDER_MAX = 50, CHILD_BYTES_MAX = 65536 };

/* ---- a child ---- */

/* "order": at most 50 characters from space to tilde. */
static const char *valid_order(const json_t *content)
{
    const char *order = json_text(content, "order");
    size_t n = order ? strlen(order) : 0;
    if (!n || n > ORDER_MAX)
        return NULL;
    for (size_t i = 0; i < n; i++)
        if (order[i] < 0x20 || order[i] > 0x7e)
            return NULL;
    return order;
}

static void space_read_via(const json_t *via, struct space_child *child)
{
    for (size_t i = 0; i < json_array_size(via) && child->via_n < SPACE_VIA_MAX; i++) {
        const json_t *item = json_array_get(via, i);
        struct str name = {json_string_value(item), json_string_length(item)};
        if (name.p && id_is_server_name(name))
            child->via[child->via_n++] = name.p;
    }
}

/* False: not a valid child. */
static bool read_child(const char *room_id, const json_t *content, int64_t ts, bool suggested_only,
                       struct space_child *ret)
{
    const json_t *via = json_object_get(content, "via");
    if (!room_id || !id_is_room(str_of(room_id)) || json_array_size(via) == 0)
        return false;
    if (suggested_only && !json_is_true(json_object_get(content, "suggested")))
        return false;
    *ret = (struct space_child){.room_id = room_id, .order = valid_order(content), .ts = ts};
    space_read_via(via, ret);
    return true;
}

static int space_compare(const void *a, const void *b)
{
    const struct space_child *x = a, *y = b;
    if (!x->order != !y->order)
        return x->order ? -1 : 1;
    int by_order = x->order ? strcmp(x->order, y->order) : 0;
    if (by_order)
        return by_order;
    if (x->ts != y->ts)
        return x->ts < y->ts ? -1 : 1;
    return strcmp(x->room_id, y->room_id);
}

static struct str space_keep(struct arena *a, const struct buf *b)
{
    return (struct str){arena_memdup(a, b->p, b->n), b->n};
}

/* ---- ours ---- */

const struct err *space_children(struct job *job, struct room *room, const struct room_summary *s,
                                 bool suggested_only, const struct space_child **ret, size_t *ret_n)
{
    const struct event *const *state;
    size_t state_n = 0, n = 0;
    if (s->room_type && strcmp(s->room_type, "m.space") == 0)
        room_state_without_members(job, room, &state, &state_n);
    struct space_child *children = arena_alloc_array(job->arena, state_n + 1, sizeof *children);
    for (size_t i = 0; i < state_n; i++) {
        const struct event *e = state[i];
        if (strcmp(e->type, "m.space.child") == 0 &&
            read_child(e->state_key, event_content(e), e->origin_server_ts, suggested_only,
                       &children[n]))
            children[n++].event = e;
    }
    qsort(children, n, sizeof *children, space_compare);
    *ret = children;
    *ret_n = n;
    return NULL;
}

/* ---- from another server ---- */

static bool space_write_child(struct arena *a, const json_t *event, struct str *ret)
{
    static const char *const keys[] = {"type", "state_key", "content", "sender",
                                       "origin_server_ts"};
    json_auto_t *o = json_object();
    buf_auto struct buf out = {0};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        json_object_set(o, keys[i], json_object_get(event, keys[i]));
    buf_add_json(&out, o);
    *ret = space_keep(a, &out);
    return out.n <= CHILD_BYTES_MAX;
}

static bool space_read_received(struct arena *a, const json_t *event, bool suggested_only,
                                struct space_child *ret)
{
    const char *type = json_text(event, "type"), *sender = json_text(event, "sender");
    const json_t *ts = json_object_get(event, "origin_server_ts");
    return type && strcmp(type, "m.space.child") == 0 && sender && id_is_user(str_of(sender)) &&
           json_is_integer(ts) &&
           read_child(json_text(event, "state_key"), json_object_get(event, "content"),
                      json_integer_value(ts), suggested_only, ret) &&
           space_write_child(a, event, &ret->shown);
}

void space_children_of_answer(struct job *job, const json_t *children_state, bool suggested_only,
                              const struct space_child **ret, size_t *ret_n)
{
    size_t max = json_array_size(children_state), n = 0;
    max = max < SPACE_CHILDREN_MAX ? max : SPACE_CHILDREN_MAX;
    struct space_child *children = arena_alloc_array(job->arena, max + 1, sizeof *children);
    for (size_t i = 0; i < max; i++)
        if (space_read_received(job->arena, json_array_get(children_state, i), suggested_only,
                                &children[n]))
            n++;
    qsort(children, n, sizeof *children, space_compare);
    *ret = children;
    *ret_n = n;
}

/* ---- writing ---- */

void space_write_room(struct buf *out, const json_t *summary, const struct space_child *children,
                      size_t n)
{
    buf_add_json(out, summary);
    buf_truncate(out, out->n - 1);
    BUF_LIT(out, ",\"children_state\":[");
    for (size_t i = 0; i < n; i++) {
        buf_add_text(out, i ? "," : "");
        if (children[i].event)
            event_add_stripped(out, children[i].event);
        else
            buf_add_str(out, children[i].shown);
    }
    BUF_LIT(out, "]}");
}
