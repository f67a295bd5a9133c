/* The wakes of waiters, which only count them. */
#include "check.h"

#include "server/media/repo.h"

struct client {
    struct waiter waiter; /* first: a waiter is its client */
    int wakes;
};

static void count_wake(struct waiter *w)
{
    ((struct client *)w)->wakes++;
}

enum { CLIENTS = 8 };

static struct client clients[CLIENTS];

static void leave(struct client *c)
{
    if (c->waiter.source)
        c->waiter.leave(&c->waiter);
}

static int setup(void **state)
{
    for (int i = 0; i < CLIENTS; i++)
        clients[i] = (struct client){.waiter.wake = count_wake};
    *state = media_repo_create();
    return 0;
}

static int teardown(void **state)
{
    for (int i = 0; i < CLIENTS; i++)
        leave(&clients[i]);
    media_repo_destroy(*state);
    return 0;
}

static bool ask(struct media_repo *r, int i)
{
    return media_repo_take_decoder(r, &clients[i].waiter);
}

/* Takes all turns; their number. */
static int take_all(struct media_repo *r)
{
    int n = 0;
    while (ask(r, 0))
        n++;
    leave(&clients[0]);
    return n;
}

static void end_all(struct media_repo *r, int n)
{
    while (n--)
        media_repo_release_decoder(r);
}

static void test_decoders_are_bounded_and_in_order(void **state)
{
    struct media_repo *r = *state;
    int n = take_all(r);
    assert_in_range(n, 1, 4);
    assert_false(ask(r, 1));
    assert_false(ask(r, 2));
    assert_false(ask(r, 1)); /* after a spurious wake it keeps its place */
    media_repo_release_decoder(r);
    assert_int_equal(clients[1].wakes, 1);
    assert_int_equal(clients[2].wakes, 0);
    assert_true(ask(r, 1));
    assert_null(clients[1].waiter.source);
    assert_int_equal(clients[2].wakes, 0);
    media_repo_release_decoder(r);
    assert_int_equal(clients[2].wakes, 1);
    end_all(r, n - 1);
}

static void test_a_wake_that_is_not_needed_is_passed_on(void **state)
{
    struct media_repo *r = *state;
    int n = take_all(r);
    assert_false(ask(r, 1));
    assert_false(ask(r, 2));
    media_repo_release_decoder(r);
    leave(&clients[1]); /* its thumbnail was made by another, or it hung up */
    assert_int_equal(clients[2].wakes, 1);
    end_all(r, n - 1);
}

static void test_several_free_decoders_wake_several(void **state)
{
    struct media_repo *r = *state;
    int n = take_all(r);
    for (int i = 1; i < CLIENTS; i++)
        assert_false(ask(r, i));
    end_all(r, n);
    for (int i = 1; i <= n; i++) { /* each taken turn wakes the next */
        assert_in_range(clients[i].wakes, 1, n);
        assert_true(ask(r, i));
    }
    assert_false(ask(r, n + 1));
    end_all(r, n);
}

static void test_uploads_wake_those_who_wait_for_them(void **state)
{
    struct media_repo *r = *state;
    media_repo_await_upload(r, &clients[0].waiter, "one");
    media_repo_await_upload(r, &clients[1].waiter, "one");
    media_repo_await_upload(r, &clients[2].waiter, "two");
    media_repo_uploaded(r, "one");
    assert_int_equal(clients[0].wakes, 1);
    assert_int_equal(clients[1].wakes, 1);
    assert_int_equal(clients[2].wakes, 0);
    leave(&clients[0]);
    media_repo_uploaded(r, "one");
    assert_int_equal(clients[0].wakes, 1);
    assert_int_equal(clients[1].wakes, 2);
}

/* A thumbnail of a pending upload: first it waits for the upload, then for a turn. */
static void test_from_one_wait_to_the_other(void **state)
{
    struct media_repo *r = *state;
    int n = take_all(r);
    media_repo_await_upload(r, &clients[1].waiter, "one");
    assert_false(ask(r, 1));
    media_repo_uploaded(r, "one");
    assert_int_equal(clients[1].wakes, 0);
    media_repo_release_decoder(r);
    assert_int_equal(clients[1].wakes, 1);
    end_all(r, n - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_decoders_are_bounded_and_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_wake_that_is_not_needed_is_passed_on, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_several_free_decoders_wake_several, setup, teardown),
        cmocka_unit_test_setup_teardown(test_uploads_wake_those_who_wait_for_them, setup, teardown),
        cmocka_unit_test_setup_teardown(test_from_one_wait_to_the_other, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
