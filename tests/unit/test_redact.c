/* rooms/v1 to v12, "Redactions": every key of every version. */
#include "matrix/redact.h"

#include "check.h"
#include "matrix/canonical_json.h"

static char *canonical(struct arena *a, const json_t *v)
{
    buf_auto struct buf b = {0};
    check_error("canonical", canonical_json_add_tree(&b, CANONICAL_LENIENT, v), NULL);
    return arena_memdup(a, b.p, b.n);
}

static json_t *redacted(struct arena *a, const struct room_version *v, const char *event)
{
    json_t *tree;
    check_error(event, json_read(a, str_of(quoted(a, event)), &tree), NULL);
    buf_auto struct buf b = {0};
    redact_add(&b, v, str_of(canonical(a, tree)), false);
    check_error(event, json_read(a, buf_str(&b), &tree), NULL);
    check_text(event, buf_str(&b), canonical(a, tree));
    return tree;
}

static void check_kept(const struct room_version *v, const char *key, const json_t *in, int from,
                       int to)
{
    bool should = v->number >= from && v->number <= to;
    if ((json_object_get(in, key) != NULL) != should)
        fail_msg("v%s should%s keep %s", v->id, should ? "" : " not", key);
}

static void test_top_level(void **state)
{
    static const struct {
        const char *key;
        int from, to;
    } rows[] = {
        {"event_id", 1, 12},    {"type", 1, 12},        {"room_id", 1, 12},
        {"sender", 1, 12},      {"state_key", 1, 12},   {"content", 1, 12},
        {"hashes", 1, 12},      {"signatures", 1, 12},  {"depth", 1, 12},
        {"prev_events", 1, 12}, {"auth_events", 1, 12}, {"origin_server_ts", 1, 12},
        {"prev_state", 1, 10},  {"origin", 1, 10},      {"membership", 1, 10},
        {"unsigned", 0, 0},     {"redacts", 0, 0},      {"age_ts", 0, 0},
        {"anything", 0, 0},
    };
    arena_auto struct arena *a = arena_create();
    for (const struct room_version *v = room_versions; v->id; v++)
        for (size_t i = 0; i < COUNT(rows); i++) {
            bool type = strcmp(rows[i].key, "type") == 0;
            char *event =
                arena_printf(a, type ? "{'%s':'x'}" : "{'%s':{},'type':'x'}", rows[i].key);
            check_kept(v, rows[i].key, redacted(a, v, event), rows[i].from, rows[i].to);
        }
}

static void test_content(void **state)
{
    static const struct {
        const char *type, *key;
        int from, to;
    } rows[] = {
        {"m.room.member", "membership", 1, 12},
        {"m.room.member", "join_authorised_via_users_server", 9, 12},
        {"m.room.member", "third_party_invite", 11, 12},
        {"m.room.member", "displayname", 0, 0},
        {"m.room.create", "creator", 1, 12},
        {"m.room.create", "room_version", 11, 12},
        {"m.room.create", "additional_creators", 11, 12},
        {"m.room.create", "anything", 11, 12},
        {"m.room.join_rules", "join_rule", 1, 12},
        {"m.room.join_rules", "allow", 8, 12},
        {"m.room.join_rules", "anything", 0, 0},
        {"m.room.power_levels", "ban", 1, 12},
        {"m.room.power_levels", "events", 1, 12},
        {"m.room.power_levels", "events_default", 1, 12},
        {"m.room.power_levels", "invite", 11, 12},
        {"m.room.power_levels", "kick", 1, 12},
        {"m.room.power_levels", "redact", 1, 12},
        {"m.room.power_levels", "state_default", 1, 12},
        {"m.room.power_levels", "users", 1, 12},
        {"m.room.power_levels", "users_default", 1, 12},
        {"m.room.power_levels", "notifications", 0, 0},
        {"m.room.aliases", "aliases", 1, 5},
        {"m.room.aliases", "anything", 0, 0},
        {"m.room.history_visibility", "history_visibility", 1, 12},
        {"m.room.history_visibility", "anything", 0, 0},
        {"m.room.redaction", "redacts", 11, 12},
        {"m.room.redaction", "reason", 0, 0},
        {"m.room.message", "body", 0, 0},
        {"m.room.message", "membership", 0, 0},
        {"m.room.name", "name", 0, 0},
        {"m.room.encryption", "algorithm", 0, 0},
    };
    arena_auto struct arena *a = arena_create();
    for (const struct room_version *v = room_versions; v->id; v++)
        for (size_t i = 0; i < COUNT(rows); i++) {
            char *event = arena_printf(a, "{'content':{'%s':{},'other':1},'type':'%s'}",
                                       rows[i].key, rows[i].type);
            const json_t *content = json_object_get(redacted(a, v, event), "content");
            assert_true(json_is_object(content));
            check_kept(v, rows[i].key, content, rows[i].from, rows[i].to);
            bool all = v->number >= 11 && strcmp(rows[i].type, "m.room.create") == 0;
            assert_int_equal(json_object_size(content),
                             all + (v->number >= rows[i].from && v->number <= rows[i].to));
        }
}

static void test_third_party_invite(void **state)
{
    static const struct {
        const char *proves, *content, *left;
    } rows[] = {
        {"only signed stays", "{'third_party_invite':{'display_name':'x','signed':{'mxid':'y'}}}",
         "{'third_party_invite':{'signed':{'mxid':'y'}}}"},
        {"without signed an empty object", "{'third_party_invite':{'display_name':'x'}}",
         "{'third_party_invite':{}}"},
        {"not an object", "{'third_party_invite':'x'}", "{}"},
        {"with its neighbours",
         "{'avatar_url':'z','membership':'invite','third_party_invite':{'signed':1,'zz':2}}",
         "{'membership':'invite','third_party_invite':{'signed':1}}"},
    };
    arena_auto struct arena *a = arena_create();
    for (size_t i = 0; i < COUNT(rows); i++) {
        char *event = arena_printf(a, "{'content':%s,'type':'m.room.member'}", rows[i].content);
        json_t *out = redacted(a, room_version_find("11"), event);
        check_text(rows[i].proves, str_of(canonical(a, json_object_get(out, "content"))),
                   quoted(a, rows[i].left));
    }
}

static void test_odd_events(void **state)
{
    static const char *const rows[] = {
        "{}",
        "{'content':{'membership':'join'}}",
        "{'content':{'membership':'join'},'type':5}",
        "{'content':['a'],'type':'m.room.create'}",
        "{'content':'a','type':'m.room.create'}",
        "{'content':{},'type':'m.room.create'}",
        "{'content':{'a':{'b':[{'c':'}'}]}},'type':'m.room.create','z':1}",
        "{'content':{'m\\u0001':1,'users':{'@a:b':100}},'type':'m.room.power_levels'}",
    };
    arena_auto struct arena *a = arena_create();
    for (const struct room_version *v = room_versions; v->id; v++)
        for (size_t i = 0; i < COUNT(rows); i++)
            redacted(a, v, rows[i]);
}

static void test_for_signing(void **state)
{
    arena_auto struct arena *a = arena_create();
    buf_auto struct buf b = {0};
    redact_add(&b, room_version_find("10"),
               str_of(quoted(a, "{'content':{'body':'x'},'hashes':{'sha256':'h'},"
                                "'signatures':{'a':{}},'type':'m.room.message','unsigned':{}}")),
               true);
    check_text("without signatures", buf_str(&b),
               quoted(a, "{'content':{},'hashes':{'sha256':'h'},'type':'m.room.message'}"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_top_level),          cmocka_unit_test(test_content),
        cmocka_unit_test(test_third_party_invite), cmocka_unit_test(test_odd_events),
        cmocka_unit_test(test_for_signing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
