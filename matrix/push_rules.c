#include "matrix/push_rules.h"

#include "matrix/push_rules_predefined.h"

#include <pthread.h>

const char *const push_kind_names[PUSH_KINDS] = {
    [PUSH_OVERRIDE] = "override", [PUSH_CONTENT] = "content",     [PUSH_ROOM] = "room",
    [PUSH_SENDER] = "sender",     [PUSH_UNDERRIDE] = "underride",
};

/* Placeholders in the table for values that differ between users. */
static const char USER_ID[] = "[the user's Matrix ID]", LOCALPART[] = "[its localpart]";

enum action { NOTIFY = 1, SOUND = 2, RING = 4, HIGHLIGHT = 8 };

struct condition {
    const char *kind, *key, *pattern, *is, *value;
    bool value_true; /* the value is `true` */
};

struct predefined {
    enum push_kind kind;
    const char *rule_id;
    unsigned actions;
    bool disabled;
    bool personal; /* matches only users that the event singles out */
    const char *pattern;
    struct condition conditions[3];
};

#define EVENT_MATCH(at, glob)                                                                      \
    {                                                                                              \
        .kind = "event_match", .key = at, .pattern = glob                                          \
    }
#define MAY_NOTIFY_ROOM                                                                            \
    {                                                                                              \
        .kind = "sender_notification_permission", .key = "room"                                    \
    }
#define ONE_TO_ONE                                                                                 \
    {                                                                                              \
        .kind = "room_member_count", .is = "2"                                                     \
    }

/* push.md, "Predefined Rules", in the order given there; the removed three where v1.16 had them. */
static const struct predefined predefined[] = {
    {PUSH_OVERRIDE, ".m.rule.master", 0, .disabled = true},
    {PUSH_OVERRIDE, ".m.rule.suppress_notices", 0,
     .conditions = {EVENT_MATCH("content.msgtype", "m.notice")}},
    {PUSH_OVERRIDE, ".m.rule.invite_for_me", NOTIFY | SOUND, .personal = true,
     .conditions = {EVENT_MATCH("type", "m.room.member"),
                    EVENT_MATCH("content.membership", "invite"),
                    EVENT_MATCH("state_key", USER_ID)}},
    {PUSH_OVERRIDE, ".m.rule.member_event", 0,
     .conditions = {EVENT_MATCH("type", "m.room.member")}},
    {PUSH_OVERRIDE, ".m.rule.is_user_mention", NOTIFY | SOUND | HIGHLIGHT, .personal = true,
     .conditions = {{.kind = "event_property_contains",
                     .key = "content.m\\.mentions.user_ids",
                     .value = USER_ID}}},
    {PUSH_OVERRIDE, PUSH_RULE_CONTAINS_DISPLAY_NAME, NOTIFY | SOUND | HIGHLIGHT, .personal = true,
     .conditions = {{.kind = "contains_display_name"}}},
    {PUSH_OVERRIDE, ".m.rule.is_room_mention", NOTIFY | HIGHLIGHT,
     .conditions = {{.kind = "event_property_is",
                     .key = "content.m\\.mentions.room",
                     .value_true = true},
                    MAY_NOTIFY_ROOM}},
    {PUSH_OVERRIDE, PUSH_RULE_ROOMNOTIF, NOTIFY | HIGHLIGHT,
     .conditions = {EVENT_MATCH("content.body", "@room"), MAY_NOTIFY_ROOM}},
    {PUSH_OVERRIDE, ".m.rule.tombstone", NOTIFY | HIGHLIGHT,
     .conditions = {EVENT_MATCH("type", "m.room.tombstone"), EVENT_MATCH("state_key", "")}},
    {PUSH_OVERRIDE, ".m.rule.reaction", 0, .conditions = {EVENT_MATCH("type", "m.reaction")}},
    {PUSH_OVERRIDE, ".m.rule.room.server_acl", 0,
     .conditions = {EVENT_MATCH("type", "m.room.server_acl"), EVENT_MATCH("state_key", "")}},
    {PUSH_OVERRIDE, ".m.rule.suppress_edits", 0,
     .conditions = {{.kind = "event_property_is",
                     .key = "content.m\\.relates_to.rel_type",
                     .value = "m.replace"}}},
    {PUSH_CONTENT, PUSH_RULE_CONTAINS_USER_NAME, NOTIFY | SOUND | HIGHLIGHT, .personal = true,
     .pattern = LOCALPART},
    {PUSH_UNDERRIDE, ".m.rule.call", NOTIFY | RING,
     .conditions = {EVENT_MATCH("type", "m.call.invite")}},
    {PUSH_UNDERRIDE, ".m.rule.encrypted_room_one_to_one", NOTIFY | SOUND,
     .conditions = {ONE_TO_ONE, EVENT_MATCH("type", "m.room.encrypted")}},
    {PUSH_UNDERRIDE, ".m.rule.room_one_to_one", NOTIFY | SOUND,
     .conditions = {ONE_TO_ONE, EVENT_MATCH("type", "m.room.message")}},
    {PUSH_UNDERRIDE, ".m.rule.message", NOTIFY,
     .conditions = {EVENT_MATCH("type", "m.room.message")}},
    {PUSH_UNDERRIDE, ".m.rule.encrypted", NOTIFY,
     .conditions = {EVENT_MATCH("type", "m.room.encrypted")}},
};

enum { PREDEFINED = sizeof predefined / sizeof *predefined };

/* Every string below is constant or was checked, so jansson can only fail for lack of memory. */
static json_t *push_rules_must(json_t *v)
{
    if (!v)
        abort();
    return v;
}

static json_t *user_text(const char *text, const char *user_id)
{
    if (text == USER_ID)
        return push_rules_must(json_string(user_id));
    if (text != LOCALPART)
        return push_rules_must(json_string(text));
    const char *start = user_id + (*user_id == '@');
    return push_rules_must(json_stringn(start, strcspn(start, ":")));
}

static void push_rules_set_text(json_t *o, const char *key, const char *text, const char *user_id)
{
    if (text)
        json_object_set_new(o, key, user_text(text, user_id));
}

static json_t *condition_json(const struct condition *c, const char *user_id)
{
    json_t *o = push_rules_must(json_object());
    push_rules_set_text(o, "kind", c->kind, user_id);
    push_rules_set_text(o, "key", c->key, user_id);
    push_rules_set_text(o, "pattern", c->pattern, user_id);
    push_rules_set_text(o, "is", c->is, user_id);
    push_rules_set_text(o, "value", c->value, user_id);
    if (c->value_true)
        json_object_set_new(o, "value", json_true());
    return o;
}

static json_t *actions_json(unsigned actions)
{
    json_t *a = push_rules_must(json_array());
    if (actions & NOTIFY)
        json_array_append_new(a, push_rules_must(json_string("notify")));
    if (actions & (SOUND | RING))
        json_array_append_new(a,
                              push_rules_must(json_pack("{s:s,s:s}", "set_tweak", "sound", "value",
                                                        actions & RING ? "ring" : "default")));
    if (actions & HIGHLIGHT)
        json_array_append_new(a, push_rules_must(json_pack("{s:s}", "set_tweak", "highlight")));
    return a;
}

static json_t *rule_json(const struct predefined *r, const char *user_id)
{
    json_t *rule =
        push_rules_must(json_pack("{s:s,s:b,s:b,s:o}", "rule_id", r->rule_id, "default", 1,
                                  "enabled", !r->disabled, "actions", actions_json(r->actions)));
    push_rules_set_text(rule, "pattern", r->pattern, user_id);
    if (r->kind == PUSH_CONTENT)
        return rule;
    json_t *conditions = push_rules_must(json_array());
    for (size_t i = 0; i < 3 && r->conditions[i].kind; i++)
        json_array_append_new(conditions, condition_json(&r->conditions[i], user_id));
    json_object_set_new(rule, "conditions", conditions);
    return rule;
}

static const struct predefined *find_predefined(const char *rule_id)
{
    for (size_t i = 0; i < PREDEFINED; i++)
        if (strcmp(predefined[i].rule_id, rule_id) == 0)
            return &predefined[i];
    return NULL;
}

json_t *push_rules_predefined(const char *kind, const char *rule_id)
{
    const struct predefined *r = find_predefined(rule_id);
    return r && strcmp(push_kind_names[r->kind], kind) == 0 ? rule_json(r, "") : NULL;
}

static void apply_change(json_t *rule, const char *rule_id, const json_t *stored)
{
    const json_t *change = json_at(stored, "predefined", rule_id, NULL);
    json_t *enabled = json_object_get(change, "enabled");
    json_t *actions = json_object_get(change, "actions");
    if (json_is_boolean(enabled))
        json_object_set(rule, "enabled", enabled);
    if (json_is_array(actions))
        json_object_set(rule, "actions", actions);
}

static void append_own(json_t *list, enum push_kind kind, const json_t *stored)
{
    json_t *own = (json_t *)json_at(stored, "rules", push_kind_names[kind], NULL);
    if (json_is_array(own))
        json_array_extend(list, own);
}

json_t *push_rules_merge(const char *user_id, const json_t *stored)
{
    json_t *ruleset = push_rules_must(json_object());
    for (enum push_kind kind = 0; kind < PUSH_KINDS; kind++) {
        json_t *list = push_rules_must(json_array());
        json_object_set_new(ruleset, push_kind_names[kind], list);
        if (kind != PUSH_OVERRIDE) /* there, the master rule goes before the user's own */
            append_own(list, kind, stored);
        for (size_t i = 0; i < PREDEFINED; i++) {
            if (predefined[i].kind != kind)
                continue;
            json_t *rule = rule_json(&predefined[i], user_id);
            apply_change(rule, predefined[i].rule_id, stored);
            json_array_append_new(list, rule);
            if (i == 0)
                append_own(list, kind, stored);
        }
    }
    return ruleset;
}

bool push_rules_changed(const json_t *stored)
{
    const json_t *rules = json_object_get(stored, "rules");
    for (enum push_kind kind = 0; kind < PUSH_KINDS; kind++)
        if (json_array_size(json_object_get(rules, push_kind_names[kind])))
            return true;
    return json_object_size(json_object_get(stored, "predefined")) > 0;
}

const json_t *push_rules_find(const json_t *ruleset, const char *kind, const char *rule_id)
{
    const json_t *rule, *rules = json_object_get(ruleset, kind);
    size_t i;
    json_array_foreach (rules, i, rule) {
        const char *id = json_text(rule, "rule_id");
        if (id && strcmp(id, rule_id) == 0)
            return rule;
    }
    return NULL;
}

/* The predefined rules without those that only users singled out can match. Made once, constant. */
static json_t *impersonal_ruleset;

static void make_impersonal_ruleset(void)
{
    json_t *ruleset = push_rules_must(json_object());
    for (enum push_kind kind = 0; kind < PUSH_KINDS; kind++) {
        json_t *list = push_rules_must(json_array());
        for (size_t i = 0; i < PREDEFINED; i++)
            if (predefined[i].kind == kind && !predefined[i].personal && !predefined[i].disabled)
                json_array_append_new(list, rule_json(&predefined[i], ""));
        json_object_set_new(ruleset, push_kind_names[kind], list);
    }
    impersonal_ruleset = ruleset;
}

struct push_outcome push_rules_evaluate_base(const json_t *event, const struct push_context *c)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_impersonal_ruleset);
    struct push_outcome outcome;
    push_rules_evaluate(impersonal_ruleset, event, c, &outcome);
    return outcome;
}
