#include "server/sliding/required.h"

#include <stdlib.h>

#define MEMBER "m.room.member"
#define ME "$ME"

/* ---- codes ---- */

enum { CODE_LAZY = 1, CODE_NARROWS = 2, CODE_ANY = 0xffff };

static void required_add_number(struct buf *b, size_t n)
{
    buf_add_char(b, (char)(n >> 8));
    buf_add_char(b, (char)n);
}

static void required_add_text(struct buf *b, const char *text)
{
    required_add_number(b, text ? strlen(text) : CODE_ANY);
    buf_add_text(b, text ? text : "");
}

static void required_add_entries(struct buf *b, const struct required_entry *list, size_t n)
{
    required_add_number(b, n);
    for (size_t i = 0; i < n; i++) {
        required_add_text(b, list[i].type);
        required_add_text(b, list[i].key);
    }
}

static struct str required_code_rule(struct arena *a, const struct required_rule *r)
{
    buf_auto struct buf b = {0};
    buf_add_char(&b, (char)((r->lazy ? CODE_LAZY : 0) | (r->narrows ? CODE_NARROWS : 0)));
    required_add_entries(&b, r->include, r->include_n);
    required_add_entries(&b, r->exclude, r->exclude_n);
    return (struct str){str_dup(a, buf_str(&b)), b.n};
}

static bool required_read_number(struct str *at, size_t *ret)
{
    if (at->n < 2)
        return false;
    *ret = (size_t)(unsigned char)at->p[0] << 8 | (unsigned char)at->p[1];
    *at = (struct str){at->p + 2, at->n - 2};
    return true;
}

static bool required_read_text(struct arena *a, struct str *at, const char **ret)
{
    size_t n;
    if (!required_read_number(at, &n))
        return false;
    *ret = NULL;
    if (n == CODE_ANY)
        return true;
    if (n > at->n)
        return false;
    *ret = str_dup(a, (struct str){at->p, n});
    *at = (struct str){at->p + n, at->n - n};
    return true;
}

static bool required_read_entries(struct arena *a, struct str *at,
                                  const struct required_entry **ret, size_t *ret_n)
{
    size_t n;
    if (!required_read_number(at, &n) || n > REQUIRED_ENTRIES_MAX)
        return false;
    struct required_entry *list = arena_alloc_array(a, n + 1, sizeof *list);
    for (size_t i = 0; i < n; i++)
        if (!required_read_text(a, at, &list[i].type) || !required_read_text(a, at, &list[i].key))
            return false;
    *ret = list;
    *ret_n = n;
    return true;
}

static bool required_read_rule(struct arena *a, struct str *at, struct required_rule *ret)
{
    struct required_rule r = {0};
    struct str from = *at;
    if (!at->n)
        return false;
    r.lazy = at->p[0] & CODE_LAZY;
    r.narrows = at->p[0] & CODE_NARROWS;
    *at = (struct str){at->p + 1, at->n - 1};
    if (!required_read_entries(a, at, &r.include, &r.include_n) ||
        !required_read_entries(a, at, &r.exclude, &r.exclude_n))
        return false;
    r.code = (struct str){from.p, from.n - at->n};
    *ret = r;
    return true;
}

/* ---- parsing ---- */

static const struct err *required_check_text(const json_t *v, const char **ret)
{
    const char *text = json_string_text(v);
    if (!text)
        return err(ERR_BAD_JSON, "required_state has a type or state key that is not a string");
    if (strlen(text) > REQUIRED_TEXT_MAX)
        return err(ERR_INVALID_PARAM, "required_state has a very long type or state key");
    *ret = text;
    return NULL;
}

static const struct err *required_check_size(const json_t *array)
{
    if (json_array_size(array) > REQUIRED_ENTRIES_MAX)
        return err(ERR_INVALID_PARAM, "required_state may have %d entries", REQUIRED_ENTRIES_MAX);
    return NULL;
}

static const struct err *required_parse_pair(struct arena *a, const json_t *pair,
                                             struct required_rule *r, struct required_entry *ret)
{
    const char *type, *key;
    if (json_array_size(pair) != 2)
        return err(ERR_BAD_JSON, "required_state must have pairs of a type and a state key");
    TRY(required_check_text(json_array_get(pair, 0), &type));
    TRY(required_check_text(json_array_get(pair, 1), &key));
    r->lazy |= strcmp(type, MEMBER) == 0 && strcmp(key, "$LAZY") == 0;
    ret->type = strcmp(type, "*") == 0 ? NULL : arena_strdup(a, type);
    ret->key = strcmp(key, "*") == 0 ? NULL : arena_strdup(a, key);
    return NULL;
}

const struct err *required_parse_pairs(struct arena *a, const json_t *array,
                                       struct required_rule *ret)
{
    struct required_rule r = {.narrows = true};
    size_t i, n = json_array_size(array);
    const json_t *pair;
    TRY(required_check_size(array));
    struct required_entry *list = arena_alloc_array(a, n + 1, sizeof *list);
    json_array_foreach (array, i, pair)
        TRY(required_parse_pair(a, pair, &r, &list[i]));
    r.include = list;
    r.include_n = n;
    r.code = required_code_rule(a, &r);
    *ret = r;
    return NULL;
}

static const struct err *required_parse_elements(struct arena *a, const json_t *object,
                                                 const char *key, const struct required_entry **ret,
                                                 size_t *ret_n)
{
    const json_t *array, *element;
    size_t i;
    TRY(json_want_array(object, key, &array));
    TRY(required_check_size(array));
    struct required_entry *list = arena_alloc_array(a, json_array_size(array) + 1, sizeof *list);
    json_array_foreach (array, i, element) {
        const json_t *type = json_object_get(element, "type");
        const json_t *state_key = json_object_get(element, "state_key");
        if (!json_is_object(element))
            return err(ERR_BAD_JSON, "required_state has an element that is not an object");
        if (type)
            TRY(required_check_text(type, &list[i].type));
        if (state_key)
            TRY(required_check_text(state_key, &list[i].key));
        list[i].type = arena_strdup(a, list[i].type);
        list[i].key = arena_strdup(a, list[i].key);
    }
    *ret = list;
    *ret_n = json_array_size(array);
    return NULL;
}

const struct err *required_parse_object(struct arena *a, const json_t *object,
                                        struct required_rule *ret)
{
    struct required_rule r = {0};
    TRY(required_parse_elements(a, object, "include", &r.include, &r.include_n));
    TRY(required_parse_elements(a, object, "exclude", &r.exclude, &r.exclude_n));
    TRY(json_want_bool(object, "lazy_members", false, &r.lazy));
    r.code = required_code_rule(a, &r);
    *ret = r;
    return NULL;
}

/* ---- combining ---- */

void required_add(struct required *r, const struct required_rule *rule)
{
    for (size_t i = 0; i < r->n; i++)
        if (str_eq(r->rules[i]->code, rule->code))
            return;
    if (r->n < REQUIRED_RULES_MAX)
        r->rules[r->n++] = rule;
}

static int required_by_code(const void *x, const void *y)
{
    const struct required_rule *const *a = x, *const *b = y;
    return str_cmp((*a)->code, (*b)->code);
}

struct str required_code(struct arena *a, const struct required *r)
{
    struct required sorted = *r;
    if (r->n == 1)
        return r->rules[0]->code;
    qsort(sorted.rules, sorted.n, sizeof *sorted.rules, required_by_code);
    buf_auto struct buf b = {0};
    for (size_t i = 0; i < sorted.n; i++)
        buf_add_str(&b, sorted.rules[i]->code);
    return (struct str){str_dup(a, buf_str(&b)), b.n};
}

bool required_decode(struct arena *a, struct str code, const char *me, struct required *ret)
{
    struct required r = {.me = me};
    while (code.n) {
        struct required_rule *rule = arena_alloc(a, sizeof *rule);
        if (r.n == REQUIRED_RULES_MAX || !required_read_rule(a, &code, rule))
            return false;
        r.rules[r.n++] = rule;
    }
    *ret = r;
    return true;
}

/* ---- matching ---- */

static bool required_key_is(const char *entry, const char *key, const char *me)
{
    return strcmp(strcmp(entry, ME) == 0 ? me : entry, key) == 0;
}

static bool required_entry_matches(const struct required_entry *e, const char *type,
                                   const char *key, const char *me)
{
    return (!e->type || strcmp(e->type, type) == 0) &&
           (!e->key || required_key_is(e->key, key, me));
}

static bool required_names_type(const struct required_rule *r, const char *type)
{
    for (size_t i = 0; i < r->include_n; i++)
        if (r->include[i].type && strcmp(r->include[i].type, type) == 0)
            return true;
    return false;
}

static bool required_rule_includes(const struct required_rule *r, const char *type, const char *key,
                                   const char *me)
{
    bool is_lazy = r->lazy && strcmp(type, MEMBER) == 0;
    for (size_t i = 0; i < r->include_n; i++) {
        const struct required_entry *e = &r->include[i];
        if ((is_lazy && !e->key) || !required_entry_matches(e, type, key, me))
            continue;
        if (e->type || e->key || !r->narrows || !required_names_type(r, type))
            return true;
    }
    return false;
}

static bool required_rule_wants(const struct required_rule *r, const char *type, const char *key,
                                const char *me)
{
    if (!required_rule_includes(r, type, key, me))
        return false;
    for (size_t i = 0; i < r->exclude_n; i++)
        if (required_entry_matches(&r->exclude[i], type, key, me))
            return false;
    return true;
}

bool required_wants(const struct required *r, const char *type, const char *key)
{
    for (size_t i = 0; i < r->n; i++)
        if (required_rule_wants(r->rules[i], type, key, r->me))
            return true;
    return false;
}

/* No user has this id: it stands for all users that no entry names. */
#define ANY_USER "\n"

bool required_has_all_members(const struct required *r)
{
    return required_wants(r, MEMBER, ANY_USER);
}

bool required_is_lazy(const struct required *r)
{
    bool lazy = false;
    for (size_t i = 0; i < r->n; i++)
        lazy |= r->rules[i]->lazy;
    return lazy && !required_has_all_members(r);
}

const char *const *required_members(struct arena *a, const struct required *r, size_t *ret_n)
{
    size_t n = 0, max = 0;
    for (size_t i = 0; i < r->n; i++)
        max += r->rules[i]->include_n;
    const char **list = arena_alloc_array(a, max + 1, sizeof *list);
    for (size_t i = 0; i < r->n; i++)
        for (size_t j = 0; j < r->rules[i]->include_n; j++) {
            const struct required_entry *e = &r->rules[i]->include[j];
            const char *user = !e->key ? "" : strcmp(e->key, ME) == 0 ? r->me : e->key;
            if (*user == '@' && required_rule_wants(r->rules[i], MEMBER, user, r->me))
                list[n++] = user;
        }
    *ret_n = n;
    return list;
}
