/* Rows of presence that several nodes renew, and one of them ends. */
#include "node_with_alice.h"

#include "check.h"
#include "storage/users/presence.h"

enum { NOW = 1000000 };

static struct scope s;

static int begin(void **state)
{
    set_up(state);
    NO_ERR(pg_command(pg_uri(), "DELETE FROM presence"));
    scope_init(&s, node_store());
    return 0;
}

static int end(void **state)
{
    scope_finish(&s);
    return tear_down(state);
}

static const struct err *write_state(enum presence_state state, int64_t valid_until, bool expects)
{
    struct write *w = write_begin(&s.job);
    const struct presence_row row = {.user = alice.user,
                                     .user_id = alice.user_id,
                                     .state = state,
                                     .last_active_ts = NOW,
                                     .valid_until = valid_until};
    int at = write_change(w, &(struct change){.kind = CHANGE_PRESENCE,
                                              .user = alice.user,
                                              .presence.user_id = alice.user_id});
    presence_write(w, &row, at);
    if (expects)
        presence_expect_ended(w, &alice.user, 1, NOW);
    return write_commit(&s.job, w, NULL);
}

static void renew(int64_t until, int64_t active)
{
    NO_ERR(presence_renew(job_tx(&s.job), &alice.user, &until, &active, 1));
}

static enum presence_state stored_state(void)
{
    struct presence_row row;
    bool found;
    NO_ERR(presence_find(job_tx(&s.job), alice.user, &found, &row));
    assert_true(found);
    return row.state;
}

static size_t list_valid(int64_t now, int64_t *ret_until)
{
    const struct presence_row *list;
    size_t n;
    NO_ERR(presence_list_valid(job_tx(&s.job), &alice.user, 1, now, &list, &n));
    *ret_until = n ? list[0].valid_until : 0;
    return n;
}

static void what_another_node_renewed_is_not_ended(void **state)
{
    NO_ERR(write_state(PRESENCE_ONLINE, NOW - 1, false));
    renew(NOW + 60, NOW);
    const struct err *e = write_state(PRESENCE_OFFLINE, 0, true);
    assert_true(e && e->code == ERR_CONFLICT);
    assert_int_equal(stored_state(), PRESENCE_ONLINE);
}

static void what_has_ended_is(void **state)
{
    NO_ERR(write_state(PRESENCE_ONLINE, NOW, false));
    NO_ERR(write_state(PRESENCE_OFFLINE, 0, true));
    assert_int_equal(stored_state(), PRESENCE_OFFLINE);
}

static void a_device_may_end_it_at_any_time(void **state)
{
    NO_ERR(write_state(PRESENCE_ONLINE, NOW + 60, false));
    NO_ERR(write_state(PRESENCE_UNAVAILABLE, NOW + 30, false));
    assert_int_equal(stored_state(), PRESENCE_UNAVAILABLE);
}

static void validity_only_grows(void **state)
{
    int64_t until;
    NO_ERR(write_state(PRESENCE_ONLINE, NOW + 60, false));
    renew(NOW + 50, NOW - 10);
    assert_int_equal(list_valid(NOW, &until), 1);
    assert_int_equal(until, NOW + 60);
    renew(NOW + 90, NOW + 10);
    NO_ERR(write_state(PRESENCE_ONLINE, NOW + 70, false));
    assert_int_equal(list_valid(NOW, &until), 1);
    assert_int_equal(until, NOW + 90);
    assert_int_equal(list_valid(NOW + 90, &until), 0);
}

static void changes_after_a_position_are_listed(void **state)
{
    const struct presence_row *list;
    size_t n;
    int64_t before = log_head_position(node_store());
    NO_ERR(write_state(PRESENCE_OFFLINE, 0, false));
    NO_ERR(presence_list_after(job_tx(&s.job), before, &list, &n));
    assert_int_equal(n, 1);
    assert_string_equal(list[0].user_id, alice.user_id);
    NO_ERR(presence_list_after(job_tx(&s.job), before + 1, &list, &n));
    assert_int_equal(n, 0);
}

#define WITH_ALICE(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_ALICE(what_another_node_renewed_is_not_ended), WITH_ALICE(what_has_ended_is),
        WITH_ALICE(a_device_may_end_it_at_any_time),        WITH_ALICE(validity_only_grows),
        WITH_ALICE(changes_after_a_position_are_listed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
