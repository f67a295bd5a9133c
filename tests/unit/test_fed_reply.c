/* A 429 of another server: how long to pause. */
#include "federation/peer/reply.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { MINUTE_MS = 60 * 1000 };

static const struct {
    const char *rule;
    int status;
    const char *header, *body;
    int wanted_ms, wait_ms; /* as answered; as background work waits */
} rows[] = {
    {"the header is in seconds", 429, "30", "{}", 30000, 30000},
    {"the older member of the body", 429, NULL, "{\"retry_after_ms\":2500}", 2500, 2500},
    {"the header overrides it", 429, "7", "{\"retry_after_ms\":2500}", 7000, 7000},
    {"a header that is no number does not", 429, "Mon, 30 Nov 2026 12:00:00 GMT",
     "{\"retry_after_ms\":2500}", 2500, 2500},
    {"no time is given", 429, NULL, "{}", 1000, 1000},
    {"no time is given in JSON", 429, NULL, "<html>", 1000, 1000},
    {"a number of another type", 429, NULL, "{\"retry_after_ms\":1.5}", 1000, 1000},
    {"at once", 429, "0", "{}", 0, 500},
    {"before now", 429, "-9223372036854775808", "{}", 0, 500},
    {"for ever", 429, "9223372036854775807", "{}", 60 * MINUTE_MS, 5 * MINUTE_MS},
    {"for ever, in the body", 429, NULL, "{\"retry_after_ms\":9223372036854775807}", 60 * MINUTE_MS,
     5 * MINUTE_MS},
    {"another status", 503, "30", "{\"retry_after_ms\":2500}", 0, 0},
};

static void test_rows(void **state)
{
    static const struct fed_request r = {.server = "b.example"};
    arena_auto struct arena *a = arena_create();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *head =
            rows[i].header ? arena_printf(a, "Retry-After: %s\r\n\r\n", rows[i].header) : "\r\n";
        const struct http_answer answer = {
            .status = rows[i].status, .head = str_of(head), .body = str_of(rows[i].body)};
        struct fed_reply reply;
        fed_reply_read(a, &answer, true, &reply);
        if (fed_reply_retry_after_ms(&reply) != rows[i].wanted_ms)
            fail_msg("%s: %d ms", rows[i].rule, fed_reply_retry_after_ms(&reply));
        const struct err *e = fed_reply_check(a, &r, &reply);
        if (federation_wait_ms(e) != rows[i].wait_ms)
            fail_msg("%s: a pause of %lld ms", rows[i].rule, (long long)federation_wait_ms(e));
    }
}

/* A 429 of our own is not one of another server. */
static void test_own_limits(void **state)
{
    assert_int_equal(federation_wait_ms(NULL), 0);
    assert_int_equal(federation_wait_ms(err_limit_exceeded(3000)), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_own_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
