#include "tests/unit/json_quotes.h"

#include "server/sliding/connection.h"
#include "server/sliding/order.h"
#include "server/sliding/request.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define ME "@me:x"

/* ---- states of a connection ---- */

static void check_same(const struct sliding_state *a, const struct sliding_state *b)
{
    assert_int_equal(a->rooms_n, b->rooms_n);
    for (size_t i = 0; i < a->rooms_n; i++) {
        assert_int_equal(a->rooms[i].room, b->rooms[i].room);
        assert_int_equal(a->rooms[i].until, b->rooms[i].until);
        assert_int_equal(a->rooms[i].timeline_limit, b->rooms[i].timeline_limit);
        assert_int_equal(a->rooms[i].is_dm, b->rooms[i].is_dm);
        assert_true(str_eq(a->configs[a->rooms[i].config], b->configs[b->rooms[i].config]));
    }
}

static const struct sliding_state nothing = {0};

static void a_state_is_read_as_it_was_written(void **state)
{
    arena_auto struct arena *a = arena_create();
    struct sliding_draft d;
    sliding_draft_init(&d, a, &nothing);
    assert_true(sliding_draft_is_empty(&d));
    for (int i = 300; i > 0; i--) /* in any order */
        sliding_draft_put(&d, &(struct sliding_sent){
                                  .room = i * INT64_C(1000000007),
                                  .until = i % 3 ? 0 : i * INT64_C(99999999999),
                                  .config = sliding_draft_config(&d, i % 2 ? STR("odd") : STR("")),
                                  .timeline_limit = (uint16_t)(i % 101),
                                  .is_dm = i % 5 == 0});
    struct sliding_state *s = sliding_draft_finish(&d, 7);
    buf_auto struct buf b = {0};
    sliding_state_encode(s, &b);
    struct sliding_state *again = sliding_state_decode(7, buf_str(&b));
    check_same(s, again);
    assert_int_equal(again->number, 7);
    assert_int_equal(sliding_state_find(again, 5 * INT64_C(1000000007))->is_dm, true);
    assert_null(sliding_state_find(again, 6));
    for (size_t n = 0; n < b.n; n++)
        assert_null(sliding_state_decode(7, (struct str){b.p, n}));
    sliding_state_unref(s);
    sliding_state_unref(again);
}

static void a_live_room_takes_few_bytes(void **state)
{
    arena_auto struct arena *a = arena_create();
    struct sliding_draft d;
    sliding_draft_init(&d, a, &nothing);
    for (int i = 1; i <= 3000; i++)
        sliding_draft_put(&d, &(struct sliding_sent){.room = i * 9,
                                                     .config = sliding_draft_config(&d, STR("c")),
                                                     .timeline_limit = 20});
    struct sliding_state *s = sliding_draft_finish(&d, 1);
    buf_auto struct buf b = {0};
    sliding_state_encode(s, &b);
    assert_true(b.n < 4 * 3000);
    sliding_state_unref(s);
}

static void a_draft_changes_adds_and_removes(void **state)
{
    arena_auto struct arena *a = arena_create();
    struct sliding_draft d;
    sliding_draft_init(&d, a, &nothing);
    for (int i = 1; i <= 5; i++)
        sliding_draft_put(&d, &(struct sliding_sent){.room = i * 10,
                                                     .config = sliding_draft_config(&d, STR("a"))});
    struct sliding_state *first = sliding_draft_finish(&d, 1);
    sliding_draft_init(&d, a, first);
    uint16_t other = sliding_draft_config(&d, STR("b"));
    assert_int_equal(sliding_draft_config(&d, STR("b")), other);
    sliding_draft_put(&d, &(struct sliding_sent){.room = 20, .config = other, .until = 3});
    sliding_draft_remove(&d, 30);
    sliding_draft_remove(&d, 31); /* never there */
    sliding_draft_put(&d, &(struct sliding_sent){.room = 60, .config = other});
    struct sliding_state *second = sliding_draft_finish(&d, 2);
    assert_int_equal(second->rooms_n, 5);
    assert_null(sliding_state_find(second, 30));
    assert_int_equal(sliding_state_find(second, 20)->until, 3);
    assert_int_equal(sliding_state_find(first, 20)->until, 0);
    assert_true(str_is(second->configs[sliding_state_find(second, 60)->config], "b"));
    sliding_draft_init(&d, a, second);
    for (int i = 1; i <= 5; i++)
        sliding_draft_put(&d, &(struct sliding_sent){.room = i * 10, .config = other});
    struct sliding_state *third = sliding_draft_finish(&d, 3);
    assert_int_equal(third->configs_n, 1); /* what no room has is dropped */
    sliding_state_unref(first);
    sliding_state_unref(second);
    sliding_state_unref(third);
}

/* ---- lists ---- */

static void check_order(const struct sliding_order *o, const int *rooms, size_t n)
{
    assert_int_equal(o->n, n);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(o->rooms[i].room, rooms[i]);
}

static void the_newest_activity_comes_first(void **state)
{
    struct sliding_orders *all = sliding_orders_create(1);
    struct sliding_order *o = &all->lists[0];
    o->filters = strdup("{}");
    sliding_order_add(o, 1, 10);
    sliding_order_add(o, 2, 30);
    sliding_order_add(o, 3, 20);
    sliding_order_add(o, 4, 20);
    sliding_order_sort(o);
    check_order(o, (int[]){2, 4, 3, 1}, 4);
    sliding_order_remove(o, sliding_order_find(o, 3));
    sliding_order_insert(o, 3, 40);
    check_order(o, (int[]){3, 2, 4, 1}, 4);
    sliding_order_insert(o, 5, 5);
    sliding_order_insert(o, 6, 25);
    check_order(o, (int[]){3, 2, 6, 4, 1, 5}, 6);
    assert_int_equal(sliding_order_find(o, 9), 6);
    struct sliding_order taken = {0};
    assert_false(sliding_orders_take(all, STR("x"), &taken));
    assert_true(sliding_orders_take(all, STR("{}"), &taken));
    assert_false(sliding_orders_take(all, STR("{}"), &taken));
    assert_int_equal(taken.n, 6);
    free(taken.filters);
    free(taken.rooms);
    sliding_orders_destroy(all);
}

/* ---- required state ---- */

static struct required_rule parsed(struct arena *a, const char *quotes)
{
    json_auto_t *json = quoted(quotes);
    struct required_rule rule;
    const struct err *e = json_is_array(json) ? required_parse_pairs(a, json, &rule)
                                              : required_parse_object(a, json, &rule);
    assert_null(e);
    return rule;
}

static const struct {
    const char *proves, *rule, *wanted, *unwanted; /* "type|key type|key" */
} required_rows[] = {
    {"a pair", "[['m.a','']]", "m.a|", "m.a|x m.b|"},
    {"any key", "[['m.a','*']]", "m.a| m.a|x", "m.b|"},
    {"any type", "[['*','k']]", "m.a|k m.b|k", "m.a|"},
    {"everything", "[['*','*']]", "m.a| m.room.member|@a:x", ""},
    {"$ME", "[['m.room.member','$ME']]", "m.room.member|@me:x", "m.room.member|@a:x"},
    {"$LAZY", "[['m.room.member','$LAZY']]", "", "m.room.member|@a:x"},
    {"everything but members", "[['*','*'],['m.room.member','$LAZY']]", "m.a|x",
     "m.room.member|@a:x"},
    {"everything, of a type less", "[['*','*'],['m.a','k']]", "m.a|k m.b|z", "m.a|x"},
    {"the accepted form", "{'include':[{'type':'m.a','state_key':''}]}", "m.a|", "m.a|x m.b|"},
    {"an empty element", "{'include':[{}]}", "m.a|x m.room.member|@a:x", ""},
    {"exclude", "{'include':[{}],'exclude':[{'type':'m.a'}]}", "m.b|", "m.a| m.a|x"},
    {"lazy_members", "{'include':[{}],'lazy_members':true}", "m.b|", "m.room.member|@a:x"},
    {"lazy and one user",
     "{'include':[{},{'type':'m.room.member','state_key':'@a:x'}],'lazy_members':true}",
     "m.room.member|@a:x", "m.room.member|@b:x"},
    {"nothing", "{}", "", "m.a|"},
};

static void check_wants(const struct required *r, const char *list, bool wanted, const char *proves)
{
    char copy[256], *rest = copy;
    snprintf(copy, sizeof copy, "%s", list);
    for (char *one; (one = strsep(&rest, " ")) && *one;) {
        char *key = strchr(one, '|');
        *key++ = '\0';
        if (required_wants(r, one, key) != wanted)
            fail_msg("%s: %s %s", proves, one, key);
    }
}

static void rules_say_which_state_is_required(void **state)
{
    arena_auto struct arena *a = arena_create();
    for (size_t i = 0; i < sizeof required_rows / sizeof *required_rows; i++) {
        struct required_rule rule = parsed(a, required_rows[i].rule);
        struct required r = {.me = ME}, again;
        required_add(&r, &rule);
        assert_true(required_decode(a, required_code(a, &r), ME, &again));
        for (int turn = 0; turn < 2; turn++) {
            const struct required *of = turn ? &again : &r;
            check_wants(of, required_rows[i].wanted, true, required_rows[i].proves);
            check_wants(of, required_rows[i].unwanted, false, required_rows[i].proves);
        }
    }
}

static void combined_rules_want_what_any_wants(void **state)
{
    arena_auto struct arena *a = arena_create();
    struct required_rule lazy = parsed(a, "[['m.room.member','$LAZY'],['m.a','']]");
    struct required_rule some = parsed(a, "[['m.b',''],['m.room.member','$ME']]");
    struct required_rule all = parsed(a, "[['m.room.member','*']]");
    struct required r = {.me = ME}, other_way = {.me = ME};
    required_add(&r, &lazy);
    required_add(&r, &some);
    required_add(&r, &some);
    assert_int_equal(r.n, 2);
    required_add(&other_way, &some);
    required_add(&other_way, &lazy);
    assert_true(str_eq(required_code(a, &r), required_code(a, &other_way)));
    check_wants(&r, "m.a| m.b|", true, "combined");
    assert_true(required_is_lazy(&r) && !required_has_all_members(&r));
    size_t n;
    const char *const *members = required_members(a, &r, &n);
    assert_int_equal(n, 1);
    assert_string_equal(members[0], ME);
    required_add(&r, &all);
    assert_true(!required_is_lazy(&r) && required_has_all_members(&r));
    struct required_rule any_type = parsed(a, "{'include':[{'state_key':''}],'lazy_members':true}");
    struct required of_key = {.me = ME};
    required_add(&of_key, &any_type);
    assert_true(required_is_lazy(&of_key) && !required_has_all_members(&of_key));
}

/* ---- requests ---- */

#define LIST(more) "{'lists':{'a':{'timeline_limit':1,'required_state':[]" more "}}}"

static const struct {
    const char *errcode, *body;
} refused[] = {
    {"M_BAD_JSON", "[]"},
    {"M_BAD_JSON", "{'conn_id':1}"},
    {"M_BAD_JSON", "{'lists':[]}"},
    {"M_BAD_JSON", "{'lists':{'a':1}}"},
    {"M_MISSING_PARAM", "{'lists':{'a':{'required_state':[]}}}"},
    {"M_INVALID_PARAM", "{'lists':{'a':{'required_state':[],'timeline_limit':-1}}}"},
    {"M_BAD_JSON", "{'lists':{'a':{'required_state':{},'timeline_limit':1}}}"},
    {"M_BAD_JSON", "{'lists':{'a':{'required_state':[['m.a']],'timeline_limit':1}}}"},
    {"M_BAD_JSON", "{'lists':{'a':{'required_state':[['m.a',1]],'timeline_limit':1}}}"},
    {"M_BAD_JSON", LIST(",'ranges':[1]")},
    {"M_BAD_JSON", LIST(",'ranges':[[0,1,2]]")},
    {"M_BAD_JSON", LIST(",'ranges':[[0,'1']]")},
    {"M_INVALID_PARAM", LIST(",'ranges':[[-1,1]]")},
    {"M_INVALID_PARAM", LIST(",'ranges':[[2,1]]")},
    {"M_BAD_JSON", LIST(",'filters':{'is_dm':'x'}")},
    {"M_BAD_JSON", LIST(",'filters':{'spaces':[1]}")},
    {"M_BAD_JSON", LIST(",'filters':{'tags':[null]}")},
    {"M_INVALID_PARAM", "{'room_subscriptions':{'x':{'timeline_limit':1,'required_state':[]}}}"},
    {"M_MISSING_PARAM", "{'room_subscriptions':{'!a:x':{'required_state':[]}}}"},
    {"M_BAD_JSON", "{'extensions':{'e2ee':{'enabled':1}}}"},
};

static void bad_requests_are_refused(void **state)
{
    arena_auto struct arena *a = arena_create();
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        json_auto_t *json = quoted(refused[i].body);
        struct sliding_request r;
        const struct err *e = sliding_request_parse(a, json, false, &r);
        if (!e || strcmp(err_errcode(e), refused[i].errcode) != 0)
            fail_msg("%s: %s", refused[i].body, e ? err_errcode(e) : "accepted");
    }
}

static void numbers_are_bounded(void **state)
{
    arena_auto struct arena *a = arena_create();
    json_auto_t *lists = json_object(), *rooms = json_object();
    char name[32];
    for (int i = 0; i <= SLIDING_LISTS_MAX; i++) {
        snprintf(name, sizeof name, "!%d:x", i);
        json_object_set_new(lists, name,
                            json_pack("{s:i, s:[]}", "timeline_limit", 1, "required_state"));
        json_object_set_new(rooms, name, json_pack("{s:i}", "timeline_limit", 999999));
    }
    json_auto_t *many_lists = json_pack("{s:O}", "lists", lists);
    json_auto_t *many_rooms = json_pack("{s:O}", "room_subscriptions", rooms);
    struct sliding_request r;
    assert_string_equal(err_errcode(sliding_request_parse(a, many_lists, false, &r)),
                        "M_INVALID_PARAM");
    assert_string_equal(err_errcode(sliding_request_parse(a, many_rooms, true, &r)),
                        "M_INVALID_PARAM");
    assert_null(sliding_request_parse(a, many_rooms, false, &r));
    assert_int_equal(r.subscriptions[0].config.timeline_limit, SLIDING_TIMELINE_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_state_is_read_as_it_was_written),
        cmocka_unit_test(a_live_room_takes_few_bytes),
        cmocka_unit_test(a_draft_changes_adds_and_removes),
        cmocka_unit_test(the_newest_activity_comes_first),
        cmocka_unit_test(rules_say_which_state_is_required),
        cmocka_unit_test(combined_rules_want_what_any_wants),
        cmocka_unit_test(bad_requests_are_refused),
        cmocka_unit_test(numbers_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
