#include "tests/unit/json_quotes.h"

#include "matrix/filter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static void test_defaults(void **state)
{
    arena_auto struct arena *a = arena_create();
    static const char *const empty[] = {NULL, "{}", "{'room':{},'presence':{}}", "{'room':null}",
                                        "{'org.example.unknown':[1],'room':{'unknown':1}}"};
    for (size_t i = 0; i < sizeof empty / sizeof *empty; i++) {
        json_auto_t *json = quoted(empty[i]);
        struct filter f;
        assert_null(filter_parse(a, json, &f));
        const struct event_filter *parts[] = {&f.presence, &f.account_data, &f.timeline,
                                              &f.state,    &f.ephemeral,    &f.room_account_data};
        for (size_t p = 0; p < 6; p++) {
            assert_true(parts[p]->matches_everything);
            assert_int_equal(parts[p]->contains_url, -1);
            assert_false(parts[p]->limit_given);
        }
        assert_true(filter_wants_room(&f, "!any:x"));
        assert_false(f.include_leave || f.format_federation || f.event_fields.present);
    }
}

static void test_all_members(void **state)
{
    arena_auto struct arena *a = arena_create();
    json_t *json = quoted(
        "{'presence':{'types':['m.presence'],'limit':3,'rooms':['!ignored:x']},"
        "'account_data':{'not_types':['*'],'limit':0},'event_format':'federation',"
        "'event_fields':['content.body'],'room':{'rooms':['!a:x','!b:x'],'not_rooms':['!b:x'],"
        "'include_leave':true,'timeline':{'limit':7.0,'senders':['@a:x'],'not_senders':['@b:x'],"
        "'rooms':['!a:x'],'not_rooms':['!c:x'],'contains_url':false,'lazy_load_members':true,"
        "'include_redundant_members':true,'unread_thread_notifications':true,"
        "'related_by_senders':['@c:x'],'related_by_rel_types':['m.thread']},"
        "'state':{'contains_url':true,'io.element.relation_senders':['@d:x'],"
        "'io.element.relation_types':['m.x'],"
        "'org.matrix.msc3773.unread_thread_notifications':true},"
        "'ephemeral':{'types':[]},'account_data':{'not_types':['m.tag']}}}");
    struct filter f;
    assert_null(filter_parse(a, json, &f));
    json_decref(json); /* the filter borrows nothing */
    assert_int_equal(f.presence.limit, 3);
    assert_string_equal(f.presence.types.items[0], "m.presence");
    assert_false(f.presence.rooms.present);
    assert_true(f.account_data.limit_given && f.account_data.limit == 0);
    assert_true(f.format_federation && f.include_leave);
    assert_string_equal(f.event_fields.items[0], "content.body");
    assert_true(filter_wants_room(&f, "!a:x"));
    assert_false(filter_wants_room(&f, "!b:x") || filter_wants_room(&f, "!d:x"));
    assert_int_equal(f.timeline.limit, 7);
    assert_int_equal(f.timeline.contains_url, 0);
    assert_true(f.timeline.lazy_load_members && f.timeline.include_redundant_members);
    assert_true(f.timeline.unread_thread_notifications && f.state.unread_thread_notifications);
    assert_string_equal(f.timeline.related_by_senders.items[0], "@c:x");
    assert_string_equal(f.timeline.related_by_rel_types.items[0], "m.thread");
    assert_string_equal(f.state.related_by_senders.items[0], "@d:x");
    assert_string_equal(f.state.related_by_rel_types.items[0], "m.x");
    assert_int_equal(f.state.contains_url, 1);
    assert_true(f.ephemeral.types.present && f.ephemeral.types.n == 0);
    assert_string_equal(f.room_account_data.not_types.items[0], "m.tag");
    const struct event_filter *parts[] = {&f.presence, &f.account_data, &f.timeline,
                                          &f.state,    &f.ephemeral,    &f.room_account_data};
    for (size_t p = 0; p < 6; p++)
        assert_false(parts[p]->matches_everything);
}

static void test_refusals(void **state)
{
    static const struct {
        const char *proves, *json, *errcode;
    } rows[] = {
        {"not an object", "[]", "M_BAD_JSON"},
        {"room is not an object", "{'room':[]}", "M_BAD_JSON"},
        {"timeline is not an object", "{'room':{'timeline':'x'}}", "M_BAD_JSON"},
        {"presence is not an object", "{'presence':1}", "M_BAD_JSON"},
        {"types is not a list", "{'presence':{'types':'m.presence'}}", "M_BAD_JSON"},
        {"a type is not a string", "{'room':{'state':{'types':[1]}}}", "M_BAD_JSON"},
        {"a type with NUL", "{'room':{'state':{'types':['a\\u0000b']}}}", "M_BAD_JSON"},
        {"a sender is no user id", "{'room':{'timeline':{'senders':['bob']}}}", "M_INVALID_PARAM"},
        {"an excluded sender is no user id", "{'presence':{'not_senders':['!bob:x']}}",
         "M_INVALID_PARAM"},
        {"a room is no room id", "{'room':{'rooms':['#alias:x']}}", "M_INVALID_PARAM"},
        {"an excluded room is no room id", "{'room':{'not_rooms':['']}}", "M_INVALID_PARAM"},
        {"rooms of a part", "{'room':{'ephemeral':{'rooms':['x']}}}", "M_INVALID_PARAM"},
        {"a negative limit", "{'room':{'timeline':{'limit':-1}}}", "M_INVALID_PARAM"},
        {"a limit that is text", "{'room':{'timeline':{'limit':'5'}}}", "M_BAD_JSON"},
        {"unknown format", "{'event_format':'xml'}", "M_INVALID_PARAM"},
        {"format of a wrong type", "{'event_format':1}", "M_BAD_JSON"},
        {"fields of a wrong type", "{'event_fields':['a',{}]}", "M_BAD_JSON"},
        {"a flag of a wrong type", "{'room':{'state':{'lazy_load_members':'yes'}}}", "M_BAD_JSON"},
        {"contains_url of a wrong type", "{'room':{'state':{'contains_url':1}}}", "M_BAD_JSON"},
        {"include_leave of a wrong type", "{'room':{'include_leave':1}}", "M_BAD_JSON"},
    };
    arena_auto struct arena *a = arena_create();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        json_auto_t *json = quoted(rows[i].json);
        struct filter f;
        const struct err *e = filter_parse(a, json, &f);
        if (!e || strcmp(err_errcode(e), rows[i].errcode) != 0)
            fail_msg("%s: %s", rows[i].proves, e ? err_errcode(e) : "accepted");
    }
}

static void test_bounds(void **state)
{
    arena_auto struct arena *a = arena_create();
    struct event_filter f;
    json_auto_t *json = quoted("{'types':[],'limit':1e300}");
    for (size_t i = 0; i < FILTER_LIST_MAX; i++)
        json_array_append_new(json_object_get(json, "types"), json_string("x"));
    assert_null(filter_parse_event(a, json, &f));
    assert_int_equal(f.limit, INT32_MAX);
    json_array_append_new(json_object_get(json, "types"), json_string("x"));
    assert_int_equal(filter_parse_event(a, json, &f)->code, ERR_INVALID_PARAM);
    for (int not = 0; not < 2; not ++) {
        const char *key = not ? "not_types" : "types";
        json_auto_t *globs = quoted("{}");
        json_object_set_new(globs, key, json_array());
        for (size_t i = 0; i < FILTER_GLOBS_MAX; i++)
            json_array_append_new(json_object_get(globs, key), json_string("*x*y"));
        assert_null(filter_parse_event(a, globs, &f));
        json_array_append_new(json_object_get(globs, key), json_string("exact"));
        assert_null(filter_parse_event(a, globs, &f));
        json_array_append_new(json_object_get(globs, key), json_string("m.*"));
        assert_int_equal(filter_parse_event(a, globs, &f)->code, ERR_INVALID_PARAM);
    }
}

static void test_matching(void **state)
{
    static const struct filter_subject bob = {"m.room.message", "@bob:x", "!r:x", true, "m.thread"};
    static const struct filter_subject data = {"m.tag", NULL, NULL, false, NULL};
    static const struct {
        const char *proves, *json;
        const struct filter_subject *subject;
        bool matches;
    } rows[] = {
        {"nothing given", "{}", &bob, true},
        {"a limit excludes nothing", "{'limit':1}", &bob, true},
        {"type listed", "{'types':['m.x','m.room.message']}", &bob, true},
        {"type not listed", "{'types':['m.x']}", &bob, false},
        {"types empty", "{'types':[]}", &bob, false},
        {"type by wildcard", "{'types':['m.room.*']}", &bob, true},
        {"type by wildcard inside", "{'types':['m.*.message']}", &bob, true},
        {"type wildcard is anchored", "{'types':['room.*']}", &bob, false},
        {"types are case-sensitive", "{'types':['m.room.Message']}", &bob, false},
        {"? is no wildcard here", "{'types':['m.room.messag?']}", &bob, false},
        {"type excluded", "{'not_types':['m.room.message']}", &bob, false},
        {"type excluded by wildcard", "{'not_types':['*']}", &bob, false},
        {"exclusion wins", "{'types':['m.room.message'],'not_types':['m.*']}", &bob, false},
        {"another type excluded", "{'not_types':['m.x']}", &bob, true},
        {"exclusion list empty", "{'not_types':[]}", &bob, true},
        {"sender listed", "{'senders':['@bob:x']}", &bob, true},
        {"sender not listed", "{'senders':['@carol:x']}", &bob, false},
        {"sender excluded", "{'senders':['@bob:x'],'not_senders':['@bob:x']}", &bob, false},
        {"no sender is not listed", "{'senders':['@bob:x']}", &data, false},
        {"no sender is not excluded", "{'not_senders':['@bob:x']}", &data, true},
        {"room listed", "{'rooms':['!r:x']}", &bob, true},
        {"room not listed", "{'rooms':[]}", &bob, false},
        {"room excluded", "{'not_rooms':['!r:x']}", &bob, false},
        {"url wanted", "{'contains_url':true}", &bob, true},
        {"url wanted, none present", "{'contains_url':true}", &data, false},
        {"url unwanted", "{'contains_url':false}", &bob, false},
        {"url unwanted, none present", "{'contains_url':false}", &data, true},
        {"relation listed", "{'org.matrix.msc3874.rel_types':['m.thread']}", &bob, true},
        {"relation not listed", "{'org.matrix.msc3874.rel_types':['m.x']}", &bob, false},
        {"no relation is not listed", "{'org.matrix.msc3874.rel_types':['m.x']}", &data, false},
        {"relation excluded", "{'org.matrix.msc3874.not_rel_types':['m.thread']}", &bob, false},
        {"no relation is not excluded", "{'org.matrix.msc3874.not_rel_types':['m.thread']}", &data,
         true},
        {"fields that only the database has", "{'related_by_rel_types':['m.x']}", &bob, true},
        {"all must agree", "{'types':['m.*'],'senders':['@carol:x']}", &bob, false},
    };
    arena_auto struct arena *a = arena_create();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        json_auto_t *json = quoted(rows[i].json);
        struct event_filter f;
        assert_null(filter_parse_event(a, json, &f));
        if (filter_matches(&f, rows[i].subject) != rows[i].matches)
            fail_msg("%s", rows[i].proves);
    }
}

static void test_fields(void **state)
{
    static const char event[] = "{'type':'t','sender':'@a:x','content':{'body':'b','msgtype':'m',"
                                "'m.relates_to':{'rel_type':'r','event_id':'$e'},'nil':null}}";
    static const struct {
        const char *proves, *fields, *wanted;
    } rows[] = {
        {"none given", "{}", event},
        {"an empty list", "{'event_fields':[]}", event},
        {"one", "{'event_fields':['type']}", "{'type':'t'}"},
        {"a nested one", "{'event_fields':['content.body']}", "{'content':{'body':'b'}}"},
        {"two of one object", "{'event_fields':['content.body','content.nil','sender']}",
         "{'sender':'@a:x','content':{'body':'b','nil':null}}"},
        {"an escaped dot", "{'event_fields':['content.m\\\\.relates_to.rel_type']}",
         "{'content':{'m.relates_to':{'rel_type':'r'}}}"},
        {"an unescaped dot", "{'event_fields':['content.m.relates_to']}", "{}"},
        {"absent fields leave nothing", "{'event_fields':['x','content.x.y','type.z','']}", "{}"},
        {"a part, then the whole",
         "{'event_fields':['content.m\\\\.relates_to.rel_type',"
         "'content.m\\\\.relates_to']}",
         "{'content':{'m.relates_to':{'rel_type':'r','event_id':'$e'}}}"},
        {"the whole, then a part",
         "{'event_fields':['content.m\\\\.relates_to',"
         "'content.m\\\\.relates_to.rel_type']}",
         "{'content':{'m.relates_to':{'rel_type':'r','event_id':'$e'}}}"},
    };
    arena_auto struct arena *a = arena_create();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        json_auto_t *json = quoted(rows[i].fields), *e = quoted(event), *same = quoted(event);
        json_auto_t *wanted = quoted(rows[i].wanted);
        struct filter f;
        assert_null(filter_parse(a, json, &f));
        json_auto_t *got = filter_fields(&f, e);
        if (!json_equal(got, wanted))
            fail_msg("%s", rows[i].proves);
        if (!json_equal(e, same))
            fail_msg("%s: the event was changed", rows[i].proves);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults), cmocka_unit_test(test_all_members),
        cmocka_unit_test(test_refusals), cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_matching), cmocka_unit_test(test_fields),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
