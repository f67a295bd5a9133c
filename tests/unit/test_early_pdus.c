/* PDUs that wait for the end of a join: no server takes all the space, and they can be put back. */
#include "federation/in/early_pdus.h"

#include "check.h"

static struct early_pdus *early;
static struct arena *arena;
static char bytes[1 << 20];

static int set_up(void **state)
{
    early = early_pdus_create();
    arena = arena_create();
    memset(bytes, 'x', sizeof bytes);
    return 0;
}

static int tear_down(void **state)
{
    early_pdus_destroy(early);
    arena_destroy(arena);
    return 0;
}

static bool keep(const char *room_id, const char *origin, size_t n)
{
    struct str raw = {bytes, n};
    return early_pdus_keep(early, room_id, origin, &raw, 1);
}

/* How many of that size a server may send, at most 1000. */
static int fill(const char *room_id, const char *origin, size_t n)
{
    int kept = 0;
    while (kept < 1000 && keep(room_id, origin, n))
        kept++;
    return kept;
}

static void a_server_does_not_fill_a_room(void **state)
{
    early_pdus_begin(early, "!a");
    int kept = fill("!a", "bad.example", 10);
    assert_in_range(kept, 1, 300);
    assert_true(keep("!a", "good.example", 10));
    fill("!a", "good.example", 10);
    assert_int_equal(fill("!a", "third.example", 10), 0); /* the bound of a room */
}

static void a_server_does_not_fill_all_rooms(void **state)
{
    size_t kept = 0;
    for (int i = 0; i < 30; i++) {
        const char *room_id = arena_printf(arena, "!%d", i);
        early_pdus_begin(early, room_id);
        kept += (size_t)fill(room_id, "bad.example", sizeof bytes);
    }
    assert_in_range(kept, 1, 8);
    assert_true(keep("!0", "good.example", sizeof bytes));
    /* processed ones no longer count */
    size_t n;
    early_pdus_take(early, arena, "!0", &n);
    assert_true(n >= 2);
    assert_true(keep("!1", "bad.example", sizeof bytes));
}

static void pdus_put_back_keep_their_order(void **state)
{
    const char *room_id;
    size_t n;
    assert_null(early_pdus_take_again(early, arena, &room_id, &n));
    for (int i = 0; i < 2; i++) {
        const char *id = i ? "!b" : "!a";
        early_pdus_begin(early, id);
        assert_true(keep(id, "one.example", 1) && keep(id, "two.example", 2));
        const struct early_pdu *taken = early_pdus_take(early, arena, id, &n);
        early_pdus_put_back(early, id, taken, n);
    }
    for (int i = 0; i < 2; i++) {
        const struct early_pdu *again = early_pdus_take_again(early, arena, &room_id, &n);
        assert_non_null(again);
        assert_string_equal(room_id, i ? "!b" : "!a");
        assert_int_equal(n, 2);
        assert_string_equal(again[0].origin, "one.example");
        assert_string_equal(again[1].origin, "two.example");
        assert_int_equal(again[1].raw.n, 2);
    }
    assert_null(early_pdus_take_again(early, arena, &room_id, &n));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_server_does_not_fill_a_room, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_server_does_not_fill_all_rooms, set_up, tear_down),
        cmocka_unit_test_setup_teardown(pdus_put_back_keep_their_order, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
