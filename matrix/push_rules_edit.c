#include "matrix/push_rules_predefined.h"

static bool push_rules_edit_same_text(const char *a, const char *b)
{
    return a && strcmp(a, b) == 0;
}

static const struct err *push_rules_edit_find_kind(const char *name, enum push_kind *ret)
{
    for (enum push_kind kind = 0; kind < PUSH_KINDS; kind++)
        if (push_rules_edit_same_text(name, push_kind_names[kind])) {
            *ret = kind;
            return NULL;
        }
    return err(ERR_INVALID_PARAM, "The kind of a push rule is override, content, room, sender or "
                                  "underride");
}

static const struct err *push_rules_edit_not_found(void)
{
    return err(ERR_NOT_FOUND, "The push rule was not found");
}

/* The user's own rules of one kind; NULL or an array. */
static json_t *own_rules(const json_t *stored, const char *kind)
{
    return (json_t *)json_at(stored, "rules", kind, NULL);
}

/* The index of one of the user's own rules; false when there is none. */
static bool push_rules_edit_find_own(const json_t *list, const char *rule_id, size_t *ret)
{
    size_t i;
    const json_t *rule;
    json_array_foreach (list, i, rule) {
        if (push_rules_edit_same_text(json_text(rule, "rule_id"), rule_id)) {
            *ret = i;
            return true;
        }
    }
    return false;
}

static json_t *copy_object(const json_t *o)
{
    return json_is_object(o) ? json_copy((json_t *)o) : json_object();
}

static json_t *copy_list(const json_t *list)
{
    return json_is_array(list) ? json_copy((json_t *)list) : json_array();
}

/* The stored form with one member of one of its two parts replaced. */
static json_t *with_part(const json_t *stored, const char *part, const char *key, json_t *owned)
{
    json_t *copy = copy_object(stored), *inner = copy_object(json_object_get(stored, part));
    json_object_set_new(inner, key, owned);
    json_object_set_new(copy, part, inner);
    return copy;
}

static json_t *with_own_rules(const json_t *stored, const char *kind, json_t *owned_list)
{
    return with_part(stored, "rules", kind, owned_list);
}

static bool too_big(const json_t *v)
{
    return json_dumpb(v, NULL, 0, JSON_COMPACT | JSON_ENCODE_ANY) > PUSH_RULE_BYTES_MAX;
}

static bool is_known_action(const json_t *action)
{
    const char *name = json_string_text(action);
    if (json_is_object(action))
        return json_text(action, "set_tweak") != NULL;
    return push_rules_edit_same_text(name, "notify") ||
           push_rules_edit_same_text(name, "dont_notify") ||
           push_rules_edit_same_text(name, "coalesce");
}

static const struct err *check_actions(const json_t *actions)
{
    if (!json_is_array(actions))
        return err(ERR_BAD_JSON, "\"actions\" must be an array");
    if (json_array_size(actions) > PUSH_ACTIONS_MAX || too_big(actions))
        return err(ERR_TOO_LARGE, "The push rule has too many actions");
    const json_t *action;
    size_t i;
    json_array_foreach (actions, i, action) {
        if (!is_known_action(action))
            return err(ERR_INVALID_PARAM, "Unrecognised action in a push rule");
    }
    return NULL;
}

static const struct err *check_pattern(const json_t *o)
{
    const char *pattern;
    TRY(json_need_string(o, "pattern", &pattern));
    if (strlen(pattern) > PUSH_PATTERN_MAX)
        return err(ERR_TOO_LARGE, "A pattern may have %d bytes", PUSH_PATTERN_MAX);
    return NULL;
}

/* Conditions of unknown kinds are stored, but never match. */
static const struct err *check_conditions(const json_t *conditions)
{
    if (json_array_size(conditions) > PUSH_CONDITIONS_MAX || too_big(conditions))
        return err(ERR_TOO_LARGE, "The push rule has too many conditions");
    const json_t *condition;
    size_t i;
    json_array_foreach (conditions, i, condition) {
        if (!json_is_object(condition))
            return err(ERR_BAD_JSON, "A condition must be an object");
        const char *kind;
        TRY(json_need_string(condition, "kind", &kind));
        if (strcmp(kind, "event_match") == 0 && json_object_get(condition, "pattern"))
            TRY(check_pattern(condition));
    }
    return NULL;
}

/* pushrules.yaml, "ruleId": no leading dot, no slash, no backslash. */
static const struct err *check_new_id(const char *rule_id)
{
    if (*rule_id == '\0' || *rule_id == '.' || strpbrk(rule_id, "/\\"))
        return err(ERR_INVALID_PARAM, "A rule id must not be empty, start with \".\" or contain "
                                      "slashes or backslashes");
    if (strlen(rule_id) > PUSH_RULE_ID_MAX)
        return err(ERR_INVALID_PARAM, "A rule id may have %d bytes", PUSH_RULE_ID_MAX);
    return NULL;
}

static const struct err *check_body(enum push_kind kind, const json_t *body)
{
    const json_t *actions, *conditions = NULL;
    TRY(json_need_array(body, "actions", &actions));
    TRY(check_actions(actions));
    if (kind == PUSH_CONTENT)
        TRY(check_pattern(body));
    if (kind == PUSH_OVERRIDE || kind == PUSH_UNDERRIDE)
        TRY(json_want_array(body, "conditions", &conditions));
    return conditions ? check_conditions(conditions) : NULL;
}

/* The rule in stored and served form, from a checked body. */
static json_t *make_rule(enum push_kind kind, const char *rule_id, const json_t *body, bool enabled)
{
    json_t *rule = json_pack("{s:s,s:b,s:b}", "rule_id", rule_id, "default", 0, "enabled", enabled);
    if (!rule)
        return NULL;
    json_object_set(rule, "actions", json_object_get(body, "actions"));
    if (kind == PUSH_CONTENT)
        json_object_set(rule, "pattern", json_object_get(body, "pattern"));
    if (kind == PUSH_OVERRIDE || kind == PUSH_UNDERRIDE) {
        json_t *conditions = json_object_get(body, "conditions");
        json_object_set_new(rule, "conditions",
                            json_is_array(conditions) ? json_incref(conditions) : json_array());
    }
    return rule;
}

/* The new place of a rule in a list without it. `before` is the rule that becomes the next less
 * important one and wins over `after`. */
static const struct err *push_rules_edit_find_place(const json_t *list, const char *before,
                                                    const char *after, size_t otherwise,
                                                    size_t *ret)
{
    size_t at = otherwise;
    if (before ? !push_rules_edit_find_own(list, before, &at)
               : after && !push_rules_edit_find_own(list, after, &at))
        return err(ERR_UNKNOWN, "before/after rule not found");
    *ret = at + (!before && after);
    return NULL;
}

static size_t count_own(const json_t *stored)
{
    size_t n = 0;
    for (enum push_kind kind = 0; kind < PUSH_KINDS; kind++)
        n += json_array_size(own_rules(stored, push_kind_names[kind]));
    return n;
}

const struct err *push_rules_put(const json_t *stored, const char *kind_name, const char *rule_id,
                                 const json_t *body, const char *before, const char *after,
                                 json_t **ret)
{
    enum push_kind kind;
    TRY(push_rules_edit_find_kind(kind_name, &kind));
    TRY(check_new_id(rule_id));
    TRY(check_body(kind, body));

    json_auto_t *list = copy_list(own_rules(stored, kind_name));
    bool enabled = true;
    size_t place = 0;
    if (push_rules_edit_find_own(list, rule_id, &place)) {
        enabled = json_is_true(json_object_get(json_array_get(list, place), "enabled"));
        json_array_remove(list, place);
    } else if (count_own(stored) >= PUSH_RULES_MAX) {
        return err(ERR_TOO_LARGE, "A user may have %d push rules", PUSH_RULES_MAX);
    }
    TRY(push_rules_edit_find_place(list, before, after, place, &place));
    json_t *rule = make_rule(kind, rule_id, body, enabled);
    if (!rule) /* jansson takes only UTF-8 */
        return err(ERR_INVALID_PARAM, "A rule id must be UTF-8");
    json_array_insert_new(list, place, rule);
    *ret = with_own_rules(stored, kind_name, json_incref(list));
    return NULL;
}

const struct err *push_rules_delete(const json_t *stored, const char *kind_name,
                                    const char *rule_id, json_t **ret)
{
    enum push_kind kind;
    TRY(push_rules_edit_find_kind(kind_name, &kind));
    const json_t *own = own_rules(stored, kind_name);
    size_t place;
    if (!push_rules_edit_find_own(own, rule_id, &place))
        return push_rules_edit_not_found();
    json_t *list = copy_list(own);
    json_array_remove(list, place);
    *ret = with_own_rules(stored, kind_name, list);
    return NULL;
}

static json_t *set_own(const json_t *stored, const char *kind, size_t place, const char *key,
                       json_t *value)
{
    json_t *list = copy_list(own_rules(stored, kind));
    json_t *rule = json_copy(json_array_get(list, place));
    json_object_set(rule, key, value);
    json_array_set_new(list, place, rule);
    return with_own_rules(stored, kind, list);
}

/* A predefined value is not stored: so most users have no stored changes. */
static json_t *set_predefined(const json_t *stored, const char *rule_id, const char *key,
                              const json_t *original, json_t *value)
{
    json_t *change = copy_object(json_at(stored, "predefined", rule_id, NULL));
    if (json_equal(json_object_get(original, key), value))
        json_object_del(change, key);
    else
        json_object_set(change, key, value);
    bool nothing_left = json_object_size(change) == 0;
    json_t *copy = with_part(stored, "predefined", rule_id, change);
    if (nothing_left)
        json_object_del(json_object_get(copy, "predefined"), rule_id);
    return copy;
}

static const struct err *set_member(const json_t *stored, const char *kind_name,
                                    const char *rule_id, const char *key, json_t *value,
                                    json_t **ret)
{
    enum push_kind kind;
    TRY(push_rules_edit_find_kind(kind_name, &kind));
    size_t place;
    if (push_rules_edit_find_own(own_rules(stored, kind_name), rule_id, &place)) {
        *ret = set_own(stored, kind_name, place, key, value);
        return NULL;
    }
    json_auto_t *original = push_rules_predefined(kind_name, rule_id);
    if (!original)
        return push_rules_edit_not_found();
    *ret = set_predefined(stored, rule_id, key, original, value);
    return NULL;
}

const struct err *push_rules_set_enabled(const json_t *stored, const char *kind,
                                         const char *rule_id, bool enabled, json_t **ret)
{
    return set_member(stored, kind, rule_id, "enabled", json_boolean(enabled), ret);
}

const struct err *push_rules_set_actions(const json_t *stored, const char *kind,
                                         const char *rule_id, const json_t *actions, json_t **ret)
{
    TRY(check_actions(actions));
    return set_member(stored, kind, rule_id, "actions", (json_t *)actions, ret);
}
