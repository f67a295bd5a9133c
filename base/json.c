#include "base/json.h"

#include <stdarg.h>
#include <string.h>

/* Nesting is counted before parsing: jansson's own limit (2048) is a build-time constant. */
static bool too_deep(struct str s)
{
    int depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            if (++depth > JSON_DEPTH_MAX)
                return true;
        } else if (c == '}' || c == ']') {
            depth--;
        }
    }
    return false;
}

static void drop(void *v)
{
    json_decref(v);
}

json_t *json_keep(struct arena *a, json_t *owned)
{
    if (owned)
        arena_defer(a, drop, owned);
    return owned;
}

const struct err *json_read(struct arena *a, struct str bytes, json_t **ret)
{
    if (too_deep(bytes))
        return err(ERR_NOT_JSON, "The JSON is nested deeper than %d levels", JSON_DEPTH_MAX);
    json_error_t why;
    json_t *v = json_loadb(bytes.n ? bytes.p : "", bytes.n, JSON_DECODE_ANY | JSON_ALLOW_NUL, &why);
    if (!v && json_error_code(&why) == json_error_numeric_overflow)
        return err(ERR_BAD_JSON, "A number is too large");
    if (!v)
        return err(ERR_NOT_JSON, "Content is not JSON: %s", why.text);
    *ret = json_keep(a, v);
    return NULL;
}

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
