/* The scanner accepts the same input as jansson, and reads the same values. */
#include "fuzz.h"
#include "matrix/json_scan.h"

static void compare(struct arena *a, struct str raw, const json_t *tree);

static char *unescape(struct arena *a, struct str inside, size_t *ret_n)
{
    char *text = arena_alloc(a, inside.n + 1);
    *ret_n = json_scan_unescape(inside, text);
    return text;
}

/* Of a repeated key, jansson keeps the last. */
static void compare_object(struct arena *a, struct str raw, const json_t *tree)
{
    struct json_members ms;
    HOLDS(!json_scan_object(a, raw, &ms));
    size_t distinct = 0;
    for (size_t i = 0; i < ms.n; i++) {
        size_t n;
        char *key = unescape(a, ms.m[i].key, &n);
        HOLDS(!memchr(key, '\0', n));
        json_t *value = json_object_get(tree, key);
        HOLDS(value);
        struct str last = json_scan_get(raw, key);
        HOLDS(last.p && last.p >= ms.m[i].value.p);
        if (last.p != ms.m[i].value.p)
            continue;
        distinct++;
        compare(a, last, value);
    }
    HOLDS(distinct == json_object_size(tree));
}

static void compare_array(struct arena *a, struct str raw, const json_t *tree)
{
    struct json_member m;
    size_t n = 0;
    for (size_t pos = 0; json_scan_next(raw, &pos, &m); n++)
        compare(a, m.value, json_array_get(tree, n));
    HOLDS(n == json_array_size(tree));
}

static void compare_string(struct arena *a, struct str raw, const json_t *tree)
{
    size_t n;
    char *text = unescape(a, (struct str){raw.p + 1, raw.n - 2}, &n);
    HOLDS(n == json_string_length(tree) && memcmp(text, json_string_value(tree), n) == 0);
    bool nul = memchr(text, '\0', n);
    HOLDS((json_scan_string(a, raw) == NULL) == nul);
    HOLDS(json_scan_string_is(raw, text) == !nul);
    HOLDS(!json_scan_string_is(raw, arena_printf(a, "%sx", text)));
}

static void compare(struct arena *a, struct str raw, const json_t *tree)
{
    int64_t i;
    HOLDS(!json_scan_check(raw));
    if (json_is_object(tree))
        compare_object(a, raw, tree);
    else if (json_is_array(tree))
        compare_array(a, raw, tree);
    else if (json_is_string(tree))
        compare_string(a, raw, tree);
    else if (json_is_integer(tree))
        HOLDS(json_scan_int(raw, &i) && i == json_integer_value(tree));
    else
        HOLDS(!json_scan_int(raw, &i));
}

/* On any input, no byte beyond the end is read (the sanitizers check that). */
static void survive(struct str doc)
{
    struct json_member m;
    size_t steps = 0;
    for (size_t pos = 0; json_scan_next(doc, &pos, &m); steps++)
        HOLDS(pos <= doc.n && steps < doc.n && m.value.n > 0);
    json_scan_path(doc, "a", "b", NULL);
    json_scan_string_is(doc, "a");
}

static struct str trim(struct str doc)
{
    while (doc.n && strchr(" \n\r\t", doc.p[0])) {
        doc.p++;
        doc.n--;
    }
    while (doc.n && strchr(" \n\r\t", doc.p[doc.n - 1]))
        doc.n--;
    return doc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str doc = fuzz_str(data, size);
    json_error_t why;
    survive(doc);
    const struct err *e = json_scan_check(doc);
    bool too_deep = e && strstr(e->text, "deeper");
    json_t *tree = json_loadb(size ? doc.p : "", size, JSON_DECODE_ANY | JSON_ALLOW_NUL, &why);
    /* jansson cannot hold every number, and nests deeper. */
    bool too_large = !tree && json_error_code(&why) == json_error_numeric_overflow;
    /* A NUL byte is never JSON, but jansson overlooks one behind a number. */
    if (size && memchr(data, '\0', size))
        HOLDS(e);
    else if (!too_deep && !too_large)
        HOLDS((tree != NULL) == (e == NULL));
    if (tree && !e && size < 4096) {
        arena_auto struct arena *a = arena_create();
        compare(a, trim(doc), tree);
    }
    json_decref(tree);
    return 0;
}
