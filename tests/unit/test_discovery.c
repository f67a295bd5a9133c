/* Server discovery without network. The rest is in tests/api/test_fed_discovery.py. */
#include "check.h"

#include "base/cache.h"
#include "base/clock.h"
#include "federation/peer/discovery.h"
#include "federation/peer/host_name.h"
#include "federation/peer/path.h"
#include "federation/peer/request.h"
#include "federation/peer/well_known.h"
#include "http/client/srv.h"

/* ---- server names ---- */

static const struct {
    const char *proves, *name, *host; /* NULL: refused */
    int port;
    bool is_literal;
} names[] = {
    {"a host", "example.org", "example.org", 0, false},
    {"a port", "example.org:8448", "example.org", 8448, false},
    {"the last port", "example.org:65535", "example.org", 65535, false},
    {"IPv4", "192.0.2.1", "192.0.2.1", 0, true},
    {"IPv4 with a port", "192.0.2.1:443", "192.0.2.1", 443, true},
    {"IPv6", "[2001:db8::1]", "2001:db8::1", 0, true},
    {"IPv6 with a port", "[2001:db8::1]:443", "2001:db8::1", 443, true},
    {"digits that are no address", "1.2.3", "1.2.3", 0, false},
    {"too large for an address", "300.1.1.1", "300.1.1.1", 0, false},
    {"no port behind the colon", "example.org:", NULL, 0, false},
    {"port 0", "example.org:0", NULL, 0, false},
    {"beyond the last port", "example.org:65536", NULL, 0, false},
    {"a port that is no number", "example.org:x", NULL, 0, false},
    {"brackets around a name", "[abc]", NULL, 0, false},
    {"brackets around nonsense", "[1::2::3]", NULL, 0, false},
    {"an open bracket", "[2001:db8::1", NULL, 0, false},
    {"a path", "example.org/path", NULL, 0, false},
    {"credentials", "user@example.org", NULL, 0, false},
    {"nothing", "", NULL, 0, false},
    {"a line break", "example.org\n", NULL, 0, false},
};

static void test_names(void **state)
{
    arena_auto struct arena *a = arena_create();
    for (size_t i = 0; i < COUNT(names); i++) {
        struct host_name h = {0};
        bool ok = host_name_read(a, names[i].name, &h);
        check_bool(names[i].proves, names[i].name, ok, names[i].host);
        if (!ok)
            continue;
        check_text(names[i].proves, str_of(h.host), names[i].host);
        check_bool(names[i].proves, "literal", h.is_literal, names[i].is_literal);
        assert_int_equal(h.port, names[i].port);
    }
}

/* ---- .well-known ---- */

static const struct {
    const char *proves, *body, *delegated;
} bodies[] = {
    {"a host", "{'m.server':'matrix.example.org'}", "matrix.example.org"},
    {"with a port", "{'m.server':'matrix.example.org:443','x':1}", "matrix.example.org:443"},
    {"an address", "{'m.server':'[2001:db8::1]:443'}", "[2001:db8::1]:443"},
    {"a URL is no server name", "{'m.server':'https://matrix.example.org'}", NULL},
    {"with a path", "{'m.server':'matrix.example.org/'}", NULL},
    {"empty", "{'m.server':''}", NULL},
    {"absent", "{'m.homeserver':{}}", NULL},
    {"not a text", "{'m.server':443}", NULL},
    {"an array", "['m.server']", NULL},
    {"bad JSON", "{'m.server':'a.b'", NULL},
    {"HTML", "<html></html>", NULL},
    {"nothing", "", NULL},
    {"NUL in it", "{'m.server':'a.example\\u0000.org'}", NULL},
};

static void test_bodies(void **state)
{
    arena_auto struct arena *a = arena_create();
    for (size_t i = 0; i < COUNT(bodies); i++) {
        const char *got = well_known_read(a, str_of(quoted(a, bodies[i].body)));
        check_bool(bodies[i].proves, bodies[i].body, got, bodies[i].delegated);
        if (got)
            check_text(bodies[i].proves, str_of(got), bodies[i].delegated);
    }
}

enum { MINUTE = 60, HOUR = 3600 };

static const struct {
    const char *proves, *cache_control, *age, *expires;
    int64_t seconds;
} times[] = {
    {"24 hours when nothing is said", NULL, NULL, NULL, 24 * HOUR},
    {"max-age", "max-age=7200", NULL, NULL, 2 * HOUR},
    {"among others", "public, Max-Age=7200 , must-revalidate", NULL, NULL, 2 * HOUR},
    {"in quotes", "max-age=\"7200\"", NULL, NULL, 2 * HOUR},
    {"not s-maxage", "s-maxage=60", NULL, NULL, 24 * HOUR},
    {"48 hours at most", "max-age=31536000", NULL, NULL, 48 * HOUR},
    {"whatever the number", "max-age=99999999999999999999", NULL, NULL, MINUTE},
    {"a minute at least", "max-age=0", NULL, NULL, MINUTE},
    {"negative", "max-age=-5", NULL, NULL, MINUTE},
    {"no-store", "no-store", NULL, NULL, MINUTE},
    {"no-cache before max-age", "max-age=7200, no-cache", NULL, NULL, MINUTE},
    {"what a cache has kept already", "max-age=7200", "3600", NULL, HOUR},
    {"longer than it may", "max-age=7200", "9000", NULL, MINUTE},
    {"a wrong age", "max-age=7200", "-1", NULL, 2 * HOUR},
    {"Expires", NULL, NULL, "Thu, 01 Jan 1970 03:00:00 GMT", 2 * HOUR},
    {"in the past", NULL, NULL, "Thu, 01 Jan 1970 00:00:00 GMT", MINUTE},
    {"far away", NULL, NULL, "Fri, 01 Jan 2100 00:00:00 GMT", 48 * HOUR},
    {"a wrong date is past", NULL, NULL, "0", MINUTE},
    {"max-age before Expires", "max-age=7200", NULL, "0", 2 * HOUR},
    {"empty", "", NULL, NULL, 24 * HOUR},
    {"commas only", ",, ,", NULL, NULL, 24 * HOUR},
};

static void test_cache_times(void **state)
{
    for (size_t i = 0; i < COUNT(times); i++) {
        int64_t got =
            well_known_keep_ms(times[i].cache_control, times[i].age, times[i].expires, HOUR * 1000);
        if (got != times[i].seconds * 1000)
            fail_msg("%s: %lld instead of %lld seconds", times[i].proves, (long long)got / 1000,
                     (long long)times[i].seconds);
    }
}

/* ---- the order of SRV records ---- */

static uint32_t chance; /* the random values: lowest, highest */

static uint32_t lowest(uint32_t n)
{
    return 0;
}

static uint32_t highest(uint32_t n)
{
    return n - 1;
}

static uint32_t turning(uint32_t n)
{
    chance = chance * 1103515245 + 12345;
    return (chance >> 8) % n;
}

static void check_order(const char *proves, struct srv_record *r, size_t n, const char *wanted)
{
    buf_auto struct buf got = {0};
    for (size_t i = 0; i < n; i++)
        buf_add_text(&got, r[i].host);
    check_text(proves, buf_str(&got), wanted);
}

static void test_srv_order(void **state)
{
    const struct srv_record rows[] = {
        {"d", 1, 20, 0}, {"a", 1, 5, 0}, {"b", 1, 10, 30}, {"c", 1, 10, 70}};
    struct srv_record r[4];
    memcpy(r, rows, sizeof r);
    srv_order(r, 4, lowest);
    check_order("by priority", r, 4, "abcd");
    memcpy(r, rows, sizeof r);
    srv_order(r, 4, highest);
    check_order("chance decides among the same priority only", r, 4, "acbd");
    srv_order(r, 0, lowest);
    check_order("none", r, 0, "");
    int first = 0;
    for (int i = 0; i < 10000; i++) {
        memcpy(r, rows, sizeof r);
        srv_order(r, 4, turning);
        first += r[1].host[0] == 'c';
    }
    assert_in_range(first, 6700, 7300); /* of 30 and 70 */
    first = 0;
    for (int i = 0; i < 10000; i++) {
        struct srv_record weightless[] = {{"x", 1, 1, 0}, {"y", 1, 1, 0}, {"z", 1, 1, 10}};
        srv_order(weightless, 3, turning);
        first += weightless[0].host[0] != 'z';
    }
    assert_in_range(first, 1, 100); /* seldom, but not never */
}

/* ---- allowed and denied servers ---- */

static void test_closed_federation(void **state)
{
    static const char *const allowed[] = {"friend.example", "friend.example:8448", "me.example"};
    const struct config closed = {.server_name = "me.example",
                                  .federation_domain_whitelist = {allowed, 0}},
                        some = {.server_name = "me.example",
                                .federation_domain_whitelist = {allowed, 3}},
                        open = {.server_name = "me.example"};
    assert_false(federation_may_contact(&closed, "friend.example"));
    assert_true(federation_may_contact(&some, "friend.example"));
    assert_true(federation_may_contact(&some, "friend.example:8448"));
    assert_false(federation_may_contact(&some, "friend.example:443"));
    assert_false(federation_may_contact(&some, "sub.friend.example"));
    assert_false(federation_may_contact(&some, "other.example"));
    assert_true(federation_may_contact(&open, "other.example"));
    assert_false(federation_may_contact(&open, "me.example"));
    assert_false(federation_may_contact(&some, "me.example"));
    assert_false(federation_may_contact(&open, "not a name"));
    assert_false(federation_may_contact(&open, ""));
}

/* ---- paths ---- */

static void test_paths(void **state)
{
    arena_auto struct arena *a = arena_create();
    check_text("ids", str_of(federation_path(a, "/x/%s/%s?ver=%s", "!a/b:c.org", "@ü:d", "1&2")),
               "/x/%21a%2Fb%3Ac.org/%40%C3%BC%3Ad?ver=1%262");
    check_text("plain", str_of(federation_path(a, "/x/%s", "aZ09-._~")), "/x/aZ09-._~");
    check_text("numbers", str_of(federation_path(a, "/x?a=%d&b=%zu&c=%lld", -1, (size_t)2, 3LL)),
               "/x?a=-1&b=2&c=3");
    check_text("percent", str_of(federation_path(a, "/%s", "100%?")), "/100%25%3F");
    check_text("nothing", str_of(federation_path(a, "%s", "")), "");
}

/* ---- names that need no lookup ---- */

static void test_names_that_need_no_lookup(void **state)
{
    static const struct {
        const char *name, *host;
        int port;
    } rows[] = {{"192.0.2.1", "192.0.2.1", 8448},
                {"192.0.2.1:443", "192.0.2.1", 443},
                {"[2001:db8::1]", "2001:db8::1", 8448},
                {"example.org:443", "example.org", 443}};
    arena_auto struct arena *a = arena_create();
    struct cache_budget *budget = cache_budget_create(1 << 20);
    struct discovery *d = discovery_create(NULL, budget); /* no server is asked */
    struct server_endpoint to;
    for (size_t i = 0; i < COUNT(rows); i++) {
        check_error(rows[i].name, discovery_find(d, a, rows[i].name, mono_ms(), &to), NULL);
        check_text(rows[i].name, str_of(to.authority), rows[i].name);
        assert_int_equal(to.peers_n, 1);
        check_text(rows[i].name, str_of(to.peers[0].host), rows[i].host);
        assert_int_equal(to.peers[0].port, rows[i].port);
    }
    check_error("no name", discovery_find(d, a, "a b", mono_ms(), &to), "M_INVALID_PARAM");
    discovery_destroy(d);
    cache_budget_destroy(budget);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_bodies),
        cmocka_unit_test(test_cache_times),
        cmocka_unit_test(test_srv_order),
        cmocka_unit_test(test_closed_federation),
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_names_that_need_no_lookup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
