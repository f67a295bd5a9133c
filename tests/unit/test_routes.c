/* The limits of bodies, for every route. */
#include "server/routes.h"

#include "check.h"

enum { SETTING = 2 << 20 };

static bool is_tree(const struct route *r)
{
    return r->body == BODY_JSON || r->body == BODY_MAYBE;
}

static bool needs_no_token(const struct route *r)
{
    return r->who == WHO_ANYONE || r->who == WHO_MAYBE_USER;
}

static void test_limits_of_bodies(void **state)
{
    size_t n = 0, trees = 0;
    for (size_t i = 0; i < route_tables_n; i++)
        for (const struct route *r = route_tables[i]; r->path; r++) {
            size_t max = route_body_max(r, SETTING);
            n++;
            if (r->body == BODY_NONE || r->body == BODY_FILE)
                continue;
            trees += is_tree(r);
            if (max > 64 * 1024 && needs_no_token(r))
                fail_msg("%s: %zu bytes of anybody", r->path, max);
            if (max > 64 * 1024 && is_tree(r) && !r->body_max)
                fail_msg("%s: %zu bytes, which the row does not say", r->path, max);
            if (max > SETTING && is_tree(r))
                fail_msg("%s: a tree of %zu bytes", r->path, max);
        }
    assert_true(n > 150);
    assert_true(trees > 60);
}

/* Bodies that are read before the sender is known. */
static void test_small_ones(void **state)
{
    static const char *const paths[] = {
        "/_matrix/client/v3/login",    "/_matrix/client/v3/refresh",
        "/_matrix/client/v3/register", "/_matrix/client/v3/register/email/requestToken",
        "/_synapse/admin/v1/register",
    };
    for (size_t p = 0; p < COUNT(paths); p++) {
        bool found = false;
        for (size_t i = 0; i < route_tables_n; i++)
            for (const struct route *r = route_tables[i]; r->path; r++)
                if (r->method == POST && strcmp(r->path, paths[p]) == 0) {
                    found = true;
                    assert_int_equal(route_body_max(r, SETTING), 16 * 1024);
                }
        if (!found)
            fail_msg("%s: there is no such route", paths[p]);
    }
}

/* A lower setting applies to all routes without their own limit. */
static void test_setting(void **state)
{
    struct route json = {.body = BODY_JSON}, raw = {.body = BODY_RAW};
    struct route as_set = {.body = BODY_JSON, .body_max = BODY_AS_SET};
    struct route own = {.body = BODY_JSON, .body_max = 300000};
    assert_int_equal(route_body_max(&json, SETTING), BODY_SMALL);
    assert_int_equal(route_body_max(&json, 1000), 1000);
    assert_int_equal(route_body_max(&raw, SETTING), SETTING);
    assert_int_equal(route_body_max(&as_set, SETTING), SETTING);
    assert_int_equal(route_body_max(&own, SETTING), 300000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_limits_of_bodies),
        cmocka_unit_test(test_small_ones),
        cmocka_unit_test(test_setting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
