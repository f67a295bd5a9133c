#include "check.h"

#include "http/proxy.h"

#include <sys/un.h>

static const struct {
    const char *proves, *text, *wanted; /* NULL: no address */
} addresses[] = {
    {"IPv4", "192.0.2.1", "192.0.2.1"},
    {"IPv4 with a port", "192.0.2.1:8080", "192.0.2.1"},
    {"IPv6", "2001:db8::1", "2001:db8::1"},
    {"IPv6 in brackets", "[2001:db8::1]", "2001:db8::1"},
    {"IPv6 with a port", "[2001:db8::1]:8080", "2001:db8::1"},
    {"mapped IPv4 is IPv4", "::ffff:192.0.2.1", "192.0.2.1"},
    {"spaces around", "\t 192.0.2.1 ", "192.0.2.1"},
    {"nothing", "", NULL},
    {"spaces only", "  ", NULL},
    {"a name", "unknown", NULL},
    {"an open bracket", "[2001:db8::1", NULL},
    {"out of range", "192.0.2.256", NULL},
    {"too short", "192.0.2", NULL},
    {"far too long", "2001:0db8:0000:0000:0000:0000:0000:0001:0000:0000:0000:0000", NULL},
};

static void test_addresses(void **state)
{
    for (size_t i = 0; i < COUNT(addresses); i++) {
        struct address a;
        char text[INET6_ADDRSTRLEN];
        bool ok = address_parse(str_of(addresses[i].text), &a);
        check_bool(addresses[i].proves, addresses[i].text, ok, addresses[i].wanted);
        if (!ok)
            continue;
        address_write(&a, text);
        check_text(addresses[i].proves, str_of(text), addresses[i].wanted);
    }
}

static const struct {
    const char *proves, *cidr, *address;
    bool inside;
} members[] = {
    {"one address", "192.0.2.1", "192.0.2.1", true},
    {"another", "192.0.2.1", "192.0.2.2", false},
    {"its first", "10.0.0.0/8", "10.0.0.0", true},
    {"its last", "10.0.0.0/8", "10.255.255.255", true},
    {"beyond", "10.0.0.0/8", "11.0.0.0", false},
    {"bits within a byte", "172.16.0.0/12", "172.31.1.1", true},
    {"beyond bits within a byte", "172.16.0.0/12", "172.32.0.0", false},
    {"all of IPv4", "0.0.0.0/0", "203.0.113.9", true},
    {"IPv4 is not all", "0.0.0.0/0", "2001:db8::1", false},
    {"all", "::/0", "203.0.113.9", true},
    {"IPv6", "2001:db8::/32", "2001:db8:ffff::1", true},
    {"beyond IPv6", "2001:db8::/33", "2001:db8:ffff::1", false},
    {"mapped", "::ffff:10.0.0.0/8", "10.1.1.1", true},
};

static void test_membership(void **state)
{
    for (size_t i = 0; i < COUNT(members); i++) {
        struct address_ranges *l = NULL;
        struct address a;
        check_error(members[i].proves, address_ranges_create(&members[i].cidr, 1, &l), NULL);
        assert_true(address_parse(str_of(members[i].address), &a));
        check_bool(members[i].proves, members[i].address, address_is_within(l, &a),
                   members[i].inside);
        address_ranges_destroy(l);
    }
}

static void test_bad_cidrs_are_refused(void **state)
{
    static const char *const bad[] = {"",       "10.0.0.0/33", "10.0.0.0/",   "10.0.0.0/-1",
                                      "::/129", "name/8",      "10.0.0.0/8x", "10.0.0.0:80",
                                      "/8",     "10.0.0/8",    "::1/ 8",      "[::1]/8"};
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct address_ranges *l = NULL;
        check_error(bad[i], address_ranges_create(&bad[i], 1, &l), "M_UNKNOWN");
    }
}

static const struct {
    const char *proves, *forwarded, *client;
} chains[] = {
    {"no header", "", "10.0.0.1"},
    {"one client", "192.0.2.1", "192.0.2.1"},
    {"the client's own entry is ignored", "6.6.6.6, 192.0.2.1", "192.0.2.1"},
    {"proxies behind proxies", "192.0.2.1, 10.1.1.1,10.2.2.2", "192.0.2.1"},
    {"only proxies: the farthest", "10.3.3.3, 10.2.2.2", "10.3.3.3"},
    {"IPv6", "2001:db8::7", "2001:db8::7"},
    {"garbage ends the chain", "192.0.2.1, unknown, 10.2.2.2", "10.2.2.2"},
    {"garbage at the end", "192.0.2.1, unknown", "10.0.0.1"},
    {"empty parts", "192.0.2.1, ,", "10.0.0.1"},
    {"with a port", "192.0.2.1:55555", "192.0.2.1"},
};

static void test_chains(void **state)
{
    static const char *const trusted[] = {"10.0.0.0/8", "127.0.0.1"};
    struct address_ranges *l = NULL;
    struct address peer;
    check_error("trusted", address_ranges_create(trusted, 2, &l), NULL);
    assert_true(address_parse(STR("10.0.0.1"), &peer));
    for (size_t i = 0; i < COUNT(chains); i++) {
        char text[INET6_ADDRSTRLEN];
        struct address a = proxy_client(l, peer, str_of(chains[i].forwarded));
        address_write(&a, text);
        check_text(chains[i].proves, str_of(text), chains[i].client);
    }
    address_ranges_destroy(l);
}

static void test_subscribers(void **state)
{
    struct address a, b, c, d;
    assert_true(address_parse(STR("2001:db8:1:2:3::4"), &a));
    assert_true(address_parse(STR("2001:db8:1:2:5::6"), &b));
    assert_true(address_parse(STR("192.0.2.1"), &c));
    assert_true(address_parse(STR("192.0.2.2"), &d));
    assert_true(str_eq(address_subscriber(&a), address_subscriber(&b)));
    assert_false(str_eq(address_subscriber(&c), address_subscriber(&d)));
}

static void test_sockets(void **state)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0xc0000201)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    struct sockaddr_un local = {.sun_family = AF_UNIX};
    struct address a;
    char text[INET6_ADDRSTRLEN];
    assert_true(address_of_socket((struct sockaddr *)&v4, &a));
    address_write(&a, text);
    assert_string_equal(text, "192.0.2.1");
    assert_true(address_of_socket((struct sockaddr *)&v6, &a));
    address_write(&a, text);
    assert_string_equal(text, "::1");
    assert_false(address_of_socket((struct sockaddr *)&local, &a));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_membership),
        cmocka_unit_test(test_bad_cidrs_are_refused),
        cmocka_unit_test(test_chains),
        cmocka_unit_test(test_subscribers),
        cmocka_unit_test(test_sockets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
