#include "matrix/filter.h"

#include "matrix/dotted_path.h"
#include "matrix/glob.h"
#include "matrix/id.h"

#include <stddef.h>

static bool is_user(const char *text)
{
    return id_is_user(str_of(text));
}

static bool is_room(const char *text)
{
    return id_is_room(str_of(text));
}

static const struct err *filter_read_list(struct arena *a, const json_t *o, const char *key,
                                          bool (*is_valid)(const char *text),
                                          struct filter_list *ret)
{
    const json_t *item, *array;
    TRY(json_want_array(o, key, &array));
    if (!array)
        return NULL;
    size_t i, n = json_array_size(array);
    if (n > FILTER_LIST_MAX)
        return err(ERR_INVALID_PARAM, "\"%s\" may have %d entries", key, FILTER_LIST_MAX);
    const char **items = arena_alloc_array(a, n, sizeof *items);
    json_array_foreach (array, i, item) {
        if (!json_is_string(item) || strlen(json_string_value(item)) != json_string_length(item))
            return err(ERR_BAD_JSON, "\"%s\" must be an array of strings", key);
        items[i] = arena_strdup(a, json_string_value(item));
        if (is_valid && !is_valid(items[i]))
            return err(ERR_INVALID_PARAM, "\"%s\" has an entry that is not an id", key);
    }
    *ret = (struct filter_list){items, n, true};
    return NULL;
}

/* The place of a list, and the spellings of its name. */
struct list_member {
    const char *key;
    size_t offset;
    bool (*is_valid)(const char *text);
};
#define LIST(key, member, check)                                                                   \
    {                                                                                              \
        key, offsetof(struct event_filter, member), check                                          \
    }

static const struct list_member event_lists[] = {
    LIST("types", types, NULL),
    LIST("not_types", not_types, NULL),
    LIST("senders", senders, is_user),
    LIST("not_senders", not_senders, is_user),
};

static const struct list_member room_event_lists[] = {
    LIST("rooms", rooms, is_room),
    LIST("not_rooms", not_rooms, is_room),
    LIST("io.element.relation_senders", related_by_senders, is_user),
    LIST("related_by_senders", related_by_senders, is_user),
    LIST("io.element.relation_types", related_by_rel_types, NULL),
    LIST("related_by_rel_types", related_by_rel_types, NULL),
    LIST("org.matrix.msc3874.rel_types", rel_types, NULL),
    LIST("org.matrix.msc3874.not_rel_types", not_rel_types, NULL),
};

static const struct err *filter_read_lists(struct arena *a, const json_t *o,
                                           const struct list_member *m, size_t n,
                                           struct event_filter *f)
{
    for (size_t i = 0; i < n; i++)
        TRY(filter_read_list(a, o, m[i].key, m[i].is_valid,
                             (struct filter_list *)((char *)f + m[i].offset)));
    return NULL;
}

static const struct err *check_globs(const struct filter_list *types)
{
    size_t globs = 0;
    for (size_t i = 0; i < types->n; i++)
        globs += strchr(types->items[i], '*') != NULL;
    if (globs > FILTER_GLOBS_MAX)
        return err(ERR_INVALID_PARAM, "A list of types may have %d entries with a `*`",
                   FILTER_GLOBS_MAX);
    return NULL;
}

/* Some clients write their limits as 10.0. */
static const struct err *read_limit(const json_t *o, struct event_filter *f)
{
    const json_t *limit = json_object_get(o, "limit");
    if (!limit || json_is_null(limit))
        return NULL;
    double number = json_number_value(limit);
    if (!json_is_number(limit))
        return err(ERR_BAD_JSON, "\"limit\" must be an integer");
    if (number < 0)
        return err(ERR_INVALID_PARAM, "\"limit\" must not be negative");
    f->limit = number < INT32_MAX ? (int64_t)number : INT32_MAX;
    f->limit_given = true;
    return NULL;
}

static void find_out_whether_everything_matches(struct event_filter *f)
{
    const struct filter_list *lists[] = {
        &f->types,
        &f->not_types,
        &f->senders,
        &f->not_senders,
        &f->rooms,
        &f->not_rooms,
        &f->related_by_senders,
        &f->related_by_rel_types,
        &f->rel_types,
        &f->not_rel_types,
    };
    f->matches_everything = f->contains_url < 0;
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        if (lists[i]->present)
            f->matches_everything = false;
}

static const struct event_filter match_all = {.contains_url = -1, .matches_everything = true};

static const struct err *check_object(const json_t *o, const char *name)
{
    return !o || json_is_object(o) ? NULL : err(ERR_BAD_JSON, "%s must be an object", name);
}

static const struct err *read_event_filter(struct arena *a, const json_t *o,
                                           struct event_filter *ret)
{
    *ret = match_all;
    TRY(read_limit(o, ret));
    TRY(filter_read_lists(a, o, event_lists, sizeof event_lists / sizeof *event_lists, ret));
    TRY(check_globs(&ret->types));
    TRY(check_globs(&ret->not_types));
    find_out_whether_everything_matches(ret);
    return NULL;
}

static const struct err *read_room_event_filter(struct arena *a, const json_t *o,
                                                struct event_filter *ret)
{
    bool contains_url;
    TRY(read_event_filter(a, o, ret));
    TRY(filter_read_lists(a, o, room_event_lists,
                          sizeof room_event_lists / sizeof *room_event_lists, ret));
    TRY(json_want_bool(o, "contains_url", false, &contains_url));
    if (json_is_boolean(json_object_get(o, "contains_url")))
        ret->contains_url = contains_url;
    TRY(json_want_bool(o, "lazy_load_members", false, &ret->lazy_load_members));
    TRY(json_want_bool(o, "include_redundant_members", false, &ret->include_redundant_members));
    TRY(json_want_bool(o, "org.matrix.msc3773.unread_thread_notifications", false,
                       &ret->unread_thread_notifications));
    TRY(json_want_bool(o, "unread_thread_notifications", ret->unread_thread_notifications,
                       &ret->unread_thread_notifications));
    find_out_whether_everything_matches(ret);
    return NULL;
}

const struct err *filter_parse_event(struct arena *a, const json_t *json, struct event_filter *ret)
{
    struct event_filter f;
    TRY(check_object(json, "A filter"));
    TRY(read_room_event_filter(a, json, &f));
    *ret = f;
    return NULL;
}

static const struct err *read_room_filter(struct arena *a, const json_t *room, struct filter *f)
{
    const struct {
        const char *key;
        struct event_filter *filter;
    } parts[] = {
        {"timeline", &f->timeline},
        {"state", &f->state},
        {"ephemeral", &f->ephemeral},
        {"account_data", &f->room_account_data},
    };
    TRY(filter_read_list(a, room, "rooms", is_room, &f->rooms));
    TRY(filter_read_list(a, room, "not_rooms", is_room, &f->not_rooms));
    TRY(json_want_bool(room, "include_leave", false, &f->include_leave));
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        const json_t *part;
        TRY(json_want_object(room, parts[i].key, &part));
        TRY(read_room_event_filter(a, part, parts[i].filter));
    }
    return NULL;
}

static const struct err *read_event_format(const json_t *o, bool *ret_federation)
{
    const char *format;
    TRY(json_want_string(o, "event_format", "client", &format));
    *ret_federation = strcmp(format, "federation") == 0;
    if (!*ret_federation && strcmp(format, "client") != 0)
        return err(ERR_INVALID_PARAM, "\"event_format\" must be \"client\" or \"federation\"");
    return NULL;
}

const struct err *filter_parse(struct arena *a, const json_t *json, struct filter *ret)
{
    struct filter f = {0};
    const json_t *presence, *account_data, *room;
    TRY(check_object(json, "A filter"));
    TRY(json_want_object(json, "presence", &presence));
    TRY(json_want_object(json, "account_data", &account_data));
    TRY(json_want_object(json, "room", &room));
    TRY(read_event_filter(a, presence, &f.presence));
    TRY(read_event_filter(a, account_data, &f.account_data));
    TRY(read_room_filter(a, room, &f));
    TRY(read_event_format(json, &f.format_federation));
    TRY(filter_read_list(a, json, "event_fields", NULL, &f.event_fields));
    *ret = f;
    return NULL;
}

static bool filter_same_text(const char *pattern, const char *text)
{
    return strcmp(pattern, text) == 0;
}

static bool type_matches(const char *pattern, const char *type)
{
    return glob_matches(str_of(pattern), str_of(type), GLOB_CASE | GLOB_STAR_ONLY);
}

static bool filter_is_in(const struct filter_list *l, const char *text,
                         bool (*matches)(const char *entry, const char *text))
{
    for (size_t i = 0; text && i < l->n; i++)
        if (matches(l->items[i], text))
            return true;
    return false;
}

/* Exclusion wins over inclusion; a list that is present but empty includes nothing. */
static bool passes(const struct filter_list *only, const struct filter_list * not, const char *text,
                   bool (*matches)(const char *entry, const char *text))
{
    return !filter_is_in(not, text, matches) &&
           (!only->present || filter_is_in(only, text, matches));
}

bool filter_wants_type(const struct event_filter *f, const char *type)
{
    return passes(&f->types, &f->not_types, type, type_matches);
}

bool filter_matches(const struct event_filter *f, const struct filter_subject *s)
{
    if (f->matches_everything)
        return true;
    return filter_wants_type(f, s->type) &&
           passes(&f->senders, &f->not_senders, s->sender, filter_same_text) &&
           passes(&f->rooms, &f->not_rooms, s->room_id, filter_same_text) &&
           passes(&f->rel_types, &f->not_rel_types, s->rel_type, filter_same_text) &&
           (f->contains_url < 0 || s->has_url == (f->contains_url == 1));
}

bool filter_wants_room(const struct filter *f, const char *room_id)
{
    return passes(&f->rooms, &f->not_rooms, room_id, filter_same_text);
}

/* Copies the property at a path, with the objects above it. Objects of the event itself are shared,
 * never changed: if the copy already has one completely, the path adds nothing. */
static void copy_field(const json_t *from, struct str path, json_t *to)
{
    if (!dotted_path_get(from, path))
        return;
    char buffer[DOTTED_NAME_MAX];
    struct str name;
    while (dotted_path_next(&path, buffer, &name)) {
        json_t *value = json_object_getn(from, name.p, name.n);
        json_t *copy = json_object_getn(to, name.p, name.n);
        if (copy == value)
            return;
        if (!path.p) {
            json_object_setn(to, name.p, name.n, value);
            return;
        }
        if (!copy) {
            copy = json_object();
            json_object_setn_new(to, name.p, name.n, copy);
        }
        from = value;
        to = copy;
    }
}

json_t *filter_fields(const struct filter *f, const json_t *event)
{
    if (f->event_fields.n == 0)
        return json_incref((json_t *)event);
    json_t *kept = json_object();
    for (size_t i = 0; i < f->event_fields.n; i++)
        copy_field(event, str_of(f->event_fields.items[i]), kept);
    return kept;
}
