#include "matrix/server_acl.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void test_rules(void **state)
{
    static const struct {
        const char *proves, *acl, *server;
        bool allowed;
    } rows[] = {
        {"1: no ACL allows", NULL, "evil.com", true},
        {"2: IPv4 literal denied", "{'allow_ip_literals':false,'allow':['*']}", "1.2.3.4", false},
        {"2: IPv4 literal with port denied", "{'allow_ip_literals':false,'allow':['*']}",
         "1.2.3.4:8448", false},
        {"2: IPv6 literal denied", "{'allow_ip_literals':false,'allow':['*']}", "[::1]", false},
        {"2: IPv6 literal with port denied", "{'allow_ip_literals':false,'allow':['*']}",
         "[2001:db8::1]:8448", false},
        {"2: a name is no literal", "{'allow_ip_literals':false,'allow':['*']}", "1.2.3.com", true},
        {"2: five numbers are a name", "{'allow_ip_literals':false,'allow':['*']}", "1.2.3.4.5",
         true},
        {"2: literals allowed by default", "{'allow':['*']}", "1.2.3.4", true},
        {"2: literals allowed by the setting", "{'allow_ip_literals':true,'allow':['*']}", "[::1]",
         true},
        {"2: not a boolean counts as missing", "{'allow_ip_literals':'false','allow':['*']}",
         "1.2.3.4", true},
        {"3: denied", "{'allow':['*'],'deny':['evil.com']}", "evil.com", false},
        {"3: deny goes before allow", "{'allow':['evil.com'],'deny':['evil.com']}", "evil.com",
         false},
        {"3: the port does not count", "{'allow':['*'],'deny':['evil.com']}", "evil.com:8448",
         false},
        {"3: any port", "{'allow':['*'],'deny':['evil.com']}", "evil.com:1234", false},
        {"3: others are allowed", "{'allow':['*'],'deny':['evil.com']}", "good.com", true},
        {"3: globs", "{'allow':['*'],'deny':['*.evil.com']}", "a.evil.com", false},
        {"3: globs are anchored", "{'allow':['*'],'deny':['*.evil.com']}", "a.evil.com.good", true},
        {"3: question marks", "{'allow':['*'],'deny':['evil?.com']}", "evil2.com", false},
        {"3: case does not matter", "{'allow':['*'],'deny':['EVIL.com']}", "evil.COM", false},
        {"3: IPv6 keeps its brackets", "{'allow':['*'],'deny':['[2001:*]']}", "[2001:db8::1]:1",
         false},
        {"3: a wrong type denies no server", "{'allow':['*'],'deny':'evil.com'}", "evil.com", true},
        {"3: entries of wrong types are ignored", "{'allow':['*'],'deny':[1,null,{},'evil.com']}",
         "evil.com", false},
        {"4: allowed", "{'allow':['good.com']}", "good.com", true},
        {"4: any of several", "{'allow':['other.com','*.good.com']}", "x.good.com", true},
        {"5: otherwise denied", "{'allow':['good.com']}", "other.com", false},
        {"5: an empty allow list denies all", "{'allow':[]}", "good.com", false},
        {"5: no allow list denies all", "{}", "good.com", false},
        {"5: a wrong type allows no server", "{'allow':'*'}", "good.com", false},
        {"5: content that is no object allows no server", "[]", "good.com", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[200] = "";
        for (size_t c = 0; rows[i].acl && rows[i].acl[c]; c++)
            text[c] = rows[i].acl[c] == '\'' ? '"' : rows[i].acl[c];
        json_auto_t *acl = json_loads(text, 0, NULL);
        assert_true(!rows[i].acl == !acl);
        if (server_acl_allows(acl, rows[i].server) != rows[i].allowed)
            fail_msg("%s", rows[i].proves);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_rules)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
