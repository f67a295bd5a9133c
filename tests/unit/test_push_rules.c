/* The predefined rules, and edits to a user's own. */
#include "tests/unit/json_quotes.h"

#include "matrix/push_rules.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static const char ALICE[] = "@alice:example.org";

#define MATCH(key, pattern) "{'kind':'event_match','key':'" key "','pattern':'" pattern "'}"
#define SOUND(name) "{'set_tweak':'sound','value':'" name "'}"
#define HIGHLIGHT "{'set_tweak':'highlight'}"
#define ROOM_POWER "{'kind':'sender_notification_permission','key':'room'}"
#define TWO "{'kind':'room_member_count','is':'2'}"

/* As push.md has them, and the three of v1.16. */
static const struct {
    const char *kind, *rule_id, *enabled, *conditions, *actions;
} expected[] = {
    {"override", ".m.rule.master", "false", "[]", "[]"},
    {"override", ".m.rule.suppress_notices", "true", "[" MATCH("content.msgtype", "m.notice") "]",
     "[]"},
    {"override", ".m.rule.invite_for_me", "true",
     "[" MATCH("type", "m.room.member") "," MATCH("content.membership", "invite") "," MATCH(
         "state_key", "@alice:example.org") "]",
     "['notify'," SOUND("default") "]"},
    {"override", ".m.rule.member_event", "true", "[" MATCH("type", "m.room.member") "]", "[]"},
    {"override", ".m.rule.is_user_mention", "true",
     "[{'kind':'event_property_contains','key':'content.m\\\\.mentions.user_ids',"
     "'value':'@alice:example.org'}]",
     "['notify'," SOUND("default") "," HIGHLIGHT "]"},
    {"override", ".m.rule.contains_display_name", "true", "[{'kind':'contains_display_name'}]",
     "['notify'," SOUND("default") "," HIGHLIGHT "]"},
    {"override", ".m.rule.is_room_mention", "true",
     "[{'kind':'event_property_is','key':'content.m\\\\.mentions.room','value':true}," ROOM_POWER
     "]",
     "['notify'," HIGHLIGHT "]"},
    {"override", ".m.rule.roomnotif", "true", "[" MATCH("content.body", "@room") "," ROOM_POWER "]",
     "['notify'," HIGHLIGHT "]"},
    {"override", ".m.rule.tombstone", "true",
     "[" MATCH("type", "m.room.tombstone") "," MATCH("state_key", "") "]",
     "['notify'," HIGHLIGHT "]"},
    {"override", ".m.rule.reaction", "true", "[" MATCH("type", "m.reaction") "]", "[]"},
    {"override", ".m.rule.room.server_acl", "true",
     "[" MATCH("type", "m.room.server_acl") "," MATCH("state_key", "") "]", "[]"},
    {"override", ".m.rule.suppress_edits", "true",
     "[{'kind':'event_property_is','key':'content.m\\\\.relates_to.rel_type',"
     "'value':'m.replace'}]",
     "[]"},
    {"content", ".m.rule.contains_user_name", "true", NULL,
     "['notify'," SOUND("default") "," HIGHLIGHT "]"},
    {"underride", ".m.rule.call", "true", "[" MATCH("type", "m.call.invite") "]",
     "['notify'," SOUND("ring") "]"},
    {"underride", ".m.rule.encrypted_room_one_to_one", "true",
     "[" TWO "," MATCH("type", "m.room.encrypted") "]", "['notify'," SOUND("default") "]"},
    {"underride", ".m.rule.room_one_to_one", "true",
     "[" TWO "," MATCH("type", "m.room.message") "]", "['notify'," SOUND("default") "]"},
    {"underride", ".m.rule.message", "true", "[" MATCH("type", "m.room.message") "]", "['notify']"},
    {"underride", ".m.rule.encrypted", "true", "[" MATCH("type", "m.room.encrypted") "]",
     "['notify']"},
};

static void assert_json(const char *what, const json_t *got, const char *wanted)
{
    json_auto_t *w = quoted(wanted);
    if (!json_equal(got, w)) {
        char *text = json_dumps(got, JSON_ENCODE_ANY | JSON_SORT_KEYS);
        fail_msg("%s: got %s, wanted %s", what, text ? text : "nothing", wanted);
    }
}

static void test_predefined_rules_in_order(void **state)
{
    json_auto_t *ruleset = push_rules_merge(ALICE, NULL);
    size_t at[PUSH_KINDS] = {0};
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        size_t kind = 0;
        while (strcmp(push_kind_names[kind], expected[i].kind))
            kind++;
        const json_t *rule = json_array_get(json_object_get(ruleset, expected[i].kind), at[kind]++);
        assert_non_null(rule);
        const char *id = json_string_value(json_object_get(rule, "rule_id"));
        assert_string_equal(id, expected[i].rule_id);
        assert_json(id, json_object_get(rule, "default"), "true");
        assert_json(id, json_object_get(rule, "enabled"), expected[i].enabled);
        assert_json(id, json_object_get(rule, "actions"), expected[i].actions);
        if (expected[i].conditions)
            assert_json(id, json_object_get(rule, "conditions"), expected[i].conditions);
        else
            assert_json(id, json_object_get(rule, "pattern"), "'alice'");
        assert_int_equal(json_object_size(rule), 5);
    }
    assert_int_equal(json_object_size(ruleset), PUSH_KINDS);
    for (size_t kind = 0; kind < PUSH_KINDS; kind++)
        assert_int_equal(json_array_size(json_object_get(ruleset, push_kind_names[kind])),
                         at[kind]);
}

/* A user whose stored changes are edited step by step. */
struct user {
    json_t *stored;
};

static void take(struct user *u, json_t *stored)
{
    json_decref(u->stored);
    u->stored = stored;
}

static const char *put(struct user *u, const char *kind, const char *id, const char *body,
                       const char *before, const char *after)
{
    json_auto_t *b = quoted(body), *was = json_deep_copy(u->stored);
    json_t *stored = NULL;
    const struct err *e = push_rules_put(u->stored, kind, id, b, before, after, &stored);
    assert_true(json_equal(was, u->stored) || !was); /* the input is not changed */
    assert_true(!e == !!stored);
    if (stored)
        take(u, stored);
    return e ? err_errcode(e) : "";
}

static const char *del(struct user *u, const char *kind, const char *id)
{
    json_t *stored = NULL;
    const struct err *e = push_rules_delete(u->stored, kind, id, &stored);
    if (stored)
        take(u, stored);
    return e ? err_errcode(e) : "";
}

static const char *enable(struct user *u, const char *kind, const char *id, bool enabled)
{
    json_t *stored = NULL;
    const struct err *e = push_rules_set_enabled(u->stored, kind, id, enabled, &stored);
    if (stored)
        take(u, stored);
    return e ? err_errcode(e) : "";
}

static const char *act(struct user *u, const char *kind, const char *id, const char *actions)
{
    json_t *stored = NULL;
    json_auto_t *a = quoted(actions);
    const struct err *e = push_rules_set_actions(u->stored, kind, id, a, &stored);
    if (stored)
        take(u, stored);
    return e ? err_errcode(e) : "";
}

/* The ids of a kind's rules, most important first, without the common prefix of predefined ones. */
static void assert_order(const struct user *u, const char *kind, const char *wanted)
{
    json_auto_t *ruleset = push_rules_merge(ALICE, u->stored);
    char text[1000] = "";
    const json_t *rule, *rules = json_object_get(ruleset, kind);
    size_t i;
    json_array_foreach (rules, i, rule) {
        const char *id = json_string_value(json_object_get(rule, "rule_id"));
        strcat(text, i ? " " : "");
        strcat(text, strncmp(id, ".m.rule.", 8) == 0 ? id + 7 : id);
    }
    assert_string_equal(text, wanted);
}

static void assert_rule(const struct user *u, const char *kind, const char *id, const char *wanted)
{
    json_auto_t *ruleset = push_rules_merge(ALICE, u->stored);
    const json_t *rule = push_rules_find(ruleset, kind, id);
    if (!wanted)
        assert_null(rule);
    else
        assert_json(id, rule, wanted);
}

#define NOTHING "{'actions':[]}"

static void test_order_of_own_rules(void **state)
{
    struct user u = {0};
    assert_order(&u, "content", ".contains_user_name");
    assert_string_equal(put(&u, "content", "a", "{'actions':[],'pattern':'a'}", NULL, NULL), "");
    assert_string_equal(put(&u, "content", "b", "{'actions':[],'pattern':'b'}", NULL, NULL), "");
    assert_order(&u, "content", "b a .contains_user_name"); /* new rules come first */
    assert_string_equal(put(&u, "content", "c", "{'actions':[],'pattern':'c'}", "a", NULL), "");
    assert_order(&u, "content", "b c a .contains_user_name"); /* before */
    assert_string_equal(put(&u, "content", "d", "{'actions':[],'pattern':'d'}", NULL, "b"), "");
    assert_order(&u, "content", "b d c a .contains_user_name"); /* after */
    assert_string_equal(put(&u, "content", "e", "{'actions':[],'pattern':'e'}", NULL, "a"), "");
    assert_order(&u, "content", "b d c a e .contains_user_name"); /* after the last */
    assert_string_equal(put(&u, "content", "f", "{'actions':[],'pattern':'f'}", "b", "a"), "");
    assert_order(&u, "content", "f b d c a e .contains_user_name"); /* before wins over after */
    assert_string_equal(put(&u, "content", "d", "{'actions':[],'pattern':'D'}", NULL, NULL), "");
    assert_order(&u, "content", "f b d c a e .contains_user_name"); /* an update stays */
    assert_string_equal(put(&u, "content", "d", "{'actions':[],'pattern':'D'}", NULL, "e"), "");
    assert_order(&u, "content", "f b c a e d .contains_user_name"); /* an update moves */
    assert_string_equal(del(&u, "content", "c"), "");
    assert_order(&u, "content", "f b a e d .contains_user_name");
    json_decref(u.stored);
}

static void test_master_remains_first(void **state)
{
    struct user u = {0};
    assert_string_equal(put(&u, "override", "mine", NOTHING, NULL, NULL), "");
    assert_order(&u, "override",
                 ".master mine .suppress_notices .invite_for_me .member_event .is_user_mention "
                 ".contains_display_name .is_room_mention .roomnotif .tombstone .reaction "
                 ".room.server_acl .suppress_edits");
    assert_string_equal(put(&u, "underride", "mine", NOTHING, NULL, NULL), "");
    assert_order(&u, "underride",
                 "mine .call .encrypted_room_one_to_one .room_one_to_one .message .encrypted");
    json_decref(u.stored);
}

static void test_rules_as_returned(void **state)
{
    struct user u = {0};
    put(&u, "content", "nocake", "{'actions':['notify'],'pattern':'cake*lie','other':1}", NULL,
        NULL);
    assert_rule(&u, "content", "nocake",
                "{'rule_id':'nocake','default':false,'enabled':true,'actions':['notify'],"
                "'pattern':'cake*lie'}");
    put(&u, "room", "!r:example.org", NOTHING, NULL, NULL);
    assert_rule(&u, "room", "!r:example.org",
                "{'rule_id':'!r:example.org','default':false,'enabled':true,'actions':[]}");
    put(&u, "override", "o", NOTHING, NULL, NULL);
    assert_rule(&u, "override", "o",
                "{'rule_id':'o','default':false,'enabled':true,'actions':[],'conditions':[]}");
    put(&u, "underride", "u",
        "{'actions':['dont_notify'],'conditions':[{'kind':'org.example.future','x':1}]}", NULL,
        NULL);
    assert_rule(&u, "underride", "u",
                "{'rule_id':'u','default':false,'enabled':true,'actions':['dont_notify'],"
                "'conditions':[{'kind':'org.example.future','x':1}]}");
    assert_rule(&u, "sender", "nocake", NULL); /* ids are unique within their kind only */
    json_decref(u.stored);
}

static void test_enabled_and_actions_of_own_rules(void **state)
{
    struct user u = {0};
    put(&u, "room", "!r", NOTHING, NULL, NULL);
    assert_string_equal(enable(&u, "room", "!r", false), "");
    assert_rule(&u, "room", "!r", "{'rule_id':'!r','default':false,'enabled':false,'actions':[]}");
    put(&u, "room", "!r", "{'actions':['notify']}", NULL, NULL);
    assert_rule(&u, "room", "!r", /* an update keeps the flag */
                "{'rule_id':'!r','default':false,'enabled':false,'actions':['notify']}");
    assert_string_equal(act(&u, "room", "!r", "['coalesce',{'set_tweak':'sound'}]"), "");
    assert_rule(&u, "room", "!r",
                "{'rule_id':'!r','default':false,'enabled':false,"
                "'actions':['coalesce',{'set_tweak':'sound'}]}");
    assert_string_equal(del(&u, "room", "!r"), "");
    put(&u, "room", "!r", NOTHING, NULL, NULL);
    assert_rule(&u, "room", "!r", /* a created rule is enabled, whatever was before */
                "{'rule_id':'!r','default':false,'enabled':true,'actions':[]}");
    json_decref(u.stored);
}

static void test_changes_of_predefined_rules(void **state)
{
    struct user u = {0};
    assert_false(push_rules_changed(u.stored));
    assert_string_equal(enable(&u, "override", ".m.rule.master", true), "");
    assert_string_equal(act(&u, "underride", ".m.rule.message", "[]"), "");
    assert_string_equal(enable(&u, "underride", ".m.rule.message", false), "");
    assert_true(push_rules_changed(u.stored));
    assert_rule(&u, "override", ".m.rule.master",
                "{'rule_id':'.m.rule.master','default':true,'enabled':true,'actions':[],"
                "'conditions':[]}");
    assert_rule(&u, "underride", ".m.rule.message",
                "{'rule_id':'.m.rule.message','default':true,'enabled':false,'actions':[],"
                "'conditions':[" MATCH("type", "m.room.message") "]}");
    /* After resetting all, no change is stored. */
    assert_string_equal(enable(&u, "override", ".m.rule.master", false), "");
    assert_string_equal(act(&u, "underride", ".m.rule.message", "['notify']"), "");
    assert_true(push_rules_changed(u.stored));
    assert_string_equal(enable(&u, "underride", ".m.rule.message", true), "");
    assert_false(push_rules_changed(u.stored));
    json_decref(u.stored);
}

static void test_own_rules_are_changes(void **state)
{
    struct user u = {0};
    put(&u, "sender", "@b:x", NOTHING, NULL, NULL);
    assert_true(push_rules_changed(u.stored));
    del(&u, "sender", "@b:x");
    assert_false(push_rules_changed(u.stored));
    json_decref(u.stored);
}

static void test_refusals(void **state)
{
    static const struct {
        const char *proves, *kind, *id, *body, *before, *after, *errcode;
    } rows[] = {
        {"unknown kind", "device", "x", NOTHING, NULL, NULL, "M_INVALID_PARAM"},
        {"leading dot is the server's", "override", ".m.rule.x", NOTHING, NULL, NULL,
         "M_INVALID_PARAM"},
        {"predefined rules are not replaced", "override", ".m.rule.master", NOTHING, NULL, NULL,
         "M_INVALID_PARAM"},
        {"slash", "override", "a/b", NOTHING, NULL, NULL, "M_INVALID_PARAM"},
        {"backslash", "override", "a\\b", NOTHING, NULL, NULL, "M_INVALID_PARAM"},
        {"empty id", "override", "", NOTHING, NULL, NULL, "M_INVALID_PARAM"},
        {"id not UTF-8", "override", "\xff", NOTHING, NULL, NULL, "M_INVALID_PARAM"},
        {"no actions", "override", "x", "{}", NULL, NULL, "M_MISSING_PARAM"},
        {"actions of a wrong type", "override", "x", "{'actions':'notify'}", NULL, NULL,
         "M_BAD_JSON"},
        {"unknown action", "override", "x", "{'actions':['stomp']}", NULL, NULL, "M_INVALID_PARAM"},
        {"action that is neither", "override", "x", "{'actions':[1]}", NULL, NULL,
         "M_INVALID_PARAM"},
        {"tweak without a name", "override", "x", "{'actions':[{'value':1}]}", NULL, NULL,
         "M_INVALID_PARAM"},
        {"content rule without pattern", "content", "x", NOTHING, NULL, NULL, "M_MISSING_PARAM"},
        {"pattern of a wrong type", "content", "x", "{'actions':[],'pattern':1}", NULL, NULL,
         "M_BAD_JSON"},
        {"conditions of a wrong type", "override", "x", "{'actions':[],'conditions':{}}", NULL,
         NULL, "M_BAD_JSON"},
        {"condition that is no object", "override", "x", "{'actions':[],'conditions':['a']}", NULL,
         NULL, "M_BAD_JSON"},
        {"condition without kind", "underride", "x", "{'actions':[],'conditions':[{}]}", NULL, NULL,
         "M_MISSING_PARAM"},
        {"body that is no object", "override", "x", "[]", NULL, NULL, "M_MISSING_PARAM"},
        {"before a rule that does not exist", "override", "x", NOTHING, "y", NULL, "M_UNKNOWN"},
        {"after a rule that does not exist", "override", "x", NOTHING, NULL, "y", "M_UNKNOWN"},
        {"not beside predefined rules", "override", "x", NOTHING, ".m.rule.master", NULL,
         "M_UNKNOWN"},
        {"not beside rules of another kind", "override", "x", NOTHING, "!there", NULL, "M_UNKNOWN"},
        {"not beside itself", "room", "!there", NOTHING, "!there", NULL, "M_UNKNOWN"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct user u = {0};
        assert_string_equal(put(&u, "room", "!there", NOTHING, NULL, NULL), "");
        const char *got =
            put(&u, rows[i].kind, rows[i].id, rows[i].body, rows[i].before, rows[i].after);
        if (strcmp(got, rows[i].errcode) != 0)
            fail_msg("%s: got \"%s\"", rows[i].proves, got);
        json_decref(u.stored);
    }
}

static void test_rules_that_do_not_exist(void **state)
{
    struct user u = {0};
    assert_string_equal(del(&u, "room", "!r"), "M_NOT_FOUND");
    assert_string_equal(del(&u, "override", ".m.rule.master"), "M_NOT_FOUND");
    assert_string_equal(enable(&u, "room", "!r", true), "M_NOT_FOUND");
    assert_string_equal(enable(&u, "room", ".m.rule.master", true), "M_NOT_FOUND");
    assert_string_equal(act(&u, "override", ".m.rule.unknown", "[]"), "M_NOT_FOUND");
    assert_string_equal(act(&u, "override", ".m.rule.master", "['stomp']"), "M_INVALID_PARAM");
    assert_string_equal(act(&u, "override", ".m.rule.master", "{}"), "M_BAD_JSON");
    assert_null(u.stored);
}

static void test_limits(void **state)
{
    struct user u = {0};
    char id[PUSH_RULE_ID_MAX + 2], body[PUSH_RULE_BYTES_MAX + 100];
    memset(id, 'x', sizeof id);
    id[sizeof id - 1] = '\0';
    assert_string_equal(put(&u, "room", id, NOTHING, NULL, NULL), "M_INVALID_PARAM");
    id[PUSH_RULE_ID_MAX] = '\0';
    assert_string_equal(put(&u, "room", id, NOTHING, NULL, NULL), "");

    snprintf(body, sizeof body, "{'actions':[],'pattern':'%0*d'}", PUSH_PATTERN_MAX + 1, 0);
    assert_string_equal(put(&u, "content", "x", body, NULL, NULL), "M_TOO_LARGE");
    snprintf(body, sizeof body, "{'actions':[],'pattern':'%0*d'}", PUSH_PATTERN_MAX, 0);
    assert_string_equal(put(&u, "content", "x", body, NULL, NULL), "");
    snprintf(body, sizeof body, "{'actions':[{'set_tweak':'%0*d'}]}", PUSH_RULE_BYTES_MAX, 0);
    assert_string_equal(put(&u, "room", "x", body, NULL, NULL), "M_TOO_LARGE");

    json_auto_t *many = quoted(NOTHING);
    for (size_t i = 0; i <= PUSH_ACTIONS_MAX; i++)
        json_array_append_new(json_object_get(many, "actions"), json_string("notify"));
    json_t *ret = NULL;
    assert_int_equal(push_rules_put(NULL, "room", "x", many, NULL, NULL, &ret)->code,
                     ERR_TOO_LARGE);
    assert_null(ret);
    json_decref(u.stored);
}

static void test_number_of_rules(void **state)
{
    json_t *list = json_array();
    for (size_t i = 0; i < PUSH_RULES_MAX; i++) {
        char id[20];
        snprintf(id, sizeof id, "!%zu", i);
        json_array_append_new(list,
                              json_pack("{s:s,s:b,s:[]}", "rule_id", id, "enabled", 1, "actions"));
    }
    struct user u = {json_pack("{s:{s:o}}", "rules", "room", list)};
    assert_string_equal(put(&u, "sender", "x", NOTHING, NULL, NULL), "M_TOO_LARGE");
    assert_string_equal(put(&u, "room", "!7", NOTHING, NULL, NULL), ""); /* no new one */
    assert_string_equal(del(&u, "room", "!7"), "");
    assert_string_equal(put(&u, "sender", "x", NOTHING, NULL, NULL), "");
    json_decref(u.stored);
}

/* Damaged stored rules must do no harm. */
static void test_strange_stored_forms(void **state)
{
    static const char *const forms[] = {
        "[]",
        "{'rules':1,'predefined':[]}",
        "{'rules':{'override':{},'room':'x'},'predefined':{'.m.rule.master':true}}",
        "{'predefined':{'.m.rule.master':{'enabled':1,'actions':'x'},'gone':{'enabled':true}}}",
    };
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        struct user u = {quoted(forms[i])};
        assert_rule(&u, "override", ".m.rule.master",
                    "{'rule_id':'.m.rule.master','default':true,'enabled':false,'actions':[],"
                    "'conditions':[]}");
        assert_string_equal(put(&u, "room", "!r", NOTHING, NULL, NULL), "");
        assert_string_equal(enable(&u, "override", ".m.rule.master", true), "");
        assert_order(&u, "room", "!r");
        json_decref(u.stored);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_predefined_rules_in_order),
        cmocka_unit_test(test_order_of_own_rules),
        cmocka_unit_test(test_master_remains_first),
        cmocka_unit_test(test_rules_as_returned),
        cmocka_unit_test(test_enabled_and_actions_of_own_rules),
        cmocka_unit_test(test_changes_of_predefined_rules),
        cmocka_unit_test(test_own_rules_are_changes),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_rules_that_do_not_exist),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_number_of_rules),
        cmocka_unit_test(test_strange_stored_forms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
