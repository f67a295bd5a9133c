#include "base/json.h"

#include "base/json_trees.h"

#include <stdarg.h>
#include <string.h>

/* What jansson allocates for one of each; measured by test_json.c. */
enum {
    OBJECT_BYTES = 240,
    ARRAY_BYTES = 144,
    NUMBER_BYTES = 32,
    STRING_BYTES = 80, /* and its own */
    KEY_BYTES = 48,    /* beyond those of a string */
    PLACE_BYTES = 24,  /* in an array or an object, which grow by doubling */
};

static size_t string_end(struct str s, size_t i)
{
    for (i++; i < s.n && s.p[i] != '"'; i++)
        if (s.p[i] == '\\')
            i++;
    return i;
}

static bool is_in_scalar(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || c == '-' || c == '.' || c == 'E' ||
           c == '+';
}

static size_t scalar_end(struct str s, size_t i)
{
    while (i + 1 < s.n && is_in_scalar(s.p[i + 1]))
        i++;
    return i;
}

struct json_measure json_measure(struct str s)
{
    struct json_measure m = {0};
    int depth = 0;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        size_t from = i;
        if (c == '"') {
            i = string_end(s, i);
            m.tree_bytes += STRING_BYTES + (i - from);
        } else if (c == '{' || c == '[') {
            m.tree_bytes += c == '{' ? OBJECT_BYTES : ARRAY_BYTES;
            if (++depth > m.depth)
                m.depth = depth;
        } else if (c == '}' || c == ']') {
            depth--;
        } else if (c == ':') {
            m.tree_bytes += KEY_BYTES;
        } else if (c == ',') {
            m.tree_bytes += PLACE_BYTES;
        } else if (is_in_scalar(c)) {
            i = scalar_end(s, i);
            m.tree_bytes += c > '9' ? 0 : NUMBER_BYTES; /* true, false and null cost nothing */
        }
    }
    return m;
}

static size_t tree_max(size_t bytes)
{
    size_t max = JSON_TREE_LEAST + bytes * JSON_TREE_RATIO;
    return max < JSON_TREE_MAX ? max : JSON_TREE_MAX;
}

enum kind { FOREIGN, OWN, KEPT };

/* An arena has a small amount for free. One that has drawn already does not wait for others, which
 * may wait for it. */
static bool json_draw(const struct arena *a, enum kind kind, struct tree_memory *m)
{
    size_t owned = arena_owned(a);
    if (kind == KEPT || owned + m->bytes <= JSON_TREES_FREE || tree_memory_take(m))
        return true;
    if (kind == OWN) {
        tree_memory_overdraw(m);
        return true;
    }
    return owned <= JSON_TREES_FREE && tree_memory_await(m);
}

/* ---- trees in arenas ---- */

static void json_drop(void *v)
{
    json_decref(v);
}

json_t *json_keep(struct arena *a, json_t *owned)
{
    if (owned)
        arena_defer(a, json_drop, owned);
    return owned;
}

struct tree {
    json_t *v;
    struct arena *arena;
    struct tree_memory memory;
};

static void drop_tree(void *tree)
{
    struct tree *t = tree;
    json_decref(t->v);
    arena_disown(t->arena, t->memory.bytes);
    tree_memory_give_back(&t->memory);
}

static const struct err *json_parse(struct str bytes, json_t **ret)
{
    json_error_t why;
    json_t *v = json_loadb(bytes.n ? bytes.p : "", bytes.n, JSON_DECODE_ANY | JSON_ALLOW_NUL, &why);
    if (!v && json_error_code(&why) == json_error_numeric_overflow)
        return err(ERR_BAD_JSON, "A number is too large");
    if (!v)
        return err(ERR_NOT_JSON, "Content is not JSON: %s", why.text);
    *ret = v;
    return NULL;
}

static const struct err *json_check(struct str bytes, size_t *ret_tree_bytes)
{
    struct json_measure m = json_measure(bytes);
    if (m.depth > JSON_DEPTH_MAX)
        return err(ERR_NOT_JSON, "The JSON is nested deeper than %d levels", JSON_DEPTH_MAX);
    if (m.tree_bytes > tree_max(bytes.n))
        return err(ERR_TOO_LARGE, "The JSON has too many values: send less in one request");
    *ret_tree_bytes = m.tree_bytes;
    return NULL;
}

static const struct err *read_as(enum kind kind, struct arena *a, struct str bytes, json_t **ret)
{
    struct tree *t = arena_alloc(a, sizeof *t);
    *t = (struct tree){.arena = a, .memory = {.source = arena_source(a)}};
    TRY(json_check(bytes, &t->memory.bytes));
    if (!json_draw(a, kind, &t->memory))
        return err_unavailable(1000, "too many large JSON documents are being read at once");
    const struct err *e = json_parse(bytes, &t->v);
    if (e)
        tree_memory_give_back(&t->memory);
    TRY(e);
    arena_own(a, t->memory.bytes);
    arena_defer(a, drop_tree, t);
    *ret = t->v;
    return NULL;
}

const struct err *json_read(struct arena *a, struct str bytes, json_t **ret)
{
    return read_as(FOREIGN, a, bytes, ret);
}

const struct err *json_read_own(struct arena *a, struct str bytes, json_t **ret)
{
    return read_as(OWN, a, bytes, ret);
}

const struct err *json_read_to_keep(struct arena *a, struct str bytes, json_t **ret)
{
    return read_as(KEPT, a, bytes, ret);
}

/* ---- typed members ---- */

static const json_t *member(const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);
    return json_is_null(v) ? NULL : v;
}

static const struct err *missing(const char *key)
{
    return err(ERR_MISSING_PARAM, "Missing \"%s\"", key);
}

static const struct err *wrong_type(const char *key, const char *wanted)
{
    return err(ERR_BAD_JSON, "\"%s\" must be %s", key, wanted);
}

const struct err *json_want_string(const json_t *o, const char *key, const char *def,
                                   const char **ret)
{
    const json_t *v = member(o, key);
    if (v && !json_is_string(v))
        return wrong_type(key, "a string");
    if (v && strlen(json_string_value(v)) != json_string_length(v))
        return err(ERR_BAD_JSON, "\"%s\" must not contain NUL", key);
    *ret = v ? json_string_value(v) : def;
    return NULL;
}

const struct err *json_need_string(const json_t *o, const char *key, const char **ret)
{
    if (!member(o, key))
        return missing(key);
    return json_want_string(o, key, NULL, ret);
}

const struct err *json_want_int(const json_t *o, const char *key, int64_t def, int64_t *ret)
{
    const json_t *v = member(o, key);
    if (v && !json_is_integer(v))
        return wrong_type(key, "an integer");
    *ret = v ? json_integer_value(v) : def;
    return NULL;
}

const struct err *json_need_int(const json_t *o, const char *key, int64_t *ret)
{
    if (!member(o, key))
        return missing(key);
    return json_want_int(o, key, 0, ret);
}

const struct err *json_want_bool(const json_t *o, const char *key, bool def, bool *ret)
{
    const json_t *v = member(o, key);
    if (v && !json_is_boolean(v))
        return wrong_type(key, "a boolean");
    *ret = v ? json_is_true(v) : def;
    return NULL;
}

const struct err *json_want_object(const json_t *o, const char *key, const json_t **ret)
{
    const json_t *v = member(o, key);
    if (v && !json_is_object(v))
        return wrong_type(key, "an object");
    *ret = v;
    return NULL;
}

const struct err *json_need_object(const json_t *o, const char *key, const json_t **ret)
{
    if (!member(o, key))
        return missing(key);
    return json_want_object(o, key, ret);
}

const struct err *json_want_array(const json_t *o, const char *key, const json_t **ret)
{
    const json_t *v = member(o, key);
    if (v && !json_is_array(v))
        return wrong_type(key, "an array");
    *ret = v;
    return NULL;
}

const struct err *json_need_array(const json_t *o, const char *key, const json_t **ret)
{
    if (!member(o, key))
        return missing(key);
    return json_want_array(o, key, ret);
}

const char *json_text(const json_t *o, const char *key)
{
    return json_string_text(json_object_get(o, key));
}

const char *json_string_text(const json_t *v)
{
    const char *text = json_string_value(v);
    return text && strlen(text) == json_string_length(v) ? text : NULL;
}

const json_t *json_at(const json_t *o, ...)
{
    va_list ap;
    va_start(ap, o);
    for (const char *key; o && (key = va_arg(ap, const char *));)
        o = json_object_get(o, key);
    va_end(ap);
    return o;
}
