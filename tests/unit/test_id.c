#include "matrix/id.h"

#include "check.h"
#include "storage/db/job.h"

struct row {
    const char *proves, *text;
    bool ok;
};

static void check_rows(const struct row *rows, size_t n, bool (*is)(struct str))
{
    for (size_t i = 0; i < n; i++)
        check_bool(rows[i].proves, rows[i].text, is(str_of(rows[i].text)), rows[i].ok);
}
#define CHECK(rows, is) check_rows(rows, COUNT(rows), is)

/* Appendices, "Server Name" */
static void test_server_names(void **state)
{
    static const struct row rows[] = {
        {"DNS name", "matrix.org", true},
        {"DNS name with port", "matrix.org:8888", true},
        {"IPv4 literal", "1.2.3.4", true},
        {"IPv4 literal with port", "1.2.3.4:1234", true},
        {"IPv6 literal", "[1234:5678::abcd]", true},
        {"IPv6 literal with port", "[1234:5678::abcd]:5678", true},
        {"single label", "localhost", true},
        {"upper case", "MATRIX.org", true},
        {"nothing", "", false},
        {"only a port", ":80", false},
        {"empty port", "a:", false},
        {"six digits of port", "a:123456", false},
        {"letters in the port", "a:80b", false},
        {"two ports", "a:80:80", false},
        {"underscore", "a_b.org", false},
        {"space", "a b", false},
        {"not ASCII", "m\xc3\xa4trix.org", false},
        {"path", "a.org/x", false},
        {"user", "x@a.org", false},
        {"unclosed IPv6", "[::1", false},
        {"IPv6 without brackets", "::1", false},
        {"rest behind IPv6", "[::1]x", false},
        {"letters after f in IPv6", "[::g]", false},
        {"too short for IPv6", "[:]", false},
        {"empty brackets", "[]", false},
    };
    CHECK(rows, id_is_server_name);
    char longest[257];
    memset(longest, 'a', sizeof longest);
    assert_true(id_is_server_name((struct str){longest, 255}));
    assert_false(id_is_server_name((struct str){longest, 256}));
}

/* Appendices, "User Identifiers", and the historical ones */
static void test_users(void **state)
{
    static const struct row rows[] = {
        {"plain", "@alice:example.org", true},
        {"all new characters", "@a0._=-/+:example.org:8448", true},
        {"historical: upper case and signs", "@Alice!#$%:example.org", true},
        {"historical: control characters", "@a\x01\x7f:example.org", true},
        {"historical: empty localpart", "@:example.org", true},
        {"historical: not ASCII", "@\xc3\xa9:example.org", true},
        {"not UTF-8", "@\xff:example.org", false},
        {"no sigil", "alice:example.org", false},
        {"other sigil", "#alice:example.org", false},
        {"no server", "@alice", false},
        {"empty server", "@alice:", false},
        {"bad server", "@alice:a b", false},
        {"the first colon divides", "@a:b:c", false},
        {"IPv6 server", "@a:[::1]:8448", true},
        {"nothing", "", false},
    };
    CHECK(rows, id_is_user);
    assert_false(id_is_user((struct str){"@a\0b:c.org", 10}));
    assert_true(id_is_compliant_user(STR("@Al~!ce:example.org")));
    assert_false(id_is_compliant_user(STR("@:example.org")));
    assert_false(id_is_compliant_user(STR("@a b:example.org")));
    assert_false(id_is_compliant_user(STR("@\xc3\xa9:example.org")));
}

static void test_lengths(void **state)
{
    char id[300];
    memset(id, 'a', sizeof id);
    id[0] = '@';
    memcpy(id + 250, ":b.or", 5);
    assert_true(id_is_user((struct str){id, 255}));
    memcpy(id + 250, ":b.org", 6);
    assert_false(id_is_user((struct str){id, 256}));
}

static void test_localparts(void **state)
{
    static const struct row rows[] = {
        {"all that is allowed", "abcxyz0189._=-/+", true},
        {"upper case", "Alice", false},
        {"nothing", "", false},
        {"colon", "a:b", false},
        {"not ASCII", "\xc3\xa9", false},
        {"space", "a b", false},
        {"sigil", "@a", false},
    };
    CHECK(rows, id_is_new_localpart);
    assert_false(id_is_new_localpart((struct str){"a\0", 2}));
}

static void test_rooms_aliases_events(void **state)
{
    static const struct row rooms[] = {
        {"up to v11", "!abc:example.org", true},
        {"v12", "!Nhcu5BS-UMnFX7hBVfVSoXiD7OgH6iRT-xyIuqDnpYQ", true},
        {"only a sigil", "!", false},
        {"alias", "#abc:example.org", false},
        {"bad server", "!abc:", false},
    };
    static const struct row aliases[] = {
        {"plain", "#room:example.org", true},
        {"any characters", "#\xe6\x97\xa5 !:example.org", true},
        {"no server", "#room", false},
    };
    static const struct row events[] = {
        {"v1", "$a:example.org", true},
        {"v3", "$acR1l0raoZnm60CBwAVgqbZqoO/mYU81xysh1u7XcJk", true},
        {"v4", "$Rqnc-F-dvnEYJTyHq_iKxU2bZ1CI92-kuZq3a5lr5Zg", true},
        {"only a sigil", "$", false},
    };
    CHECK(rooms, id_is_room);
    CHECK(aliases, id_is_alias);
    CHECK(events, id_is_event);
}

static void test_split(void **state)
{
    struct str localpart, server;
    assert_true(id_split('@', STR("@a:b.org:80"), &localpart, &server));
    check_text("localpart", localpart, "a");
    check_text("server", server, "b.org:80");
    assert_true(id_split('$', STR("$hash"), &localpart, &server));
    check_text("localpart", localpart, "hash");
    assert_int_equal(server.n, 0);
    check_text("server of a room", id_server(STR("!r:b.org")), "b.org");
    assert_int_equal(id_server(STR("!r")).n, 0);
    assert_int_equal(id_server(STR("r:b.org")).n, 0);
    assert_int_equal(id_server(STR("")).n, 0);
}

static void test_whose_server(void **state)
{
    static const struct {
        const char *rule, *id;
        bool is_of, is_user_of, is_remote;
    } rows[] = {
        {"user", "@a:b.org", true, true, false},
        {"alias", "#a:b.org", true, false, false},
        {"room", "!a:b.org", true, false, false},
        {"event", "$a:b.org", true, false, false},
        {"user of another server", "@a:c.org", false, false, true},
        {"alias of another server", "#a:c.org", false, false, true},
        {"with a port", "@a:b.org:8448", false, false, true},
        {"a name that only ends so", "@a:ab.org", false, false, true},
        {"in upper case", "@a:B.org", false, false, true},
        {"no server part", "!a", false, false, false},
        {"no sigil", "a:b.org", false, false, false},
        {"nothing", "", false, false, false},
        {"NULL", NULL, false, false, false},
    };
    struct config config = {.server_name = "b.org"};
    const struct node node = {.config = &config};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        print_message("%s\n", rows[i].rule);
        assert_int_equal(id_is_of(rows[i].id, "b.org"), rows[i].is_of);
        assert_int_equal(id_is_local(&node, rows[i].id), rows[i].is_of);
        assert_int_equal(id_is_user_of(rows[i].id, "b.org"), rows[i].is_user_of);
        assert_int_equal(id_is_remote(&node, rows[i].id), rows[i].is_remote);
    }
}

static void test_devices_and_keys(void **state)
{
    static const struct row devices[] = {
        {"plain", "JLAFKJWSCS", true}, {"anything printable", "my device \xc3\xa9", true},
        {"nothing", "", false},        {"a line break", "a\nb", false},
        {"not UTF-8", "\xff", false},
    };
    static const struct row keys[] = {
        {"device key", "ed25519:JLAFKJWSCS", true},
        {"one-time key", "signed_curve25519:AAAAHg", true},
        {"cross-signing key", "ed25519:base64+public/key", true},
        {"no algorithm", ":a", false},
        {"no key", "ed25519:", false},
        {"no colon", "ed25519", false},
        {"upper-case algorithm", "Ed:a", false},
    };
    CHECK(devices, id_is_device);
    CHECK(keys, id_is_key);
}

static void test_make(void **state)
{
    arena_auto struct arena *a = arena_create();
    char *id = id_make(a, '!', "example.org");
    assert_true(id_is_room(str_of(id)));
    assert_int_equal(strlen(id), 1 + 18 + 1 + strlen("example.org"));
    assert_string_not_equal(id, id_make(a, '!', "example.org"));
    char *random = id_random(a, 5000);
    assert_int_equal(strspn(random, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"), 5000);
    for (const char *c = "AMZamz"; *c; c++)
        assert_non_null(strchr(random, *c));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_server_names),
        cmocka_unit_test(test_users),
        cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_localparts),
        cmocka_unit_test(test_rooms_aliases_events),
        cmocka_unit_test(test_split),
        cmocka_unit_test(test_whose_server),
        cmocka_unit_test(test_devices_and_keys),
        cmocka_unit_test(test_make),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
