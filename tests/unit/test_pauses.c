/* After a 429 only requests of that kind to the server pause. */
#include "federation/peer/pauses.h"

#include "base/str.h"
#include "check.h"

#include <stdio.h>

#define V1 "/_matrix/federation/v1"
#define V2 "/_matrix/federation/v2"

static void test_only_that_kind(void **state)
{
    static const struct {
        const char *proves, *answered, *asked;
        bool waits;
    } rows[] = {
        {"the same", V2 "/send_join/!a/$b", V2 "/send_join/!a/$b", true},
        {"a new template waits", V2 "/send_join/!a/$b", V1 "/make_join/!a/@u?ver=1", true},
        {"the other version waits", V2 "/send_join/!a/$b", V1 "/send_join/!a/$c", true},
        {"other rooms are joined", V2 "/send_join/!a/$b", V2 "/send_join/!b/$b", false},
        {"leaving goes on", V2 "/send_join/!a/$b", V2 "/send_leave/!a/$b", false},
        {"transactions go on", V2 "/send_join/!a/$b", V1 "/send/1", false},
        {"an endpoint, whatever is asked", V1 "/event/$a", V1 "/event/$b", true},
        {"others of the same beginning", V1 "/state/!a?event_id=$a", V1 "/state_ids/!a", false},
        {"with a query, or without", V1 "/publicRooms?limit=1", V1 "/publicRooms", true},
        {"two words: the same", V1 "/query/profile?user_id=a", V1 "/query/profile?user_id=b", true},
        {"two words: another", V1 "/query/profile?user_id=a", V1 "/query/directory?room_alias=a",
         false},
        {"queries of users' keys go on", V1 "/user/keys/query", "/_matrix/key/v2/query", false},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct pauses *p = pauses_create();
        pauses_note(p, "a.example", rows[i].answered, 1000, 50);
        if ((pauses_left(p, "a.example", rows[i].asked, 50) == 1000) != rows[i].waits)
            fail_msg("%s", rows[i].proves);
        assert_int_equal(pauses_left(p, "b.example", rows[i].asked, 50), 0);
        pauses_destroy(p);
    }
}

static void test_until_it_is_over(void **state)
{
    struct pauses *p = pauses_create();
    pauses_note(p, "a", V1 "/event/x", 1000, 50);
    assert_int_equal(pauses_left(p, "a", V1 "/event/x", 1049), 1);
    assert_int_equal(pauses_left(p, "a", V1 "/event/x", 1050), 0);
    pauses_note(p, "a", V1 "/event/x", 500, 2000); /* it answers 429 again */
    assert_int_equal(pauses_left(p, "a", V1 "/event/x", 2000), 500);
    pauses_destroy(p);
}

/* The table is bounded, and expired entries are replaced. */
static void test_many(void **state)
{
    enum { MANY = 10000 };
    struct pauses *p = pauses_create();
    char name[32];
    for (int i = 0; i < 2 * MANY; i++) {
        snprintf(name, sizeof name, "%d.example", i);
        pauses_note(p, name, V1 "/event/x", i < MANY / 2 ? 10 : 1000, 0);
    }
    assert_int_equal(pauses_left(p, "9999.example", V1 "/event/x", 0), 1000);
    assert_int_equal(pauses_left(p, "19999.example", V1 "/event/x", 0), 0); /* no space for it */
    pauses_note(p, "more.example", V1 "/event/x", 1000, 10);
    assert_int_equal(pauses_left(p, "more.example", V1 "/event/x", 10), 1000);
    assert_int_equal(pauses_left(p, "9999.example", V1 "/event/x", 10), 990);
    pauses_destroy(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_only_that_kind),
        cmocka_unit_test(test_until_it_is_over),
        cmocka_unit_test(test_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
