#include "server/sliding/request.h"

#include "base/map.h"
#include "base/text.h"
#include "matrix/id.h"

enum { ITEMS_MAX = 1000 };

struct request_parsing {
    struct arena *arena;
    bool is_accepted;
};

/* ---- filters ---- */

static const struct err *request_read_items(struct arena *a, const json_t *o, const char *key,
                                            bool with_null, struct filter_list *ret)
{
    const json_t *array, *item;
    size_t i;
    TRY(json_want_array(o, key, &array));
    if (!array)
        return NULL;
    if (json_array_size(array) > ITEMS_MAX)
        return err(ERR_INVALID_PARAM, "\"%s\" may have %d entries", key, ITEMS_MAX);
    const char **items = arena_alloc_array(a, json_array_size(array) + 1, sizeof *items);
    json_array_foreach (array, i, item) {
        items[i] = arena_strdup(a, json_string_text(item));
        if (!items[i] && !(with_null && json_is_null(item)))
            return err(ERR_BAD_JSON, "\"%s\" must be an array of strings", key);
    }
    *ret = (struct filter_list){items, json_array_size(array), true};
    return NULL;
}

static const struct err *request_read_choice(const json_t *o, const char *key, int *ret)
{
    bool value;
    TRY(json_want_bool(o, key, false, &value));
    if (json_is_boolean(json_object_get(o, key)))
        *ret = value;
    return NULL;
}

static const struct err *request_read_filters(const struct request_parsing *p, const json_t *list,
                                              struct sliding_filters *ret)
{
    struct sliding_filters f = {.is_dm = -1, .is_encrypted = -1, .is_invited = -1};
    const json_t *o;
    const char *like;
    TRY(json_want_object(list, "filters", &o));
    TRY(request_read_choice(o, "is_dm", &f.is_dm));
    TRY(request_read_choice(o, "is_encrypted", &f.is_encrypted));
    TRY(request_read_choice(o, p->is_accepted ? "is_invited" : "is_invite", &f.is_invited));
    TRY(request_read_items(p->arena, o, "spaces", false, &f.spaces));
    TRY(request_read_items(p->arena, o, "room_types", true, &f.room_types));
    TRY(request_read_items(p->arena, o, "not_room_types", true, &f.not_room_types));
    TRY(request_read_items(p->arena, o, "tags", false, &f.tags));
    TRY(request_read_items(p->arena, o, "not_tags", false, &f.not_tags));
    TRY(json_want_string(o, "room_name_like", NULL, &like));
    f.name_like = arena_strdup(p->arena, text_fold_string(p->arena, like)); /* it may borrow */
    f.text = str_of(o ? json_write(p->arena, o) : "");
    *ret = f;
    return NULL;
}

/* ---- lists and subscriptions ---- */

static const struct err *request_read_config(const struct request_parsing *p, const json_t *o,
                                             struct sliding_config *ret)
{
    struct sliding_config c;
    const json_t *required;
    TRY(json_need_int(o, "timeline_limit", &c.timeline_limit));
    if (c.timeline_limit < 0)
        return err(ERR_INVALID_PARAM, "timeline_limit must not be negative");
    if (c.timeline_limit > SLIDING_TIMELINE_MAX)
        c.timeline_limit = SLIDING_TIMELINE_MAX;
    if (p->is_accepted) {
        TRY(json_want_object(o, "required_state", &required));
        TRY(required_parse_object(p->arena, required, &c.required));
    } else {
        TRY(json_want_array(o, "required_state", &required));
        TRY(required_parse_pairs(p->arena, required, &c.required));
    }
    *ret = c;
    return NULL;
}

static const struct err *request_read_range(const json_t *pair, struct sliding_range *ret)
{
    const json_t *first = json_array_get(pair, 0), *last = json_array_get(pair, 1);
    if (json_array_size(pair) != 2 || !json_is_integer(first) || !json_is_integer(last))
        return err(ERR_BAD_JSON, "A range must be a pair of integers");
    *ret = (struct sliding_range){json_integer_value(first), json_integer_value(last)};
    if (ret->first < 0 || ret->last < ret->first)
        return err(ERR_INVALID_PARAM, "A range must not be negative, nor end before it begins");
    return NULL;
}

static const struct err *request_read_ranges(const struct request_parsing *p, const json_t *o,
                                             struct sliding_list *list)
{
    const json_t *array, *pair;
    size_t i, n;
    TRY(json_want_array(o, p->is_accepted ? "range" : "ranges", &array));
    list->is_whole = !array;
    if (!array)
        return NULL;
    n = p->is_accepted ? 1 : json_array_size(array);
    if (n > SLIDING_RANGES_MAX)
        return err(ERR_INVALID_PARAM, "A list may have %d ranges", SLIDING_RANGES_MAX);
    struct sliding_range *ranges = arena_alloc_array(p->arena, n + 1, sizeof *ranges);
    if (p->is_accepted)
        TRY(request_read_range(array, &ranges[0]));
    else
        json_array_foreach (array, i, pair)
            TRY(request_read_range(pair, &ranges[i]));
    list->ranges = ranges;
    list->ranges_n = n;
    return NULL;
}

static const struct err *request_read_list(const struct request_parsing *p, const char *name,
                                           const json_t *o, struct sliding_list *ret)
{
    struct sliding_list list = {.name = arena_strdup(p->arena, name)};
    if (strlen(name) > SLIDING_LIST_NAME_MAX)
        return err(ERR_INVALID_PARAM, "The name of a list may have %d bytes",
                   SLIDING_LIST_NAME_MAX);
    if (!json_is_object(o))
        return err(ERR_BAD_JSON, "A list must be an object");
    TRY(request_read_ranges(p, o, &list));
    TRY(request_read_filters(p, o, &list.filters));
    TRY(request_read_config(p, o, &list.config));
    *ret = list;
    return NULL;
}

static const struct err *request_read_lists(const struct request_parsing *p, const json_t *body,
                                            struct sliding_request *r)
{
    const json_t *lists, *value;
    const char *name;
    size_t n = 0;
    TRY(json_want_object(body, "lists", &lists));
    if (json_object_size(lists) > SLIDING_LISTS_MAX)
        return err(ERR_INVALID_PARAM, "There may be %d lists", SLIDING_LISTS_MAX);
    struct sliding_list *list =
        arena_alloc_array(p->arena, json_object_size(lists) + 1, sizeof *list);
    json_object_foreach ((json_t *)lists, name, value)
        TRY(request_read_list(p, name, value, &list[n++]));
    r->begins_at_top = true;
    for (size_t i = 0; i < n; i++)
        r->begins_at_top &= list[i].is_whole || (list[i].ranges_n == 1 && !list[i].ranges[0].first);
    r->lists = list;
    r->lists_n = n;
    return NULL;
}

static const struct err *request_read_subscriptions(const struct request_parsing *p,
                                                    const json_t *body, struct sliding_request *r)
{
    const json_t *rooms, *value;
    const char *room_id;
    size_t n = 0;
    size_t max = p->is_accepted ? SLIDING_SUBSCRIPTIONS_MAX : SLIDING_SUBSCRIPTIONS_OLD_MAX;
    TRY(json_want_object(body, "room_subscriptions", &rooms));
    if (json_object_size(rooms) > max)
        return err(ERR_INVALID_PARAM, "There may be %zu room subscriptions", max);
    struct sliding_subscription *list =
        arena_alloc_array(p->arena, json_object_size(rooms) + 1, sizeof *list);
    json_object_foreach ((json_t *)rooms, room_id, value) {
        if (!id_is_room(str_of(room_id)))
            return err(ERR_INVALID_PARAM, "A room subscription is not for a room id");
        if (!json_is_object(value))
            return err(ERR_BAD_JSON, "A room subscription must be an object");
        list[n].room_id = arena_strdup(p->arena, room_id);
        TRY(request_read_config(p, value, &list[n++].config));
    }
    r->subscriptions = list;
    r->subscriptions_n = n;
    return NULL;
}

/* ---- extensions ---- */

static const struct err *request_read_extension(const struct request_parsing *p,
                                                const json_t *extensions, const char *name,
                                                struct sliding_extension *ret)
{
    struct sliding_extension x = {0};
    const json_t *o;
    const char *since;
    TRY(json_want_object(extensions, name, &o));
    TRY(json_want_bool(o, "enabled", false, &x.enabled));
    TRY(request_read_items(p->arena, o, "lists", false, &x.lists));
    TRY(request_read_items(p->arena, o, "rooms", false, &x.rooms));
    TRY(json_want_int(o, "limit", 0, &x.limit));
    TRY(json_want_string(o, "since", NULL, &since));
    TRY(json_want_bool(o, "include_roots", false, &x.include_roots));
    x.since = arena_strdup(p->arena, since);
    *ret = x;
    return NULL;
}

static const struct err *request_read_extensions(const struct request_parsing *p,
                                                 const json_t *body, struct sliding_request *r)
{
    const json_t *o;
    TRY(json_want_object(body, "extensions", &o));
    TRY(request_read_extension(p, o, "to_device", &r->to_device));
    TRY(request_read_extension(p, o, "e2ee", &r->e2ee));
    TRY(request_read_extension(p, o, "account_data", &r->account_data));
    TRY(request_read_extension(p, o, "receipts", &r->receipts));
    TRY(request_read_extension(p, o, "typing", &r->typing));
    return request_read_extension(p, o, "io.element.msc4360.threads", &r->threads);
}

static uint64_t request_hash_rules(struct arena *a, const json_t *body)
{
    const char *lists = json_write(a, json_object_get(body, "lists"));
    const char *rooms = json_write(a, json_object_get(body, "room_subscriptions"));
    char *both = arena_printf(a, "%s|%s", lists ? lists : "", rooms ? rooms : "");
    return hash_bytes(both, strlen(both));
}

const struct err *sliding_request_parse(struct arena *a, const json_t *body, bool is_accepted,
                                        struct sliding_request *ret)
{
    const struct request_parsing p = {a, is_accepted};
    struct sliding_request r = {.is_accepted = is_accepted};
    if (!json_is_object(body))
        return err(ERR_BAD_JSON, "The body must be a JSON object");
    TRY(json_want_string(body, "conn_id", "", &r.conn_id));
    if (strlen(r.conn_id) > SLIDING_CONN_ID_MAX)
        return err(ERR_INVALID_PARAM, "conn_id may have %d bytes", SLIDING_CONN_ID_MAX);
    r.conn_id = arena_strdup(a, r.conn_id);
    if (is_accepted) {
        TRY(json_want_string(body, "pos", NULL, &r.pos));
        TRY(json_want_string(body, "set_presence", NULL, &r.set_presence));
        TRY(json_want_int(body, "timeout", 0, &r.timeout));
        if (r.timeout < 0)
            return err(ERR_INVALID_PARAM, "timeout must not be negative");
        r.pos = arena_strdup(a, r.pos);
        r.set_presence = arena_strdup(a, r.set_presence);
    }
    TRY(request_read_lists(&p, body, &r));
    TRY(request_read_subscriptions(&p, body, &r));
    TRY(request_read_extensions(&p, body, &r));
    r.rules_hash = request_hash_rules(a, body);
    *ret = r;
    return NULL;
}
