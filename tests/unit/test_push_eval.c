/* The rule that matches an event, and its actions. */
#include "tests/unit/json_quotes.h"

#include "matrix/push_rules.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static const char ALICE[] = "@alice:example.org";

/* Alice, called "Al *", in a room of five; the sender may notify the room. */
static const struct push_context usual = {ALICE, "Al *", 5, 50, 50, NULL};
static const struct push_context pair = {ALICE, "Al *", 2, 50, 50, NULL};
static const struct push_context weak = {ALICE, "Al *", 5, 49, 50, NULL};
static const struct push_context nameless = {ALICE, NULL, 5, 0, 50, NULL};

static const char *rule_with_actions(const json_t *ruleset, const json_t *actions)
{
    for (enum push_kind kind = 0; actions && kind < PUSH_KINDS; kind++) {
        const json_t *rule, *rules = json_object_get(ruleset, push_kind_names[kind]);
        size_t i;
        json_array_foreach (rules, i, rule) {
            if (json_object_get(rule, "actions") == actions)
                return json_string_value(json_object_get(rule, "rule_id"));
        }
    }
    return "none";
}

#define EVENT(type, content)                                                                       \
    "{'type':'" type "','room_id':'!r:x','sender':'@bob:x','content':" content "}"
#define STATE(type, key, content)                                                                  \
    "{'type':'" type "','state_key':'" key                                                         \
    "','room_id':'!r:x','sender':'@bob:x','content':" content "}"
#define MESSAGE(body) EVENT("m.room.message", "{'msgtype':'m.text','body':'" body "'}")
#define MENTIONING(body, mentions)                                                                 \
    EVENT("m.room.message", "{'msgtype':'m.text','body':'" body "','m.mentions':" mentions "}")

struct row {
    const char *proves, *event;
    const struct push_context *context;
    const char *rule_id, *outcome; /* "n" notify, "h" highlight; then the sound */
};

static const struct row predefined_rows[] = {
    {"notices are quiet", EVENT("m.room.message", "{'msgtype':'m.notice','body':'alice'}"), &usual,
     ".m.rule.suppress_notices", "--"},
    {"a text is no notice", MESSAGE("hi"), &usual, ".m.rule.message", "n-"},
    {"my invite", STATE("m.room.member", "@alice:example.org", "{'membership':'invite'}"), &usual,
     ".m.rule.invite_for_me", "n-default"},
    {"another's invite", STATE("m.room.member", "@carol:x", "{'membership':'invite'}"), &usual,
     ".m.rule.member_event", "--"},
    {"my ban is no invite", STATE("m.room.member", "@alice:example.org", "{'membership':'ban'}"),
     &usual, ".m.rule.member_event", "--"},
    {"an invite needs the type", STATE("m.other", "@alice:example.org", "{'membership':'invite'}"),
     &usual, "none", "--"},
    {"I am mentioned", MENTIONING("hi", "{'user_ids':['@c:x','@alice:example.org']}"), &usual,
     ".m.rule.is_user_mention", "nhdefault"},
    {"another is mentioned", MENTIONING("hi", "{'user_ids':['@alice:example.or']}"), &usual,
     ".m.rule.message", "n-"},
    {"user ids that are no list", MENTIONING("hi", "{'user_ids':'@alice:example.org'}"), &usual,
     ".m.rule.message", "n-"},
    {"a mention works in any event",
     EVENT("org.other", "{'m.mentions':{'user_ids':['@alice:example.org']}}"), &usual,
     ".m.rule.is_user_mention", "nhdefault"},
    {"my display name", MESSAGE("hey AL *!"), &usual, ".m.rule.contains_display_name", "nhdefault"},
    {"its star is no wildcard", MESSAGE("Al what"), &usual, ".m.rule.message", "n-"},
    {"my name is ignored beside mentions", MENTIONING("hey Al * alice @room", "{}"), &usual,
     ".m.rule.message", "n-"},
    {"no display name", MESSAGE("hey"), &nameless, ".m.rule.message", "n-"},
    {"the room is mentioned", MENTIONING("hi", "{'room':true}"), &usual, ".m.rule.is_room_mention",
     "nh"},
    {"it must be true", MENTIONING("hi", "{'room':'true'}"), &usual, ".m.rule.message", "n-"},
    {"the sender lacks the power", MENTIONING("hi", "{'room':true}"), &weak, ".m.rule.message",
     "n-"},
    {"@room", MESSAGE("hi @ROOM"), &usual, ".m.rule.roomnotif", "nh"},
    {"@room without the power", MESSAGE("hi @room"), &weak, ".m.rule.message", "n-"},
    {"@room within a word", MESSAGE("hi @rooms"), &usual, ".m.rule.message", "n-"},
    {"tombstone", STATE("m.room.tombstone", "", "{}"), &usual, ".m.rule.tombstone", "nh"},
    {"tombstone with a state key", STATE("m.room.tombstone", "x", "{}"), &usual, "none", "--"},
    {"tombstone without one", EVENT("m.room.tombstone", "{}"), &usual, "none", "--"},
    {"reactions are quiet", EVENT("m.reaction", "{'body':'alice'}"), &usual, ".m.rule.reaction",
     "--"},
    {"server ACLs are quiet", STATE("m.room.server_acl", "", "{'body':'alice'}"), &usual,
     ".m.rule.room.server_acl", "--"},
    {"only with the empty state key", STATE("m.room.server_acl", "x", "{}"), &usual, "none", "--"},
    {"edits are quiet",
     EVENT("m.room.message", "{'body':'alice','m.relates_to':{'rel_type':'m.replace'}}"), &usual,
     ".m.rule.suppress_edits", "--"},
    {"an edit that mentions me is not",
     EVENT("m.room.message", "{'m.relates_to':{'rel_type':'m.replace'},'m.mentions':{'user_ids':["
                             "'@alice:example.org']}}"),
     &usual, ".m.rule.is_user_mention", "nhdefault"},
    {"other relations are no edits",
     EVENT("m.room.message", "{'body':'x','m.relates_to':{'rel_type':'M.REPLACE'}}"), &usual,
     ".m.rule.message", "n-"},
    {"my localpart", MESSAGE("is Alice there?"), &usual, ".m.rule.contains_user_name", "nhdefault"},
    {"not within a word", MESSAGE("malice"), &usual, ".m.rule.message", "n-"},
    {"a call rings", EVENT("m.call.invite", "{}"), &usual, ".m.rule.call", "n-ring"},
    {"its end does not", EVENT("m.call.hangup", "{}"), &usual, "none", "--"},
    {"encrypted, of two", EVENT("m.room.encrypted", "{}"), &pair,
     ".m.rule.encrypted_room_one_to_one", "n-default"},
    {"encrypted, of more", EVENT("m.room.encrypted", "{}"), &usual, ".m.rule.encrypted", "n-"},
    {"message, of two", MESSAGE("hi"), &pair, ".m.rule.room_one_to_one", "n-default"},
    {"message, of more", MESSAGE("hi"), &usual, ".m.rule.message", "n-"},
    {"nothing matches", EVENT("org.example.data", "{}"), &usual, "none", "--"},
    {"no content", "{'type':'m.room.message'}", &usual, ".m.rule.message", "n-"},
    {"content of a wrong type", EVENT("m.room.message", "[1]"), &usual, ".m.rule.message", "n-"},
    {"not an event at all", "[]", &usual, "none", "--"},
};

static void outcome_text(const struct push_outcome *o, char text[50])
{
    snprintf(text, 50, "%c%c%s", o->notify ? 'n' : '-', o->highlight ? 'h' : '-',
             o->sound ? o->sound : "");
}

static void check(const json_t *ruleset, const struct row *r)
{
    json_auto_t *event = quoted(r->event);
    struct push_outcome o;
    char text[50];
    push_rules_evaluate(ruleset, event, r->context, &o);
    outcome_text(&o, text);
    const char *rule = rule_with_actions(ruleset, o.actions);
    if (strcmp(rule, r->rule_id) != 0)
        fail_msg("%s: met %s, not %s", r->proves, rule, r->rule_id);
    if (strcmp(text, r->outcome) != 0)
        fail_msg("%s: \"%s\", not \"%s\"", r->proves, text, r->outcome);
}

static void test_predefined_rules(void **state)
{
    json_auto_t *ruleset = push_rules_merge(ALICE, NULL);
    for (size_t i = 0; i < sizeof predefined_rows / sizeof *predefined_rows; i++)
        check(ruleset, &predefined_rows[i]);
}

static void test_master(void **state)
{
    json_t *stored;
    assert_null(push_rules_set_enabled(NULL, "override", ".m.rule.master", true, &stored));
    json_auto_t *ruleset = push_rules_merge(ALICE, stored);
    json_decref(stored);
    for (size_t i = 0; i < sizeof predefined_rows / sizeof *predefined_rows; i++) {
        struct row r = predefined_rows[i];
        r.rule_id = ".m.rule.master";
        r.outcome = "--";
        check(ruleset, &r);
    }
}

/* The users singled out, and whether a name may match. */
struct singled {
    const char *user_id;
    bool found;
};

static void find_user(void *ctx, const char *user_id)
{
    struct singled *s = ctx;
    s->found |= strcmp(s->user_id, user_id) == 0;
}

static bool is_singled_out(const json_t *event, const struct push_context *c)
{
    struct singled s = {c->user_id, false};
    push_rules_mentioned(event, find_user, &s);
    struct str body = push_rules_names_body(event);
    if (!body.p)
        return s.found;
    struct push_words words;
    push_words_init(&words, body);
    return s.found || push_words_contain(&words, STR("alice")) ||
           (c->display_name && push_words_contain(&words, str_of(c->display_name)));
}

/* For users who are not singled out, base and whole evaluation agree. */
static void test_base(void **state)
{
    json_auto_t *ruleset = push_rules_merge(ALICE, NULL);
    size_t singled = 0;
    for (size_t i = 0; i < sizeof predefined_rows / sizeof *predefined_rows; i++) {
        const struct row *r = &predefined_rows[i];
        json_auto_t *event = quoted(r->event);
        struct push_context anonymous = *r->context;
        anonymous.user_id = anonymous.display_name = NULL;
        struct push_outcome base = push_rules_evaluate_base(event, &anonymous), whole;
        push_rules_evaluate(ruleset, event, r->context, &whole);
        char base_text[50], whole_text[50];
        outcome_text(&base, base_text);
        outcome_text(&whole, whole_text);
        if (is_singled_out(event, r->context))
            singled++;
        else if (strcmp(base_text, whole_text) || !base.actions != !whole.actions ||
                 (base.actions && !json_equal(base.actions, whole.actions)))
            fail_msg("%s: base says \"%s\", not \"%s\"", r->proves, base_text, whole_text);
        bool personal = strcmp(r->rule_id, ".m.rule.is_user_mention") == 0 ||
                        strcmp(r->rule_id, ".m.rule.contains_display_name") == 0 ||
                        strcmp(r->rule_id, ".m.rule.contains_user_name") == 0 ||
                        strcmp(r->rule_id, ".m.rule.invite_for_me") == 0;
        if (personal && !is_singled_out(event, r->context))
            fail_msg("%s: not singled out", r->proves);
    }
    assert_in_range(singled, 5, sizeof predefined_rows / sizeof *predefined_rows / 2);
}

static void test_base_is_about_no_one(void **state)
{
    static const char *const events[] = {
        MESSAGE("Al * and alice"),
        MENTIONING("x", "{'user_ids':['@alice:example.org','']}"),
        STATE("m.room.message", "", "{'membership':'invite'}"),
    };
    for (size_t i = 0; i < sizeof events / sizeof *events; i++) {
        json_auto_t *event = quoted(events[i]);
        char text[50];
        struct push_outcome o = push_rules_evaluate_base(event, &usual);
        outcome_text(&o, text);
        assert_string_equal(text, "n-");
    }
}

#define RULE(conditions)                                                                           \
    "{'override':[{'rule_id':'x','enabled':true,'actions':['notify'],'conditions':[" conditions    \
    "]}]}"

static void test_conditions(void **state)
{
    static const char event[] =
        "{'type':'m.t','room_id':'!r:x','sender':'@b:x','state_key':'','content':{"
        "'topic':'Lunch plans','body':'An example event.','n':5,'yes':true,'nil':null,"
        "'real':5.0,'m.dot':{'a\\\\b':'found','':'empty name'},'list':['a',1,null,{'x':1},true],"
        "'deep':{'er':{'est':'here'}}}}";
    static const struct {
        const char *proves, *conditions;
        bool holds;
    } rows[] = {
        {"no conditions always match", "", true},
        {"event_match", "{'kind':'event_match','key':'content.topic','pattern':'lunc?*'}", true},
        {"event_match wants the whole value",
         "{'kind':'event_match','key':'content.topic','pattern':'plans'}", false},
        {"event_match on the body wants words",
         "{'kind':'event_match','key':'content.body','pattern':'example'}", true},
        {"event_match on the body wants whole words",
         "{'kind':'event_match','key':'content.body','pattern':'exampl'}", false},
        {"event_match on an absent member",
         "{'kind':'event_match','key':'content.x','pattern':'*'}", false},
        {"event_match on an integer", "{'kind':'event_match','key':'content.n','pattern':'*'}",
         false},
        {"event_match on null", "{'kind':'event_match','key':'content.nil','pattern':'*'}", false},
        {"event_match on an object", "{'kind':'event_match','key':'content.deep','pattern':'*'}",
         false},
        {"event_match without pattern", "{'kind':'event_match','key':'content.topic'}", false},
        {"event_match without key", "{'kind':'event_match','pattern':'*'}", false},
        {"event_match with a key of a wrong type", "{'kind':'event_match','key':1,'pattern':'*'}",
         false},
        {"the empty state key", "{'kind':'event_match','key':'state_key','pattern':''}", true},
        {"nested keys", "{'kind':'event_match','key':'content.deep.er.est','pattern':'here'}",
         true},
        {"escaped dot and backslash",
         "{'kind':'event_match','key':'content.m\\\\.dot.a\\\\\\\\b','pattern':'found'}", true},
        {"an unescaped dot descends",
         "{'kind':'event_match','key':'content.m.dot.a','pattern':'*'}", false},
        {"an empty name",
         "{'kind':'event_match','key':'content.m\\\\.dot.','pattern':'empty name'}", true},
        {"the empty key", "{'kind':'event_match','key':'','pattern':'*'}", false},
        {"property is a string",
         "{'kind':'event_property_is','key':'content.topic','value':'Lunch plans'}", true},
        {"property is exact",
         "{'kind':'event_property_is','key':'content.topic','value':'lunch plans'}", false},
        {"property is an integer", "{'kind':'event_property_is','key':'content.n','value':5}",
         true},
        {"property is no cast", "{'kind':'event_property_is','key':'content.n','value':'5'}",
         false},
        {"property is a boolean", "{'kind':'event_property_is','key':'content.yes','value':true}",
         true},
        {"property is another boolean",
         "{'kind':'event_property_is','key':'content.yes','value':false}", false},
        {"property is no integer", "{'kind':'event_property_is','key':'content.yes','value':1}",
         false},
        {"property is null", "{'kind':'event_property_is','key':'content.nil','value':null}", true},
        {"absent is not null", "{'kind':'event_property_is','key':'content.x','value':null}",
         false},
        {"property is without value", "{'kind':'event_property_is','key':'content.nil'}", false},
        {"fractions never match", "{'kind':'event_property_is','key':'content.real','value':5.0}",
         false},
        {"objects never match",
         "{'kind':'event_property_is','key':'content.deep','value':{'er':{'est':'here'}}}", false},
        {"contains a string", "{'kind':'event_property_contains','key':'content.list','value':'a'}",
         true},
        {"contains an integer", "{'kind':'event_property_contains','key':'content.list','value':1}",
         true},
        {"contains null", "{'kind':'event_property_contains','key':'content.list','value':null}",
         true},
        {"contains true", "{'kind':'event_property_contains','key':'content.list','value':true}",
         true},
        {"contains no part", "{'kind':'event_property_contains','key':'content.list','value':''}",
         false},
        {"contains ignores objects",
         "{'kind':'event_property_contains','key':'content.list','value':{'x':1}}", false},
        {"contains wants an array",
         "{'kind':'event_property_contains','key':'content.topic','value':'Lunch plans'}", false},
        {"member count", "{'kind':'room_member_count','is':'5'}", true},
        {"member count ==", "{'kind':'room_member_count','is':'==5'}", true},
        {"member count == not", "{'kind':'room_member_count','is':'==6'}", false},
        {"member count <", "{'kind':'room_member_count','is':'<6'}", true},
        {"member count < not", "{'kind':'room_member_count','is':'<5'}", false},
        {"member count >", "{'kind':'room_member_count','is':'>4'}", true},
        {"member count > not", "{'kind':'room_member_count','is':'>5'}", false},
        {"member count <=", "{'kind':'room_member_count','is':'<=5'}", true},
        {"member count <= not", "{'kind':'room_member_count','is':'<=4'}", false},
        {"member count >=", "{'kind':'room_member_count','is':'>=5'}", true},
        {"member count >= not", "{'kind':'room_member_count','is':'>=6'}", false},
        {"member count: no such operator", "{'kind':'room_member_count','is':'=5'}", false},
        {"member count: negative", "{'kind':'room_member_count','is':'>-1'}", false},
        {"member count: no number", "{'kind':'room_member_count','is':'>'}", false},
        {"member count: not a string", "{'kind':'room_member_count','is':5}", false},
        {"member count: too large", "{'kind':'room_member_count','is':'<99999999999999999999'}",
         false},
        {"permission for the room", "{'kind':'sender_notification_permission','key':'room'}", true},
        {"permission for another key", "{'kind':'sender_notification_permission','key':'org.x'}",
         true},
        {"permission beyond the sender's power",
         "{'kind':'sender_notification_permission','key':'org.high'}", false},
        {"permission without key", "{'kind':'sender_notification_permission'}", false},
        {"all must hold",
         "{'kind':'room_member_count','is':'5'},{'kind':'room_member_count','is':'6'}", false},
        {"unknown conditions match nothing", "{'kind':'org.example.future'}", false},
        {"a condition without kind", "{}", false},
        {"a condition that is no object", "5", false},
    };
    json_auto_t *e = quoted(event), *powers = quoted("{'org.high':51}");
    struct push_context c = usual;
    c.notify_powers = powers;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[400];
        snprintf(text, sizeof text, RULE("%s"), rows[i].conditions);
        json_auto_t *ruleset = quoted(text);
        struct push_outcome o;
        push_rules_evaluate(ruleset, e, &c, &o);
        if (o.notify != rows[i].holds || (o.actions != NULL) != rows[i].holds)
            fail_msg("%s", rows[i].proves);
    }
}

static void test_kinds_and_order(void **state)
{
    static const char *const rules[PUSH_KINDS] = {
        "{'rule_id':'o','enabled':%s,'actions':[],'conditions':[]}",
        "{'rule_id':'c','enabled':%s,'actions':[],'pattern':'hi'}",
        "{'rule_id':'!r:x','enabled':%s,'actions':[]}",
        "{'rule_id':'@bob:x','enabled':%s,'actions':[]}",
        "{'rule_id':'u','enabled':%s,'actions':[],'conditions':[]}",
    };
    static const char *const ids[] = {"o", "c", "!r:x", "@bob:x", "u", "none"};
    for (size_t off = 0; off <= PUSH_KINDS; off++) { /* the first `off` kinds are disabled */
        char text[800] = "{";
        for (size_t kind = 0; kind < PUSH_KINDS; kind++) {
            size_t n = strlen(text);
            n += (size_t)snprintf(text + n, sizeof text - n, "%s'%s':[", kind ? "," : "",
                                  push_kind_names[kind]);
            n += (size_t)snprintf(text + n, sizeof text - n, rules[kind],
                                  kind < off ? "false" : "true");
            snprintf(text + n, sizeof text - n, "]%s", kind + 1 == PUSH_KINDS ? "}" : "");
        }
        json_auto_t *ruleset = quoted(text);
        struct row r = {"the first enabled kind", MESSAGE("hi"), &usual, ids[off], "--"};
        check(ruleset, &r);
    }
}

static void test_own_kinds_not_matching(void **state)
{
    json_auto_t *ruleset = quoted("{'content':[{'rule_id':'c','enabled':true,'actions':['notify'],"
                                  "'pattern':'hi'}],"
                                  "'room':[{'rule_id':'!other:x','enabled':true,'actions':[]}],"
                                  "'sender':[{'rule_id':'@carol:x','enabled':true,'actions':[]}]}");
    struct row rows[] = {
        {"no rule of ours", MESSAGE("ho"), &usual, "none", "--"},
        {"a content rule needs a body", EVENT("m.room.message", "{'body':1}"), &usual, "none",
         "--"},
        {"a content rule takes any type", EVENT("org.x", "{'body':'hi'}"), &usual, "c", "n-"},
        {"a user's own content rule ignores mentions", MENTIONING("hi", "{}"), &usual, "c", "n-"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        check(ruleset, &rows[i]);
}

static void test_actions(void **state)
{
    static const struct row rows[] = {
        {"notify", "['notify']", NULL, NULL, "n-"},
        {"none", "[]", NULL, NULL, "--"},
        {"historical actions do nothing", "['dont_notify','coalesce']", NULL, NULL, "--"},
        {"historical actions take nothing away", "['dont_notify','notify']", NULL, NULL, "n-"},
        {"sound", "['notify',{'set_tweak':'sound','value':'bing'}]", NULL, NULL, "n-bing"},
        {"sound without value", "['notify',{'set_tweak':'sound'}]", NULL, NULL, "n-"},
        {"highlight", "['notify',{'set_tweak':'highlight'}]", NULL, NULL, "nh"},
        {"highlight true", "['notify',{'set_tweak':'highlight','value':true}]", NULL, NULL, "nh"},
        {"highlight false", "['notify',{'set_tweak':'highlight','value':false}]", NULL, NULL, "n-"},
        {"other tweaks", "['notify',{'set_tweak':'org.flash','value':1}]", NULL, NULL, "n-"},
        {"strange actions", "[1,null,[],{'x':1},'org.unknown']", NULL, NULL, "--"},
    };
    json_auto_t *event = quoted(MESSAGE("hi"));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        json_auto_t *ruleset = quoted(RULE(""));
        json_t *rule = json_array_get(json_object_get(ruleset, "override"), 0);
        json_object_set_new(rule, "actions", quoted(rows[i].event));
        struct push_outcome o;
        char text[50];
        push_rules_evaluate(ruleset, event, &usual, &o);
        outcome_text(&o, text);
        if (strcmp(text, rows[i].outcome) != 0)
            fail_msg("%s: \"%s\"", rows[i].proves, text);
    }
}

/* The maximum of rules and conditions, none of which fails before its end. */
static json_t *costly_rules(void)
{
    json_t *overrides = json_array(), *contents = json_array();
    for (int i = 0; i < PUSH_RULES_MAX; i++) {
        json_t *conditions = json_array();
        for (int k = 0; i % 2 && k < PUSH_CONDITIONS_MAX; k++)
            json_array_append_new(conditions, quoted("{'kind':'event_match','key':'content.body',"
                                                     "'pattern':'*a?a*a'}"));
        json_array_append_new(conditions, quoted("{'kind':'event_match','key':'content.body',"
                                                 "'pattern':'*a?a*b'}"));
        json_array_append_new(overrides,
                              json_pack("{s:s, s:b, s:b, s:o, s:[s]}", "rule_id", "o", "default", 0,
                                        "enabled", 1, "conditions", conditions, "actions", "x"));
        json_array_append_new(contents, quoted("{'rule_id':'c','default':false,'enabled':true,"
                                               "'actions':[],'pattern':'*a?a*b'}"));
    }
    return json_pack("{s:{s:o, s:o}}", "rules", "override", overrides, "content", contents);
}

static void test_steps_are_bounded(void **state)
{
    enum { BODY = 60000 };
    char *body = malloc(BODY + 1);
    memset(body, 'a', BODY);
    body[BODY] = 0;
    json_auto_t *stored = costly_rules();
    json_auto_t *ruleset = push_rules_merge("@alice:x", stored);
    json_auto_t *event = quoted(MESSAGE("hi"));
    struct push_context c = usual;
    struct push_outcome o;
    json_object_set_new(json_object_get(event, "content"), "body", json_string(body));
    push_rules_evaluate(ruleset, event, &c, &o);
    assert_int_equal(o.steps, PUSH_STEPS_MAX);
    assert_true(o.notify); /* by .m.rule.message */
    c.steps_max = 100;
    push_rules_evaluate(ruleset, event, &c, &o);
    assert_int_equal(o.steps, 100);
    assert_true(o.notify);
    /* Real rules are far smaller. */
    json_object_set_new(json_object_get(event, "content"), "body", json_string("a word or two"));
    json_auto_t *few = quoted("{'rules':{'content':[{'rule_id':'c','default':false,'enabled':true,"
                              "'actions':[],'pattern':'two'}]}}");
    json_auto_t *usual_rules = push_rules_merge("@alice:x", few);
    push_rules_evaluate(usual_rules, event, &usual, &o);
    assert_false(o.notify);
    assert_true(o.steps < 100);
    free(body);
}

static void add_name(void *ctx, const char *user_id)
{
    strcat(strcat(ctx, user_id), " ");
}

static void test_mentioned(void **state)
{
    static const struct {
        const char *proves, *event, *users;
        bool names;
    } rows[] = {
        {"no user, but names matter", MESSAGE("hi"), "", true},
        {"all users of the list", MENTIONING("hi", "{'user_ids':['@a:x','@b:x']}"), "@a:x @b:x ",
         false},
        {"mentions alone switch names off", MENTIONING("hi", "{}"), "", false},
        {"values that are no user ids are left out",
         MENTIONING("hi", "{'user_ids':[1,'@a:x',{},'@n\\u0000:x']}"), "@a:x ", false},
        {"not a list", MENTIONING("hi", "{'user_ids':'@a:x'}"), "", false},
        {"the invited", STATE("m.room.member", "@i:x", "{'membership':'invite'}"), "@i:x ", false},
        {"not the joined", STATE("m.room.member", "@i:x", "{'membership':'join'}"), "", false},
        {"no body, no names", EVENT("m.room.encrypted", "{}"), "", false},
        {"an empty body", MESSAGE(""), "", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        json_auto_t *event = quoted(rows[i].event);
        char users[200] = "";
        push_rules_mentioned(event, add_name, users);
        if (strcmp(users, rows[i].users) || !push_rules_names_body(event).p == rows[i].names)
            fail_msg("%s: \"%s\"", rows[i].proves, users);
    }
}

static void test_names(void **state)
{
    static const struct {
        const char *proves, *name, *body;
        bool there;
    } rows[] = {
        {"one word", "alice", "hi Alice!", true},
        {"not a part of one", "ali", "hi alice", false},
        {"several words", "Alice B. Toklas", "dear alice b. toklas,", true},
        {"the words alone are not enough", "Alice Bob", "Bob and Alice", false},
        {"wildcards are ordinary", "a*e", "alice", false},
        {"a name with signs", "a.b=c", "so a.b=c said", true},
        {"no words at all", ":-)", "hello :-)", true},
        {"another alphabet", "\xd0\x98\xd0\xb2\xd0\xb0\xd0\xbd",
         "\xd0\xb8\xd0\xb2\xd0\xb0\xd0\xbd!", true},
        {"mixed", "\xc3\x89lodie", "ma ch\xc3\xa9re \xc3\xa9lodie", true},
        {"a name across accents is the caller's", "leon", "l\xc3\xa9on", false},
        {"mixed, absent", "\xc3\x89lodie", "melodie", false},
        {"the empty name", "", "x", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct push_words words;
        push_words_init(&words, str_of(rows[i].body));
        if (push_words_contain(&words, str_of(rows[i].name)) != rows[i].there)
            fail_msg("%s", rows[i].proves);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_predefined_rules),
        cmocka_unit_test(test_master),
        cmocka_unit_test(test_base),
        cmocka_unit_test(test_base_is_about_no_one),
        cmocka_unit_test(test_conditions),
        cmocka_unit_test(test_kinds_and_order),
        cmocka_unit_test(test_own_kinds_not_matching),
        cmocka_unit_test(test_actions),
        cmocka_unit_test(test_steps_are_bounded),
        cmocka_unit_test(test_mentioned),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
