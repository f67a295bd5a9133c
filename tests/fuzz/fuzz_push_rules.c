/* Push rules as clients write them, one change after the other: the stored form stays within its
 * bounds and merges into a whole ruleset. The input is a list of [kind, rule id, body, before,
 * after], where a body of true or false switches the rule. */
#include "fuzz.h"
#include "matrix/push_rules.h"

enum { CHANGES_MAX = 64 };

static const char *text_at(const json_t *list, size_t i)
{
    return json_string_value(json_array_get(list, i));
}

static const struct err *change(const json_t *stored, const json_t *c, json_t **ret)
{
    const char *kind = text_at(c, 0), *id = text_at(c, 1);
    const json_t *body = json_array_get(c, 2);
    kind = kind ? kind : "";
    id = id ? id : "";
    if (json_is_object(body))
        return push_rules_put(stored, kind, id, body, text_at(c, 3), text_at(c, 4), ret);
    if (json_is_boolean(body))
        return push_rules_set_enabled(stored, kind, id, json_is_true(body), ret);
    if (json_is_array(body))
        return push_rules_set_actions(stored, kind, id, body, ret);
    return push_rules_delete(stored, kind, id, ret);
}

static void check_merged(const json_t *stored)
{
    json_auto_t *ruleset = push_rules_merge("@alice:example.org", stored);
    for (int kind = 0; kind < PUSH_KINDS; kind++) {
        const json_t *rules = json_object_get(ruleset, push_kind_names[kind]);
        size_t i;
        json_t *rule;
        HOLDS(json_is_array(rules));
        json_array_foreach (rules, i, rule) {
            const char *id = json_string_value(json_object_get(rule, "rule_id"));
            HOLDS(id && json_is_boolean(json_object_get(rule, "enabled")));
            HOLDS(json_is_array(json_object_get(rule, "actions")));
            HOLDS(push_rules_find(ruleset, push_kind_names[kind], id));
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    arena_auto struct arena *a = arena_create();
    json_t *list, *stored = NULL;
    if (json_read(a, fuzz_str(data, size), &list))
        return 0;
    for (size_t i = 0; i < json_array_size(list) && i < CHANGES_MAX; i++) {
        json_t *next = NULL;
        if (change(stored, json_array_get(list, i), &next))
            continue;
        json_decref(stored);
        stored = next;
        check_merged(stored);
    }
    json_decref(stored);
    return 0;
}
