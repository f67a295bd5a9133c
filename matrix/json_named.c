#include "matrix/json_named.h"

#include "base/map.h"
#include "matrix/json_scan.h"

static bool json_named_is_absent(struct str value)
{
    return !value.p || value.p[0] == 'n';
}

const struct err *json_body_object(struct str body, const char *key, struct str *ret)
{
    TRY(json_scan_check(body));
    if (str_trim(body, " \t\r\n").p[0] != '{')
        return err(ERR_BAD_JSON, "Content must be an object");
    struct str value = json_scan_get(body, key);
    if (json_named_is_absent(value))
        return err(ERR_MISSING_PARAM, "Missing \"%s\"", key);
    if (value.p[0] != '{')
        return err(ERR_BAD_JSON, "\"%s\" must be an object", key);
    *ret = value;
    return NULL;
}

const struct err *json_named_int(struct str object, const char *key, int64_t def, int64_t *ret)
{
    struct str value = json_scan_get(object, key);
    int64_t n = def;
    if (!json_named_is_absent(value) && !json_scan_int(value, &n))
        return err(ERR_BAD_JSON, "\"%s\" must be an integer", key);
    *ret = n;
    return NULL;
}

static size_t count_up_to(struct str object, size_t max)
{
    struct json_member m;
    size_t n = 0, pos = 0;
    while (n < max && json_scan_next(object, &pos, &m))
        n++;
    return n;
}

static const char *unescaped(struct arena *a, struct str key)
{
    char *text = arena_alloc(a, key.n + 1);
    text[json_scan_unescape(key, text)] = '\0';
    return text;
}

static bool list(struct arena *a, struct str object, size_t max, struct map *by_name,
                 struct json_named *ret, size_t *ret_n)
{
    struct json_member m;
    for (size_t pos = 0; json_scan_next(object, &pos, &m);) {
        const char *name = unescaped(a, m.key);
        struct json_named *one = map_get(by_name, str_of(name));
        if (!one && *ret_n == max)
            return false;
        if (!one) {
            one = &ret[(*ret_n)++];
            one->name = name;
            map_put(by_name, str_of(name), one);
        }
        one->value = m.value;
    }
    return true;
}

bool json_named_list(struct arena *a, struct str object, size_t max, struct json_named **ret,
                     size_t *ret_n)
{
    struct map by_name = {0};
    *ret = arena_alloc_array(a, count_up_to(object, max), sizeof **ret);
    *ret_n = 0;
    bool all = list(a, object, max, &by_name, *ret, ret_n);
    map_finish(&by_name);
    return all;
}
