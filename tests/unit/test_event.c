/* Building, hashing and formatting events; test_event_parse.c has the checks of hostile ones. */
#include "event_fixture.h"
#include "matrix/json_scan.h"
#include "matrix/redact.h"

#include <pthread.h>

static char *canonical(struct arena *a, const char *text)
{
    buf_auto struct buf b = {0};
    check_error(text, canonical_json_add(&b, CANONICAL_STRICT, str_of(quoted(a, text))), NULL);
    return arena_memdup(a, b.p, b.n);
}

/* Appendices, "Event Signing" */
static void test_spec_vectors(void **state)
{
    static const struct {
        const char *proves, *event, *hash, *signature;
    } rows[] = {
        {"minimally-sized event",
         "{'room_id':'!x:domain','sender':'@a:domain','origin':'domain','origin_server_ts':1000000,"
         "'signatures':{},'hashes':{},'type':'X','content':{},'prev_events':[],'auth_events':[],"
         "'depth':3,'unsigned':{'age_ts':1000000}}",
         "5jM4wQpv6lnBo7CLIghJuHdW+s2CMBJPUOGOC89ncos",
         "KxwGjPSDEtvnFgU00fwFz+l6d2pJM6XBIaMEn81SXPTRl16AqLAYqfIReFGZlHi5KLjAWbOoMszkwsQma+lYAg"},
        {"event containing redactable content",
         "{'content':{'body':'Here is the message content'},'event_id':'$0:domain',"
         "'origin':'domain','origin_server_ts':1000000,'type':'m.room.message',"
         "'room_id':'!r:domain','sender':'@u:domain','signatures':{},"
         "'unsigned':{'age_ts':1000000}}",
         "onLKD1bGljeBWQhWZ1kaP9SorVmRQNdN5aM2JYU2n/g",
         "Wm+VzmOUOz08Ds+0NTWb1d4CZrVsJSikkeRxh6aCcUwu6pNC78FunoD7KNWzqFn241eYHYMGCA5McEiVPdhzBA"},
    };
    arena_auto struct arena *a = arena_create();
    struct signing_key k = spec_key();
    for (size_t i = 0; i < COUNT(rows); i++) {
        unsigned char hash[SHA256_BYTES];
        event_hash_content(str_of(canonical(a, rows[i].event)), hash);
        const char *text = base64_encode(a, BASE64_STANDARD, hash, sizeof hash);
        check_text(rows[i].proves, str_of(text), rows[i].hash);

        json_t *event;
        check_error("row", json_read(a, str_of(quoted(a, rows[i].event)), &event), NULL);
        json_object_set_new(event, "hashes", json_pack("{s:s}", "sha256", text));
        buf_auto struct buf hashed = {0}, bytes = {0};
        check_error("row", canonical_json_add_tree(&hashed, CANONICAL_STRICT, event), NULL);
        redact_add(&bytes, room_version_find("1"), buf_str(&hashed), true);
        char signature[SIGNATURE_BASE64 + 1];
        sign_bytes(&k, buf_str(&bytes), signature);
        check_text(rows[i].proves, str_of(signature), rows[i].signature);
    }
}

static void check_same(const char *proves, const struct event *x, const struct event *y)
{
    check_text(proves, x->json, y->json.p);
    assert_string_equal(x->event_id, y->event_id);
    assert_string_equal(x->room_id, y->room_id);
    assert_string_equal(x->type, y->type);
    assert_string_equal(x->sender, y->sender);
    assert_int_equal(x->state_key != NULL, y->state_key != NULL);
    if (x->state_key)
        assert_string_equal(x->state_key, y->state_key);
    assert_int_equal(x->depth, y->depth);
    assert_int_equal(x->origin_server_ts, y->origin_server_ts);
    assert_true(str_eq(x->content, y->content));
    assert_int_equal(x->prev_n, y->prev_n);
    assert_int_equal(x->auth_n, y->auth_n);
    for (size_t i = 0; i < x->prev_n; i++)
        assert_string_equal(x->prev_events[i], y->prev_events[i]);
    for (size_t i = 0; i < x->auth_n; i++)
        assert_string_equal(x->auth_events[i], y->auth_events[i]);
}

/* Events that we build are canonical, hashed, signed, and parse to the same, in every version. */
static void test_round_trip(void **state)
{
    static const struct {
        const char *type, *state_key, *content;
    } rows[] = {
        {"m.room.message", NULL, "{'msgtype':'m.text','body':'caf\\u00e9 \\n \\\" \\\\'}"},
        {"m.room.member", "@alice:domain",
         "{'membership':'invite','displayname':'A','join_authorised_via_users_server':'@b:domain',"
         "'third_party_invite':{'display_name':'x','signed':{'token':'t'}}}"},
        {"m.room.power_levels", "",
         "{'users':{'@alice:domain':100},'invite':50,'notifications':{}}"},
        {"m.room.join_rules", "", "{'join_rule':'restricted','allow':[],'x':1}"},
        {"m.room.aliases", "domain", "{'aliases':[],'x':1}"},
        {"m.room.history_visibility", "", "{'history_visibility':'joined','x':1}"},
        {"m.room.name", "", "{}"},
        {"org.example.\"quoted\"\n", "key with \\ and \xe6\x97\xa5", "{'b':1,'a':[]}"},
    };
    arena_auto struct arena *a = arena_create();
    for (const struct room_version *v = room_versions; v->id; v++)
        for (size_t i = 0; i < COUNT(rows); i++) {
            const struct event *e = build(a, v, rows[i].type, rows[i].state_key, rows[i].content);
            buf_auto struct buf again = {0};
            check_error("canonical", canonical_json_add(&again, CANONICAL_STRICT, e->json), NULL);
            check_text("canonical", buf_str(&again), e->json.p);
            assert_true(event_content_hash_ok(e));
            assert_true(event_signature_ok(e, "domain", "ed25519:1", STR(SPEC_PUBLIC_KEY)));

            struct event *parsed = NULL, *stored = NULL;
            check_error(rows[i].type, event_parse(v, e->json, &parsed), NULL);
            event_keep(a, parsed);
            check_same("parsed", parsed, e);
            check_error(rows[i].type, event_parse_stored(v, e->event_id, e->json, &stored), NULL);
            event_keep(a, stored);
            check_same("stored", stored, e);
            assert_string_equal(e->type, rows[i].type);
            assert_string_equal(e->prev_events[0], some_id(v));
            assert_string_equal(e->auth_events[0], some_id(v));
        }
}

static void test_forms_of_ids(void **state)
{
    arena_auto struct arena *a = arena_create();
    for (const struct room_version *v = room_versions; v->id; v++) {
        const struct event *e = build(a, v, "m.room.message", NULL, "{}");
        bool given = v->event_id == EVENT_ID_GIVEN;
        assert_int_equal(json_scan_get(e->json, "event_id").p != NULL, given);
        check_text("references", json_scan_get(e->json, "prev_events"),
                   given ? "[[\"" NAMED_ID "\",{\"sha256\":\"\"}]]" : "[\"" HASH_ID "\"]");
        if (given) {
            assert_true(str_ends_with(str_of(e->event_id), ":domain"));
            continue;
        }
        unsigned char hash[SHA256_BYTES];
        event_reference_hash(e, hash);
        enum base64_kind kind = v->number == 3 ? BASE64_STANDARD : BASE64_URL;
        assert_string_equal(e->event_id + 1, base64_encode(a, kind, hash, sizeof hash));
    }
}

static void test_given_hashes(void **state)
{
    const char *ids[] = {NAMED_ID}, *hashes[] = {"aGFzaA"};
    struct event_template t = {
        .room_id = ROOM,
        .type = "x",
        .sender = "@a:domain",
        .content = STR("{}"),
        .prev_events = ids,
        .prev_hashes = hashes,
        .prev_n = 1,
    };
    arena_auto struct arena *a = arena_create();
    const struct event *e = event_keep(a, build_ok(room_version_find("1"), &t));
    check_text("hash of a prev event", json_scan_get(e->json, "prev_events"),
               "[[\"" NAMED_ID "\",{\"sha256\":\"aGFzaA\"}]]");
}

/* rooms/v12: the room id is the create event's id. */
static void test_room_named_by_its_create_event(void **state)
{
    struct event_template t = {
        .type = "m.room.create",
        .sender = "@a:domain",
        .state_key = "",
        .content = STR("{\"room_version\":\"12\"}"),
    };
    arena_auto struct arena *a = arena_create();
    const struct room_version *v = room_version_find("12");
    const struct event *e = event_keep(a, build_ok(v, &t));
    assert_null(json_scan_get(e->json, "room_id").p);
    assert_int_equal(e->room_id[0], '!');
    assert_string_equal(e->room_id + 1, e->event_id + 1);
    struct event *parsed;
    check_error("create event", event_parse(v, e->json, &parsed), NULL);
    check_same("create event", event_keep(a, parsed), e);
}

/* rooms/v11: `redacts` is in the content; before it was at the top level. */
static void test_redacts(void **state)
{
    arena_auto struct arena *a = arena_create();
    for (const struct room_version *v = room_versions; v->id; v++) {
        struct event_template t = {
            .room_id = some_room(v),
            .type = "m.room.redaction",
            .sender = "@a:domain",
            .redacts = some_id(v),
            .content = STR("{\"reason\":\"spam\",\"a\":1}"),
        };
        const struct event *e = event_keep(a, build_ok(v, &t));
        assert_string_equal(e->redacts, some_id(v));
        assert_int_equal(json_scan_get(e->json, "redacts").p != NULL, v->number <= 10);
        assert_int_equal(json_scan_path(e->json, "content", "redacts", NULL).p != NULL,
                         v->number >= 11);
        assert_true(event_content_hash_ok(e));
        struct event *parsed;
        check_error(v->id, event_parse(v, e->json, &parsed), NULL);
        assert_string_equal(parsed->event_id, e->event_id);
        assert_string_equal(event_keep(a, parsed)->redacts, e->redacts);

        buf_auto struct buf b = {0};
        event_add_client_format(&b, e, false);
        buf_add_char(&b, '}');
        check_error("client format is JSON", json_scan_check(buf_str(&b)), NULL);
        assert_true(json_scan_string_is(json_scan_get(buf_str(&b), "redacts"), some_id(v)));
        assert_true(json_scan_string_is(json_scan_path(buf_str(&b), "content", "redacts", NULL),
                                        some_id(v)));
    }
    assert_null(
        build(a, room_version_find("11"), "m.room.message", NULL, "{'redacts':'$x'}")->redacts);
    assert_null(
        build(a, room_version_find("11"), "m.room.redaction", NULL, "{'redacts':5}")->redacts);
}

static void test_empty_redaction_in_client_format(void **state)
{
    struct event_template t = {.room_id = ROOM,
                               .type = "m.room.redaction",
                               .sender = "@a:domain",
                               .redacts = HASH_ID,
                               .content = STR("{}")};
    arena_auto struct arena *a = arena_create();
    buf_auto struct buf b = {0};
    event_add_client_format(&b, event_keep(a, build_ok(room_version_find("10"), &t)), false);
    assert_true(str_starts_with(buf_str(&b), "{\"content\":{\"redacts\":\"" HASH_ID "\"},"));
}

static void test_client_format(void **state)
{
    arena_auto struct arena *a = arena_create();
    const struct room_version *v = room_version_find("11");
    const struct event *e = build(a, v, "m.room.topic", "", "{'topic':'x'}");
    buf_auto struct buf b = {0};
    event_add_client_format(&b, e, true);
    check_text("with room id", buf_str(&b),
               quoted(a, arena_printf(a,
                                      "{'content':{'topic':'x'},'event_id':'%s',"
                                      "'origin_server_ts':1700000000000,'room_id':'" ROOM
                                      "','sender':'@alice:domain','state_key':'',"
                                      "'type':'m.room.topic'",
                                      e->event_id)));
    buf_clear(&b);
    event_add_client_format(&b, build(a, v, "x", NULL, "{}"), false);
    assert_null(strstr(b.p, "room_id"));
    assert_null(strstr(b.p, "state_key"));
    assert_null(strstr(b.p, "redacts"));
    buf_clear(&b);
    event_add_stripped(&b, e);
    check_text(
        "stripped", buf_str(&b),
        quoted(a,
               "{'content':{'topic':'x'},'origin_server_ts':1700000000000,'sender':'@alice:domain',"
               "'state_key':'','type':'m.room.topic'}"));
}

static void test_templates_that_are_refused(void **state)
{
    char *long_text = test_malloc(257);
    memset(long_text, 'a', 256);
    long_text[256] = '\0';
    static char big[70000];
    memset(big, 'b', sizeof big);
    memcpy(big, "{\"b\":\"", 6);
    memcpy(big + sizeof big - 2, "\"}", 2);
    const struct {
        const char *proves, *type, *state_key;
        struct str content;
        const char *errcode;
    } rows[] = {
        {"type over 255 bytes", long_text, NULL, STR("{}"), "M_TOO_LARGE"},
        {"type of 255 bytes", long_text + 1, NULL, STR("{}"), NULL},
        {"state_key over 255 bytes", "x", long_text, STR("{}"), "M_TOO_LARGE"},
        {"event over 65536 bytes", "x", NULL, {big, sizeof big}, "M_TOO_LARGE"},
        {"type not UTF-8", "\xff", NULL, STR("{}"), "M_BAD_JSON"},
        {"content not JSON", "x", NULL, STR("{"), "M_NOT_JSON"},
        {"content not an object", "x", NULL, STR("[]"), "M_BAD_JSON"},
        {"float in the content", "x", NULL, STR("{\"a\":1.5}"), "M_BAD_JSON"},
        {"large integer in the content", "x", NULL, STR("{\"a\":9007199254740992}"), "M_BAD_JSON"},
    };
    struct signing_key k = spec_key();
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct event_template t = {.room_id = ROOM,
                                   .type = rows[i].type,
                                   .sender = "@a:domain",
                                   .state_key = rows[i].state_key,
                                   .content = rows[i].content};
        struct event *e = NULL;
        for (const struct room_version *v = room_versions; v->id; v++) {
            t.room_id = some_room(v);
            check_error(rows[i].proves, event_build(v, &t, "domain", &k, &e), rows[i].errcode);
            assert_int_equal(e != NULL, rows[i].errcode == NULL);
            event_unref(e);
            e = NULL;
        }
    }
    test_free(long_text);
}

/* pdu_v1, depth_v6: "if the depth is at the limit, it must be set to the limit" */
static void test_depth_limit(void **state)
{
    struct event_template t = {.room_id = ROOM,
                               .type = "x",
                               .sender = "@a:domain",
                               .content = STR("{}"),
                               .depth = INT64_MAX};
    arena_auto struct arena *a = arena_create();
    assert_int_equal(event_keep(a, build_ok(room_version_find("5"), &t))->depth, INT64_MAX);
    assert_int_equal(event_keep(a, build_ok(room_version_find("6"), &t))->depth, CANONICAL_INT_MAX);
}

static void test_add_signature(void **state)
{
    arena_auto struct arena *a = arena_create();
    const struct event *e = build(a, room_version_find("11"), "x", NULL, "{'a':1}");
    struct signing_key k;
    signing_key_make(&k);
    struct event *both;
    check_error("signed", event_add_signature(e, "another.org", &k, &both), NULL);
    event_keep(a, both);
    assert_string_equal(both->event_id, e->event_id);
    assert_true(event_signature_ok(both, "domain", "ed25519:1", STR(SPEC_PUBLIC_KEY)));
    struct str public = str_of(base64_encode(a, BASE64_STANDARD, k.public_, sizeof k.public_));
    assert_true(event_signature_ok(both, "another.org", k.id, public));
    assert_false(event_signature_ok(e, "another.org", k.id, public));
    assert_false(event_signature_ok(both, "another.org", k.id, STR(SPEC_PUBLIC_KEY)));
    struct event *parsed;
    check_error("canonical", event_parse(e->version, both->json, &parsed), NULL);
    check_same("canonical", event_keep(a, parsed), both);
}

static void test_redacted(void **state)
{
    arena_auto struct arena *a = arena_create();
    const struct event *e = build(a, room_version_find("11"), "m.room.message", NULL, "{'b':1}");
    const struct event *r = event_keep(a, event_redacted(e));
    check_text("content", r->content, "{}");
    assert_string_equal(r->event_id, e->event_id);
    assert_false(event_content_hash_ok(r));
    assert_true(event_signature_ok(r, "domain", "ed25519:1", STR(SPEC_PUBLIC_KEY)));
    struct event *parsed;
    check_error("a redacted copy has the same id", event_parse(e->version, r->json, &parsed), NULL);
    assert_string_equal(event_keep(a, parsed)->event_id, e->event_id);
}

/* An event of version 5 as another server may have made it, and as it may be stored here. */
static const struct event *with_content(struct arena *a, const char *content)
{
    const struct room_version *v = room_version_find("5");
    const struct event *e = build(a, v, "x", NULL, "{}");
    const char *rest = e->content.p + e->content.n;
    char *json = arena_printf(a, "%.*s%s%.*s", (int)(e->content.p - e->json.p), e->json.p,
                              quoted(a, content), (int)(e->json.p + e->json.n - rest), rest);
    struct event *stored = NULL;
    check_error(content, event_parse_stored(v, e->event_id, str_of(json), &stored), NULL);
    return event_keep(a, stored);
}

static void test_content_tree(void **state)
{
    arena_auto struct arena *a = arena_create();
    const struct event *e = build(a, room_version_find("11"), "x", NULL, "{'a':{'b':'\\u0000'}}");
    const json_t *content = event_content(e);
    assert_ptr_equal(content, event_content(e));
    assert_int_equal(json_string_length(json_at(content, "a", "b", NULL)), 1);
    e = with_content(a, "{'a':99999999999999999999,'b':'c'}");
    assert_string_equal(json_text(event_content(e), "b"), "c");
    e = with_content(a, "{'a':1e999}"); /* jansson holds no such number */
    assert_int_equal(json_object_size(event_content(e)), 0);
}

static void test_membership(void **state)
{
    static const struct {
        const char *content;
        enum membership membership;
    } rows[] = {
        {"{\"membership\":\"join\"}", MEMBERSHIP_JOIN},
        {"{\"membership\":\"invite\"}", MEMBERSHIP_INVITE},
        {"{\"membership\":\"leave\"}", MEMBERSHIP_LEAVE},
        {"{\"membership\":\"ban\"}", MEMBERSHIP_BAN},
        {"{\"membership\":\"knock\"}", MEMBERSHIP_KNOCK},
        {"{\"membership\":\"\\u006aoin\"}", MEMBERSHIP_JOIN},
        {"{\"membership\":\"none\"}", MEMBERSHIP_NONE},
        {"{\"membership\":\"joined\"}", MEMBERSHIP_NONE},
        {"{\"membership\":1}", MEMBERSHIP_NONE},
        {"{\"membership\":{\"membership\":\"join\"}}", MEMBERSHIP_NONE},
        {"{}", MEMBERSHIP_NONE},
    };
    assert_int_equal(event_membership(NULL), MEMBERSHIP_NONE);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        print_message("%s\n", rows[i].content);
        const struct event e = {.content = str_of(rows[i].content)};
        assert_int_equal(event_membership(&e), rows[i].membership);
    }
}

static void *read_content(void *e)
{
    return (void *)event_content(e);
}

/* The first caller parses; all get the same tree. */
static void test_content_in_threads(void **state)
{
    arena_auto struct arena *a = arena_create();
    for (int round = 0; round < 50; round++) {
        const struct event *e = build(a, room_version_find("11"), "x", NULL, "{'a':{'b':'c'}}");
        pthread_t threads[4];
        for (size_t i = 0; i < COUNT(threads); i++)
            assert_int_equal(pthread_create(&threads[i], NULL, read_content, (void *)e), 0);
        for (size_t i = 0; i < COUNT(threads); i++) {
            void *tree;
            pthread_join(threads[i], &tree);
            assert_ptr_equal(tree, event_content(e));
        }
    }
}

static void test_references(void **state)
{
    arena_auto struct arena *a = arena_create();
    const struct event *e = build(a, room_version_find("11"), "x", NULL, "{}");
    struct event *mine = event_ref(e);
    arena_reset(a);
    assert_string_equal(mine->type, "x"); /* the address sanitizer would find a freed one */
    event_unref(mine);
    event_unref(NULL);
}

static void test_id_bytes(void **state)
{
    static const struct {
        const char *proves, *version, *id;
        size_t n; /* 0: no event has this id */
    } rows[] = {
        {"v1", "1", "$anything:domain", 16},
        {"v3", "3", "$acR1l0raoZnm60CBwAVgqbZqoO/mYU81xysh1u7XcJk", 32},
        {"v4", "4", "$Rqnc-F-dvnEYJTyHq_iKxU2bZ1CI92-kuZq3a5lr5Zg", 32},
        {"v3 in the other alphabet", "3", "$Rqnc-F-dvnEYJTyHq_iKxU2bZ1CI92-kuZq3a5lr5Zg", 0},
        {"v4 in the other alphabet", "4", "$acR1l0raoZnm60CBwAVgqbZqoO/mYU81xysh1u7XcJk", 0},
        {"another spelling of the same bytes", "4", "$Rqnc-F-dvnEYJTyHq_iKxU2bZ1CI92-kuZq3a5lr5Zh",
         0},
        {"too short", "11", "$Rqnc", 0},
        {"too long", "11", "$Rqnc-F-dvnEYJTyHq_iKxU2bZ1CI92-kuZq3a5lr5ZgAA", 0},
        {"padded", "11", "$Rqnc-F-dvnEYJTyHq_iKxU2bZ1CI92-kuZq3a5lr5Z=", 0},
        {"no sigil", "11", "!Rqnc-F-dvnEYJTyHq_iKxU2bZ1CI92-kuZq3a5lr5Zg", 0},
        {"nothing", "11", "", 0},
    };
    arena_auto struct arena *a = arena_create();
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct room_version *v = room_version_find(rows[i].version);
        struct str bytes = event_id_to_bytes(a, v, rows[i].id);
        check_bool(rows[i].proves, rows[i].id, bytes.p != NULL, rows[i].n != 0);
        assert_int_equal(bytes.n, rows[i].n);
        if (bytes.p)
            assert_string_equal(event_id_from_bytes(a, v, bytes), rows[i].id);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_spec_vectors),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_forms_of_ids),
        cmocka_unit_test(test_given_hashes),
        cmocka_unit_test(test_room_named_by_its_create_event),
        cmocka_unit_test(test_redacts),
        cmocka_unit_test(test_empty_redaction_in_client_format),
        cmocka_unit_test(test_client_format),
        cmocka_unit_test(test_templates_that_are_refused),
        cmocka_unit_test(test_depth_limit),
        cmocka_unit_test(test_add_signature),
        cmocka_unit_test(test_redacted),
        cmocka_unit_test(test_content_tree),
        cmocka_unit_test(test_membership),
        cmocka_unit_test(test_content_in_threads),
        cmocka_unit_test(test_references),
        cmocka_unit_test(test_id_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
