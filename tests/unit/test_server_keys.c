/* Keys of other servers: published ones, those of the configuration, and the keyring's
 * memory (federation/keys/key_response.h, key_settings.h, key_table.h). */
#include "check.h"

#include "federation/keys/key_response.h"
#include "federation/keys/key_settings.h"
#include "federation/keys/key_table.h"
#include "matrix/sign.h"

#define PUBLIC_KEY "XGX0JRS2Af3be3knz2fBiRbApjm2Dh61gXDJA8kcJNI"
#define NOW 1700000000000
#define WEEK (7 * 24 * 3600 * INT64_C(1000))

static struct signing_key spec_key(void)
{
    struct signing_key k;
    check_error("the key of the spec",
                signing_key_parse(STR("ed25519 1 YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA1"), &k),
                NULL);
    return k;
}

/* ---- publications ---- */

#define KEYS "'verify_keys':{'ed25519:1':{'key':'" PUBLIC_KEY "'}}"
#define NAME "'server_name':'domain',"

static void test_publications(void **state)
{
    static const struct {
        const char *proves, *answer;
        size_t n; /* keys; 0: refused */
        int64_t valid_until;
    } rows[] = {
        {"as it should be", "{" NAME "'valid_until_ts':1700000001000," KEYS "}", 1, NOW + 1000},
        {"it has expired", "{" NAME "'valid_until_ts':5," KEYS "}", 1, 5},
        {"not for more than a week", "{" NAME "'valid_until_ts':1800000000000," KEYS "}", 1,
         NOW + WEEK},
        {"old keys",
         "{" NAME "'valid_until_ts':1700000001000," KEYS
         ",'old_verify_keys':{'ed25519:0':{'key':'" PUBLIC_KEY "','expired_ts':7}}}",
         2, NOW + 1000},
        {"what is in use is not old",
         "{" NAME "'valid_until_ts':1700000001000," KEYS
         ",'old_verify_keys':{'ed25519:1':{'key':'" PUBLIC_KEY "','expired_ts':7}}}",
         1, NOW + 1000},
        {"another algorithm is ignored",
         "{" NAME "'valid_until_ts':1700000001000,'verify_keys':{'rsa:1':3,'ed25519:1':{'key':"
         "'" PUBLIC_KEY "'}}}",
         1, NOW + 1000},
        {"of another server", "{'server_name':'x','valid_until_ts':1700000001000," KEYS "}"},
        {"of no server", "{'valid_until_ts':1700000001000," KEYS "}"},
        {"without validity", "{" NAME KEYS "}"},
        {"validity is no integer", "{" NAME "'valid_until_ts':1.5," KEYS "}"},
        {"validity is negative", "{" NAME "'valid_until_ts':-1," KEYS "}"},
        {"no keys", "{" NAME "'valid_until_ts':1700000001000}"},
        {"the key is short",
         "{" NAME "'valid_until_ts':1700000001000,'verify_keys':{'ed25519:1':{'key':'AAAA'}}}"},
        {"only its old key has signed",
         "{" NAME "'valid_until_ts':1700000001000,'old_verify_keys':{'ed25519:1':{'key':"
         "'" PUBLIC_KEY "','expired_ts':7}}}"},
        {"an old key without its end",
         "{" NAME "'valid_until_ts':1700000001000," KEYS
         ",'old_verify_keys':{'ed25519:0':{'key':'" PUBLIC_KEY "'}}}"},
    };
    struct signing_key k = spec_key();
    for (size_t i = 0; i < COUNT(rows); i++) {
        arena_auto struct arena *a = arena_create();
        struct key_response r = {0};
        json_t *o;
        check_error("row", json_read(a, str_of(quoted(a, rows[i].answer)), &o), NULL);
        /* A publication with a float cannot be signed: it is refused, for its signature at the
         * latest.
         */
        const struct err *e = sign_json(o, "domain", &k);
        if (!e)
            e = key_response_read(a, o, "domain", NOW, &r);
        if (!e != (rows[i].n > 0))
            fail_msg("%s: %s", rows[i].proves, e ? e->text : "accepted");
        if (r.n != rows[i].n || r.valid_until_ts != rows[i].valid_until)
            fail_msg("%s: %zu keys, valid until %lld", rows[i].proves, r.n,
                     (long long)r.valid_until_ts);
        for (size_t j = 0; j < r.n; j++) {
            bool old = strcmp(r.keys[j].key_id, "ed25519:0") == 0;
            assert_int_equal(r.keys[j].valid_until_ts, old ? 7 : r.valid_until_ts);
            assert_string_equal(r.keys[j].server, "domain");
            assert_string_equal(r.keys[j].public_key, PUBLIC_KEY);
        }
    }
}

/* Bad signatures: of changed content, or made by another key with the same id. */
static void test_publication_signatures(void **state)
{
    arena_auto struct arena *a = arena_create();
    struct signing_key good = spec_key(), bad;
    struct key_response r;
    json_t *o;
    const char *text = "{" NAME "'valid_until_ts':1700000001000," KEYS "}";
    check_error("row", json_read(a, str_of(quoted(a, text)), &o), NULL);
    assert_non_null(key_response_read(a, o, NULL, NOW, &r));
    check_error("signing", sign_json(o, "domain", &good), NULL);
    check_error("signed", key_response_read(a, o, NULL, NOW, &r), NULL);
    json_object_set_new(o, "more", json_true());
    assert_non_null(key_response_read(a, o, NULL, NOW, &r));
    signing_key_make(&bad);
    snprintf(bad.id, sizeof bad.id, "ed25519:1");
    check_error("signing", sign_json(o, "domain", &bad), NULL);
    assert_non_null(key_response_read(a, o, NULL, NOW, &r));
}

static void test_too_many_keys(void **state)
{
    arena_auto struct arena *a = arena_create();
    struct signing_key k = spec_key();
    struct key_response r;
    json_t *o, *old = json_object();
    const char *text = "{" NAME "'valid_until_ts':1700000001000," KEYS "}";
    check_error("row", json_read(a, str_of(quoted(a, text)), &o), NULL);
    json_object_set_new(o, "old_verify_keys", old);
    for (int i = 0; i < KEY_RESPONSE_KEYS_MAX; i++)
        json_object_set_new(old, arena_printf(a, "ed25519:o%d", i),
                            json_pack("{s:s,s:i}", "key", PUBLIC_KEY, "expired_ts", 7));
    check_error("signing", sign_json(o, "domain", &k), NULL);
    assert_non_null(key_response_read(a, o, NULL, NOW, &r));
    json_object_del(old, "ed25519:o0");
    check_error("signing", sign_json(o, "domain", &k), NULL);
    check_error("as many as there may be", key_response_read(a, o, NULL, NOW, &r), NULL);
    assert_int_equal(r.n, KEY_RESPONSE_KEYS_MAX);
}

/* ---- settings ---- */

static void test_settings(void **state)
{
    static const char *const old[] = {"ed25519:0:" PUBLIC_KEY ":1000"};
    static const char *const pinned[] = {"a.example:8448=ed25519:p:" PUBLIC_KEY};
    static const char *const notaries[] = {"n.example", "m.example=ed25519:m:" PUBLIC_KEY};
    const struct config c = {.server_name = "domain",
                             .old_signing_keys = {old, 1},
                             .federation_pinned_keys = {pinned, 1},
                             .trusted_key_servers = {notaries, 2}};
    struct signing_key further = spec_key();
    snprintf(further.id, sizeof further.id, "ed25519:2");
    const struct signing_keys keys = {.current = spec_key(), .further = &further, .further_n = 1};
    arena_auto struct arena *a = arena_create();
    struct key_settings k;
    const char *key;
    key_settings_read(a, &c, &keys, &k);
    assert_int_equal(k.own_n, 3);
    assert_int_equal(k.own_in_use, 2);
    assert_string_equal(k.notaries[0].server, "n.example");
    assert_null(k.notaries[0].key_id);
    assert_string_equal(k.notaries[1].key_id, "ed25519:m");
    static const struct {
        const char *server, *key_id;
        int64_t at;
        bool fixed, found;
    } rows[] = {
        {"domain", "ed25519:1", NOW, true, true},
        {"domain", "ed25519:2", NOW, true, true},
        {"domain", "ed25519:0", 1000, true, true},
        {"domain", "ed25519:0", 1001, true, false},
        {"domain", "ed25519:0", 0, true, true},
        {"domain", "ed25519:x", 0, true, false},
        {"a.example:8448", "ed25519:p", NOW, true, true},
        {"a.example:8448", "ed25519:q", NOW, true, false},
        {"a.example", "ed25519:p", NOW, false, false},
        {"n.example", "ed25519:p", NOW, false, false},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        bool fixed = key_settings_find(&k, rows[i].server, rows[i].key_id, rows[i].at, &key);
        check_bool(rows[i].key_id, rows[i].server, fixed, rows[i].fixed);
        check_bool(rows[i].key_id, rows[i].server, key != NULL, rows[i].found);
    }
}

static void test_wrong_settings(void **state)
{
    static const char *const wrong[] = {
        "",
        "a.example=",
        "a.example=ed25519:p",
        "a.example=ed25519:p:AAAA",
        "a.example=rsa:p:" PUBLIC_KEY,
        "a b=ed25519:p:" PUBLIC_KEY,
        "=ed25519:p:" PUBLIC_KEY,
        "ed25519:p:" PUBLIC_KEY,
        "ed25519:p:" PUBLIC_KEY ":",
        "ed25519:p:" PUBLIC_KEY ":x",
    };
    static const char *const origins[256]; /* the settings have no origin */
    for (size_t i = 0; i < COUNT(wrong); i++) {
        buf_auto struct buf problems = {0};
        const struct config c = {.origins = origins,
                                 .old_signing_keys = {&wrong[i], 1},
                                 .federation_pinned_keys = {&wrong[i], 1},
                                 .trusted_key_servers = {&wrong[i], 1}};
        key_settings_check(&c, &problems);
        size_t lines = 0;
        for (size_t p = 0; p < problems.n; p++)
            lines += problems.p[p] == '\n';
        if (lines != 3)
            fail_msg("%s: %s", wrong[i], problems.p ? problems.p : "");
    }
}

/* ---- memory ---- */

/* The table may hold a sixteenth of all caches. */
enum { TWO_SERVERS = 16 * 900 };

static void put(struct key_table *t, const char *server, const char *key_id, int64_t until,
                enum key_source pending)
{
    const struct server_key k = {server, key_id, PUBLIC_KEY, until};
    CACHE_LOCKED(&t->servers);
    key_server_put(key_table_use(t, server), &k, pending);
}

static bool has(struct key_table *t, const char *server, const char *key_id, int64_t at)
{
    const struct key_server *s = key_table_find(t, server);
    return s && key_server_find(s, key_id, at);
}

static void test_memory(void **state)
{
    struct key_table t;
    struct cache_budget *budget = cache_budget_create(TWO_SERVERS);
    key_table_init(&t, budget);
    put(&t, "a", "ed25519:1", 100, KEY_SOURCE_OLDER);
    put(&t, "a", "ed25519:2", 200, KEY_SOURCE_OLDER);
    assert_true(has(&t, "a", "ed25519:1", 100) && has(&t, "a", "ed25519:1", 0));
    assert_false(has(&t, "a", "ed25519:1", 101) || has(&t, "a", "ed25519:3", 0));
    put(&t, "a", "ed25519:1", 300, KEY_SOURCE_OLDER);
    assert_false(has(&t, "a", "ed25519:1", 300));
    put(&t, "a", "ed25519:1", 50, KEY_SOURCE_NEWER);
    assert_true(has(&t, "a", "ed25519:1", 50) && !has(&t, "a", "ed25519:1", 51));

    /* Only the server itself may give an id another key. */
    const struct server_key other = {"a", "ed25519:1", "other", 400};
    key_server_put(key_table_use(&t, "a"), &other, KEY_SOURCE_NEWER);
    assert_false(has(&t, "a", "ed25519:1", 400));
    key_server_put(key_table_use(&t, "a"), &other, KEY_SOURCE_DIRECT);
    assert_true(has(&t, "a", "ed25519:1", 400));

    /* The least recently used server is evicted, unless it is being asked. */
    put(&t, "b", "ed25519:1", 100, KEY_SOURCE_OLDER);
    key_table_use(&t, "a");
    put(&t, "c", "ed25519:1", 100, KEY_SOURCE_OLDER);
    assert_true(key_table_find(&t, "a") && !key_table_find(&t, "b") && key_table_find(&t, "c"));
    key_table_find(&t, "a")->entry.pinned = true;
    put(&t, "d", "ed25519:1", 100, KEY_SOURCE_OLDER);
    assert_true(key_table_find(&t, "a") && !key_table_find(&t, "c") && key_table_find(&t, "d"));
    key_table_finish(&t);
    cache_budget_destroy(budget);
}

static void test_patience(void **state)
{
    struct key_server s = {0};
    assert_true(key_server_is_due(&s, false, 0));
    key_server_asked(&s, true, 0, 1000);
    assert_false(key_server_is_due(&s, false, 1000 + 29999) || key_server_is_due(&s, true, 1000));
    assert_true(key_server_is_due(&s, false, 1000 + 30000));

    int64_t now = 100000, wait = 10000;
    for (int i = 0; i < 12; i++, now += wait) {
        key_server_asked(&s, false, 0, now);
        wait = i == 0 ? 10000 : wait < 640000 ? 2 * wait : wait;
        assert_false(key_server_is_due(&s, false, now + wait - 1));
        assert_true(key_server_is_due(&s, false, now + wait));
        /* A server that makes requests is reachable. */
        assert_false(key_server_is_due(&s, true, now + 4999));
        assert_true(key_server_is_due(&s, true, now + 5000));
    }
    key_server_asked(&s, true, 0, now);
    key_server_asked(&s, false, 0, now);
    assert_true(key_server_is_due(&s, false, now + 10000));

    /* The server sets the time of the next request itself: that is no failure. */
    key_server_asked(&s, true, 0, now);
    key_server_asked(&s, false, 20000, now);
    assert_false(key_server_is_due(&s, false, now + 19999));
    assert_true(key_server_is_due(&s, false, now + 20000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_publications),   cmocka_unit_test(test_publication_signatures),
        cmocka_unit_test(test_too_many_keys),  cmocka_unit_test(test_settings),
        cmocka_unit_test(test_wrong_settings), cmocka_unit_test(test_memory),
        cmocka_unit_test(test_patience),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
