/* The format checks of received PDUs (server-server-api, "Checks performed on receipt", 1). */
#include "event_fixture.h"
#include "matrix/json_scan.h"

/* One member of a valid event is replaced (value NULL: removed), in the versions from..to. */
static const struct row {
    const char *proves;
    int from, to;
    const char *key, *value, *errcode;
} rows[] = {
    {"another top-level member", 1, 12, "anything", "[1]", NULL},
    {"unsigned may be absent", 1, 12, "unsigned", NULL, NULL},
    {"unsigned is an object", 1, 12, "unsigned", "5", "M_BAD_JSON"},
    {"type is required", 1, 12, "type", NULL, "M_BAD_JSON"},
    {"type is a string", 1, 12, "type", "5", "M_BAD_JSON"},
    {"type null", 1, 12, "type", "null", "M_BAD_JSON"},
    {"type with NUL", 1, 12, "type", "'a\\u0000'", "M_BAD_JSON"},
    {"sender is required", 1, 12, "sender", NULL, "M_BAD_JSON"},
    {"sender is a user id", 1, 12, "sender", "'alice'", "M_BAD_JSON"},
    {"sender has a server name", 1, 12, "sender", "'@alice:a b'", "M_BAD_JSON"},
    {"historical sender", 1, 12, "sender", "'@:domain'", NULL},
    {"state_key may be absent", 1, 12, "state_key", NULL, NULL},
    {"state_key is a string", 1, 12, "state_key", "null", "M_BAD_JSON"},
    {"content is required", 1, 12, "content", NULL, "M_BAD_JSON"},
    {"content is an object", 1, 12, "content", "[]", "M_BAD_JSON"},
    {"content is not a string", 1, 12, "content", "'x'", "M_BAD_JSON"},
    {"depth is required", 1, 12, "depth", NULL, "M_BAD_JSON"},
    {"depth is an integer", 1, 12, "depth", "'5'", "M_BAD_JSON"},
    {"depth is no float", 1, 12, "depth", "5.5", "M_BAD_JSON"},
    {"depth is not negative", 1, 12, "depth", "-1", "M_BAD_JSON"},
    {"depth up to 2^63 - 1", 1, 5, "depth", "9223372036854775807", NULL},
    {"depth over 2^63 - 1", 1, 5, "depth", "9223372036854775808", "M_BAD_JSON"},
    {"depth up to 2^53 - 1", 6, 12, "depth", "9007199254740991", NULL},
    {"depth over 2^53 - 1", 6, 12, "depth", "9007199254740992", "M_BAD_JSON"},
    {"origin_server_ts is required", 1, 12, "origin_server_ts", NULL, "M_BAD_JSON"},
    {"origin_server_ts is an integer", 1, 12, "origin_server_ts", "true", "M_BAD_JSON"},
    {"hashes is required", 1, 12, "hashes", NULL, "M_BAD_JSON"},
    {"hashes is an object", 1, 12, "hashes", "[]", "M_BAD_JSON"},
    {"hashes has sha256", 1, 12, "hashes", "{}", "M_BAD_JSON"},
    {"sha256 is a string", 1, 12, "hashes", "{'sha256':5}", "M_BAD_JSON"},
    {"further hashes", 1, 12, "hashes", "{'sha256':'x','sha3':'y'}", NULL},
    {"signatures is required", 1, 12, "signatures", NULL, "M_BAD_JSON"},
    {"signatures is an object", 1, 12, "signatures", "'x'", "M_BAD_JSON"},
    {"signatures of a server are an object", 1, 12, "signatures", "{'a':'x'}", "M_BAD_JSON"},
    {"a signature is a string", 1, 12, "signatures", "{'a':{'ed25519:1':1}}", "M_BAD_JSON"},
    {"no signatures yet", 1, 12, "signatures", "{}", NULL},
    {"prev_events is required", 1, 12, "prev_events", NULL, "M_BAD_JSON"},
    {"prev_events is an array", 1, 12, "prev_events", "{}", "M_BAD_JSON"},
    {"prev_events may be empty", 1, 12, "prev_events", "[]", NULL},
    {"prev_events are no numbers", 1, 12, "prev_events", "[5]", "M_BAD_JSON"},
    {"auth_events is required", 1, 12, "auth_events", NULL, "M_BAD_JSON"},
    {"auth_events is an array", 1, 12, "auth_events", "'x'", "M_BAD_JSON"},
    {"v1: pairs", 1, 2, "auth_events", "[['$a:b',{'sha256':'x'}],['$c:d',{}]]", NULL},
    {"v1: not plain ids", 1, 2, "auth_events", "['$a:b']", "M_BAD_JSON"},
    {"v1: pairs are of two", 1, 2, "auth_events", "[['$a:b']]", "M_BAD_JSON"},
    {"v1: pairs are not of three", 1, 2, "auth_events", "[['$a:b',{},1]]", "M_BAD_JSON"},
    {"v1: pairs begin with an id", 1, 2, "auth_events", "[[{},'$a:b']]", "M_BAD_JSON"},
    {"v1: ids have a sigil", 1, 2, "auth_events", "[['a:b',{}]]", "M_BAD_JSON"},
    {"v3: no pairs", 3, 12, "auth_events", "[['" HASH_ID "',{'sha256':'x'}]]", "M_BAD_JSON"},
    {"v3: ids are hashes", 3, 12, "auth_events", "['$a:b']", "M_BAD_JSON"},
    {"v3: standard alphabet", 3, 3, "prev_events",
     "['$Rqnc+F+dvnEYJTyHq/iKxU2bZ1CI92+kuZq3a5lr5Zg']", NULL},
    {"v3: not the URL-safe one", 3, 3, "prev_events",
     "['$Rqnc-F-dvnEYJTyHq_iKxU2bZ1CI92-kuZq3a5lr5Zg']", "M_BAD_JSON"},
    {"v4: URL-safe alphabet", 4, 12, "prev_events",
     "['$Rqnc-F-dvnEYJTyHq_iKxU2bZ1CI92-kuZq3a5lr5Zg']", NULL},
    {"v4: not the standard one", 4, 12, "prev_events",
     "['$Rqnc+F+dvnEYJTyHq/iKxU2bZ1CI92+kuZq3a5lr5Zg']", "M_BAD_JSON"},
    {"room_id is required", 1, 12, "room_id", NULL, "M_BAD_JSON"},
    {"room_id is a string", 1, 12, "room_id", "5", "M_BAD_JSON"},
    {"room_id has a sigil", 1, 12, "room_id", "'room:domain'", "M_BAD_JSON"},
    {"up to v11: room_id has a server", 1, 11, "room_id", "'" HASH_ROOM "'", "M_BAD_JSON"},
    {"v12: room_id is a hash", 12, 12, "room_id", "'" ROOM "'", "M_BAD_JSON"},
    {"v1: event_id is required", 1, 2, "event_id", NULL, "M_BAD_JSON"},
    {"v1: event_id is a string", 1, 2, "event_id", "5", "M_BAD_JSON"},
    {"v1: event_id has a server", 1, 2, "event_id", "'$abc'", "M_BAD_JSON"},
    {"v3: event_id may be absent", 3, 12, "event_id", NULL, NULL},
    {"float in the content, lenient", 1, 5, "content", "{'a':1.5}", NULL},
    {"float in the content, strict", 6, 12, "content", "{'a':1.5}", "M_BAD_JSON"},
    {"large integer in the content, lenient", 1, 5, "content", "{'a':9007199254740992}", NULL},
    {"large integer in the content, strict", 6, 12, "content", "{'a':9007199254740992}",
     "M_BAD_JSON"},
};

/* The good event with one member replaced, as text. */
static char *altered(struct arena *a, const struct event *good, const char *key, const char *value)
{
    struct json_member m;
    buf_auto struct buf b = {0};
    for (size_t pos = 0; json_scan_next(good->json, &pos, &m);)
        if (!str_is(m.key, key))
            buf_printf(&b, "%s\"%.*s\":%.*s", b.n ? "," : "{", STR_FMT(m.key), STR_FMT(m.value));
    if (value)
        buf_printf(&b, ",\"%s\":%s", key, quoted(a, value));
    buf_add_char(&b, '}');
    return arena_memdup(a, b.p, b.n);
}

static void test_members(void **state)
{
    arena_auto struct arena *a = arena_create();
    for (const struct room_version *v = room_versions; v->id; v++) {
        const struct event *good = build(a, v, "org.example", "key", "{'a':1}");
        for (const struct row *r = rows; r < rows + COUNT(rows); r++) {
            if (v->number < r->from || v->number > r->to)
                continue;
            struct event *e = NULL;
            char *name = arena_printf(a, "v%s: %s", v->id, r->proves);
            check_error(name, event_parse(v, str_of(altered(a, good, r->key, r->value)), &e),
                        r->errcode);
            assert_int_equal(e != NULL, r->errcode == NULL);
            event_unref(e);
        }
    }
}

static void test_not_events(void **state)
{
    static const struct {
        const char *text, *errcode;
    } texts[] = {
        {"", "M_NOT_JSON"},  {"{", "M_NOT_JSON"},  {"[]", "M_BAD_JSON"},
        {"5", "M_BAD_JSON"}, {"{}", "M_BAD_JSON"}, {"null", "M_BAD_JSON"},
    };
    for (size_t i = 0; i < COUNT(texts); i++) {
        struct event *e = NULL;
        check_error(texts[i].text, event_parse(room_version_find("11"), str_of(texts[i].text), &e),
                    texts[i].errcode);
        assert_null(e);
    }
}

/* client-server-api, "Size limits": bytes, not characters, and after unescaping */
static void test_limits(void **state)
{
    static const struct {
        const char *proves, *key, *unit;
        int n;
        const char *errcode;
    } limits[] = {
        {"type of 255", "type", "a", 255, NULL},
        {"type of 256", "type", "a", 256, "M_TOO_LARGE"},
        {"type of 128 two-byte characters", "type", "\xc3\xa9", 128, "M_TOO_LARGE"},
        {"type of 127 two-byte characters, escaped", "type", "\\u00e9", 127, NULL},
        {"type of 128 two-byte characters, escaped", "type", "\\u00e9", 128, "M_TOO_LARGE"},
        {"type of 255 escaped bytes", "type", "\\n", 255, NULL},
        {"state_key of 255", "state_key", "a", 255, NULL},
        {"state_key of 256", "state_key", "a", 256, "M_TOO_LARGE"},
    };
    arena_auto struct arena *a = arena_create();
    const struct room_version *v = room_version_find("11");
    const struct event *good = build(a, v, "org.example", "key", "{}");
    for (size_t i = 0; i < COUNT(limits); i++) {
        buf_auto struct buf value = {0};
        buf_add_char(&value, '\'');
        for (int k = 0; k < limits[i].n; k++)
            buf_add_text(&value, limits[i].unit);
        buf_add_char(&value, '\'');
        struct event *e = NULL;
        char *pdu = altered(a, good, limits[i].key, value.p);
        check_error(limits[i].proves, event_parse(v, str_of(pdu), &e), limits[i].errcode);
        event_unref(e);
    }
}

static void test_long_ids(void **state)
{
    arena_auto struct arena *a = arena_create();
    const struct room_version *v = room_version_find("10");
    const struct event *good = build(a, v, "org.example", NULL, "{}");
    static const struct {
        const char *key;
        char sigil;
    } ids[] = {{"sender", '@'}, {"room_id", '!'}};
    for (size_t i = 0; i < COUNT(ids); i++)
        for (int n = 255; n <= 256; n++) {
            char *id = arena_printf(a, "'%c%0*d:domain'", ids[i].sigil, n - 8, 0);
            struct event *e = NULL;
            check_error(ids[i].key, event_parse(v, str_of(altered(a, good, ids[i].key, id)), &e),
                        n == 255 ? NULL : "M_TOO_LARGE");
            event_unref(e);
        }
}

static void test_numbers_of_references(void **state)
{
    static const struct {
        const char *key;
        int max;
    } lists[] = {{"prev_events", EVENT_PREV_MAX}, {"auth_events", EVENT_AUTH_MAX}};
    arena_auto struct arena *a = arena_create();
    for (const struct room_version *v = room_versions; v->id; v++) {
        const struct event *good = build(a, v, "org.example", NULL, "{}");
        for (size_t i = 0; i < COUNT(lists); i++)
            for (int n = lists[i].max; n <= lists[i].max + 1; n++) {
                buf_auto struct buf list = {0};
                for (int k = 0; k < n; k++) {
                    buf_add_char(&list, k ? ',' : '[');
                    buf_add_text(&list, v->number <= 2 ? "['" NAMED_ID "',{}]" : "'" HASH_ID "'");
                }
                buf_add_char(&list, ']');
                struct event *e = NULL;
                char *pdu = altered(a, good, lists[i].key, list.p);
                check_error(lists[i].key, event_parse(v, str_of(pdu), &e),
                            n == lists[i].max ? NULL : "M_BAD_JSON");
                event_unref(e);
            }
    }
}

static void test_size(void **state)
{
    arena_auto struct arena *a = arena_create();
    const struct room_version *v = room_version_find("11");
    const struct event *good = build(a, v, "org.example", NULL, "{}");
    size_t rest = strlen(altered(a, good, "content", "{'a':''}"));
    for (int over = 0; over <= 1; over++) {
        char *content = arena_printf(a, "{'a':'%0*d'}", (int)(EVENT_SIZE_MAX - rest) + over, 0);
        struct event *e = NULL;
        check_error("65536 bytes of canonical JSON",
                    event_parse(v, str_of(altered(a, good, "content", content)), &e),
                    over ? "M_TOO_LARGE" : NULL);
        event_unref(e);
    }
    char *spaces = arena_printf(a, "%*s%.*s", EVENT_SIZE_MAX, "", STR_FMT(good->json));
    struct event *e = NULL;
    check_error("white space does not count", event_parse(v, str_of(spaces), &e), NULL);
    event_unref(e);
}

static void test_unsigned_is_dropped(void **state)
{
    static const char *const keys[] = {"unsigned", "zzz"}; /* `unsigned` last, or not */
    arena_auto struct arena *a = arena_create();
    const struct room_version *v = room_version_find("11");
    const struct event *good = build(a, v, "org.example", NULL, "{}");
    for (size_t i = 0; i < COUNT(keys); i++) {
        char *pdu = altered(a, good, keys[i], "{'age':5}");
        pdu = arena_printf(a, "{\"unsigned\":{\"age\":5},%s", pdu + 1);
        if (i == 0)
            pdu = altered(a, good, "unsigned", "{'age':5}");
        struct event *e = NULL;
        check_error(keys[i], event_parse(v, str_of(pdu), &e), NULL);
        assert_null(json_scan_get(e->json, "unsigned").p);
        check_error(keys[i], json_scan_check(e->json), NULL);
        assert_string_equal(e->event_id, good->event_id);
        event_unref(e);
    }
}

/* rooms/v12: the create event has no room id; other events of that type have one. */
static void test_create_events(void **state)
{
    struct event_template t = {
        .type = "m.room.create", .sender = "@a:domain", .state_key = "", .content = STR("{}")};
    arena_auto struct arena *a = arena_create();
    const struct room_version *v = room_version_find("12");
    const struct event *create = event_keep(a, build_ok(v, &t));
    struct event *e = NULL;
    char *pdu = altered(a, create, "room_id", "'" HASH_ROOM "'");
    check_error("v12: a create event with room_id", event_parse(v, str_of(pdu), &e), "M_BAD_JSON");
    pdu = altered(a, create, "state_key", "'x'");
    check_error("v12: not the room's create event", event_parse(v, str_of(pdu), &e), "M_BAD_JSON");
    check_error("v11: a create event without room_id",
                event_parse(room_version_find("11"), create->json, &e), "M_BAD_JSON");
}

/* client-server-api, "Size limits": 255 bytes; there are rooms of versions before 11 with more. */
static void test_lengths_of_state_keys(void **state)
{
    static const struct {
        const char *letter;
        int n, from, to;
        const char *errcode;
    } rows_of_keys[] = {
        {"x", 255, 1, 12, NULL},           {"x", 256, 1, 12, "M_TOO_LARGE"},
        {"é", 255, 1, 10, NULL},           {"é", 256, 1, 10, "M_TOO_LARGE"},
        {"é", 128, 11, 12, "M_TOO_LARGE"}, {"é", 127, 11, 12, NULL},
    };
    arena_auto struct arena *a = arena_create();
    for (const struct room_version *v = room_versions; v->id; v++) {
        const struct event *good = build(a, v, "org.example", "key", "{'a':1}");
        for (size_t i = 0; i < COUNT(rows_of_keys); i++) {
            buf_auto struct buf key = {0};
            struct event *e = NULL;
            if (v->number < rows_of_keys[i].from || v->number > rows_of_keys[i].to)
                continue;
            buf_add_char(&key, '\'');
            for (int k = 0; k < rows_of_keys[i].n; k++)
                buf_add_text(&key, rows_of_keys[i].letter);
            buf_add_char(&key, '\'');
            check_error(arena_printf(a, "v%s: %d times %s", v->id, rows_of_keys[i].n,
                                     rows_of_keys[i].letter),
                        event_parse(v, str_of(altered(a, good, "state_key", key.p)), &e),
                        rows_of_keys[i].errcode);
            event_unref(e);
        }
    }
}

static void test_redacts_is_a_string(void **state)
{
    arena_auto struct arena *a = arena_create();
    const struct room_version *v = room_version_find("10");
    struct event *e = NULL;
    char *pdu = altered(a, build(a, v, "m.room.redaction", NULL, "{}"), "redacts", "5");
    check_error("of a redaction", event_parse(v, str_of(pdu), &e), "M_BAD_JSON");
    pdu = altered(a, build(a, v, "m.room.message", NULL, "{}"), "redacts", "5");
    check_error("of others it means nothing", event_parse(v, str_of(pdu), &e), NULL);
    assert_null(e->redacts);
    event_unref(e);
}

static void test_tampering_is_detected(void **state)
{
    arena_auto struct arena *a = arena_create();
    for (const struct room_version *v = room_versions; v->id; v++) {
        const struct event *good = build(a, v, "m.room.message", NULL, "{'body':'x'}");
        struct event *e = NULL;
        char *pdu = altered(a, good, "content", "{'body':'y'}");
        check_error(v->id, event_parse(v, str_of(pdu), &e), NULL);
        assert_string_equal(event_keep(a, e)->event_id, good->event_id); /* redactable */
        assert_false(event_content_hash_ok(e));
        assert_true(event_signature_ok(e, "domain", "ed25519:1", STR(SPEC_PUBLIC_KEY)));
        pdu = altered(a, good, "depth", "13");
        check_error(v->id, event_parse(v, str_of(pdu), &e), NULL);
        event_keep(a, e);
        assert_false(event_signature_ok(e, "domain", "ed25519:1", STR(SPEC_PUBLIC_KEY)));
        assert_int_equal(strcmp(e->event_id, good->event_id) == 0, v->number <= 2);
    }
}

static void test_malformed_in_the_database(void **state)
{
    static const char *const texts[] = {
        "",
        "{",
        "[]",
        "{}",
        "{'content':{},'depth':1,'origin_server_ts':1,'sender':'@a:b'}",
        ("{'auth_events':[5],'content':{},'depth':1,'origin_server_ts':1,'prev_events':[],"
         "'room_id':'!a:b','sender':'@a:b','type':'x'}"),
    };
    arena_auto struct arena *a = arena_create();
    for (size_t i = 0; i < COUNT(texts); i++) {
        struct event *e = NULL;
        const struct err *wrong =
            event_parse_stored(room_version_find("11"), HASH_ID, str_of(quoted(a, texts[i])), &e);
        assert_non_null(wrong);
        assert_int_equal(wrong->code, ERR_INTERNAL);
        assert_null(e);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_members),
        cmocka_unit_test(test_not_events),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_long_ids),
        cmocka_unit_test(test_numbers_of_references),
        cmocka_unit_test(test_size),
        cmocka_unit_test(test_unsigned_is_dropped),
        cmocka_unit_test(test_create_events),
        cmocka_unit_test(test_lengths_of_state_keys),
        cmocka_unit_test(test_redacts_is_a_string),
        cmocka_unit_test(test_tampering_is_detected),
        cmocka_unit_test(test_malformed_in_the_database),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
