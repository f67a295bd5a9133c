#include "matrix/dotted_path.h"
#include "matrix/glob.h"
#include "matrix/push_rules_predefined.h"

/* The evaluation of one user's rules on one event. */
struct evaluation {
    const json_t *event, *content;
    const struct push_context *context;
    bool has_mentions;
    size_t steps_left; /* of the user's own rules */
    bool is_own;       /* whether the current rule is the user's own */
};

/* False: too few steps are left. */
static bool take_steps(struct evaluation *e, size_t n)
{
    if (!e->is_own)
        return true;
    bool enough = n <= e->steps_left;
    e->steps_left = enough ? e->steps_left - n : 0;
    return enough;
}

static struct str push_rules_eval_text_of(const json_t *v)
{
    return json_is_string(v) ? (struct str){json_string_value(v), json_string_length(v)}
                             : (struct str){NULL, 0};
}

static struct str member_text(const json_t *o, const char *key)
{
    return push_rules_eval_text_of(json_object_get(o, key));
}

/* Glob matching for push conditions: * and ?, case-insensitive. `word`: the pattern must match at
 * word boundaries somewhere in the text (content.body), else the whole text. */
static bool matches_glob(struct evaluation *e, struct str pattern, struct str text, bool word)
{
    if (!take_steps(e, text.n))
        return false;
    return word ? glob_finds_words(pattern, text, 0) : glob_matches(pattern, text, 0);
}

static const json_t *property(struct evaluation *e, const json_t *condition)
{
    struct str key = member_text(condition, "key");
    return key.p && take_steps(e, key.n) ? dotted_path_get(e->event, key) : NULL;
}

static bool event_match(struct evaluation *e, const json_t *condition)
{
    struct str pattern = member_text(condition, "pattern");
    struct str value = push_rules_eval_text_of(property(e, condition));
    return pattern.p && value.p &&
           matches_glob(e, pattern, value, str_is(member_text(condition, "key"), "content.body"));
}

/* Equality of strings, integers, booleans and null; other values are never equal. */
static bool same_scalar(const json_t *a, const json_t *b)
{
    if (!a || !b || json_is_object(a) || json_is_array(a) || json_is_real(a))
        return false;
    return json_equal(a, b);
}

static bool event_property_is(struct evaluation *e, const json_t *condition)
{
    return same_scalar(property(e, condition), json_object_get(condition, "value"));
}

static bool event_property_contains(struct evaluation *e, const json_t *condition)
{
    const json_t *item, *array = property(e, condition);
    const json_t *value = json_object_get(condition, "value");
    size_t i;
    if (!take_steps(e, json_array_size(array)))
        return false;
    json_array_foreach (array, i, item) {
        if (same_scalar(item, value))
            return true;
    }
    return false;
}

static bool contains_display_name(struct evaluation *e, const json_t *condition)
{
    struct str name = str_of(e->context->display_name);
    struct str folded = e->context->folded_body;
    struct str body = folded.p ? folded : member_text(e->content, "body");
    return name.p && body.p && take_steps(e, body.n) && glob_finds_words(name, body, GLOB_LITERAL);
}

static bool room_member_count(struct evaluation *e, const json_t *condition)
{
    struct str is = member_text(condition, "is");
    size_t n = 0;
    if (!is.p)
        return false;
    while (n < is.n && (is.p[n] == '=' || is.p[n] == '<' || is.p[n] == '>'))
        n++;
    struct str op = {is.p, n}, number = {is.p + n, is.n - n};
    int64_t wanted, count = e->context->member_count;
    if (number.n == 0 || *number.p == '-' || !str_to_int64(number, &wanted))
        return false;
    if (n == 0 || str_is(op, "=="))
        return count == wanted;
    if (str_is(op, "<"))
        return count < wanted;
    if (str_is(op, ">"))
        return count > wanted;
    if (str_is(op, "<="))
        return count <= wanted;
    return str_is(op, ">=") && count >= wanted;
}

static bool sender_notification_permission(struct evaluation *e, const json_t *condition)
{
    const int64_t by_default = 50; /* m.room.power_levels, "notifications" */
    const char *key = json_text(condition, "key");
    if (!key)
        return false;
    if (strcmp(key, "room") == 0)
        return e->context->sender_power >= e->context->room_notify_power;
    const json_t *power = json_object_get(e->context->notify_powers, key);
    return e->context->sender_power >=
           (json_is_integer(power) ? json_integer_value(power) : by_default);
}

static bool condition_holds(struct evaluation *e, const json_t *condition)
{
    static const struct {
        const char *kind;
        bool (*holds)(struct evaluation *e, const json_t *condition);
    } kinds[] = {
        {"event_match", event_match},
        {"event_property_is", event_property_is},
        {"event_property_contains", event_property_contains},
        {"contains_display_name", contains_display_name},
        {"room_member_count", room_member_count},
        {"sender_notification_permission", sender_notification_permission},
    };
    const char *kind = json_text(condition, "kind");
    for (size_t i = 0; kind && i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kind, kinds[i].kind) == 0)
            return kinds[i].holds(e, condition);
    return false; /* unrecognised conditions match no event */
}

static bool conditions_hold(struct evaluation *e, const json_t *rule)
{
    const json_t *condition, *conditions = json_object_get(rule, "conditions");
    size_t i;
    json_array_foreach (conditions, i, condition) {
        if (!take_steps(e, PUSH_CONDITION_STEPS) || !condition_holds(e, condition))
            return false;
    }
    return true;
}

/* Rules from before m.mentions do not apply to events with it (v1.7 to v1.16, "User and room
 * mentions"). */
static bool gives_way(struct evaluation *e, const json_t *rule)
{
    const char *id = json_text(rule, "rule_id");
    return e->has_mentions && id && *id == '.' &&
           (strcmp(id, PUSH_RULE_CONTAINS_DISPLAY_NAME) == 0 ||
            strcmp(id, PUSH_RULE_CONTAINS_USER_NAME) == 0 || strcmp(id, PUSH_RULE_ROOMNOTIF) == 0);
}

static bool id_is_value(const json_t *rule, const json_t *value)
{
    return same_scalar(json_object_get(rule, "rule_id"), value);
}

static bool rule_matches(struct evaluation *e, enum push_kind kind, const json_t *rule)
{
    if (!json_is_true(json_object_get(rule, "enabled")))
        return false;
    e->is_own = !json_is_true(json_object_get(rule, "default"));
    if (!take_steps(e, 1))
        return false;
    switch (kind) {
    case PUSH_ROOM:
        return id_is_value(rule, json_object_get(e->event, "room_id"));
    case PUSH_SENDER:
        return id_is_value(rule, json_object_get(e->event, "sender"));
    case PUSH_CONTENT: {
        struct str body = member_text(e->content, "body"), pattern = member_text(rule, "pattern");
        return body.p && pattern.p && !gives_way(e, rule) && matches_glob(e, pattern, body, true);
    }
    default:
        return !gives_way(e, rule) && conditions_hold(e, rule);
    }
}

static const json_t *first_match(struct evaluation *e, const json_t *ruleset)
{
    for (enum push_kind kind = 0; kind < PUSH_KINDS; kind++) {
        const json_t *rule, *rules = json_object_get(ruleset, push_kind_names[kind]);
        size_t i;
        json_array_foreach (rules, i, rule) {
            if (rule_matches(e, kind, rule))
                return rule;
        }
    }
    return NULL;
}

/* `dont_notify` and `coalesce` are ignored ("Historical Actions"). */
static void apply_action(const json_t *action, struct push_outcome *ret)
{
    if (str_is(push_rules_eval_text_of(action), "notify"))
        ret->notify = true;
    struct str tweak = member_text(action, "set_tweak");
    const json_t *value = json_object_get(action, "value");
    if (str_is(tweak, "highlight"))
        ret->highlight = !value || json_is_true(value);
    else if (str_is(tweak, "sound"))
        ret->sound = json_string_text(value);
}

void push_rules_evaluate(const json_t *ruleset, const json_t *event, const struct push_context *c,
                         struct push_outcome *ret)
{
    const json_t *content = json_object_get(event, "content");
    size_t steps = c->steps_max && c->steps_max < PUSH_STEPS_MAX ? c->steps_max : PUSH_STEPS_MAX;
    struct evaluation e = {.event = event,
                           .content = content,
                           .context = c,
                           .has_mentions = json_object_get(content, "m.mentions") != NULL,
                           .steps_left = steps};
    const json_t *rule = first_match(&e, ruleset);
    *ret = (struct push_outcome){.actions = json_object_get(rule, "actions"),
                                 .steps = steps - e.steps_left};
    const json_t *action;
    size_t i;
    json_array_foreach (ret->actions, i, action) {
        apply_action(action, ret);
    }
}
