/* The parts of receiving transactions: their scanner, the table of those at work, the helper
 * threads, and the queue of work on rooms. */
#include "federation/helpers.h"
#include "federation/in/room_work.h"
#include "federation/in/transaction_scan.h"
#include "federation/in/transaction_table.h"

#include "base/clock.h"
#include "check.h"
#include "waiting.h"

#include <stdatomic.h>

/* ---- the scanner ---- */

static const struct {
    const char *proves, *body, *errcode;
    size_t pdus_n, edus_n;
} scans[] = {
    {"empty lists", "{'origin':'a','pdus':[],'edus':[]}", NULL, 0, 0},
    {"both lists may be absent", "{'origin':'a'}", NULL, 0, 0},
    {"PDUs and EDUs",
     "{'pdus':[{'room_id':'!r:a'},{}],'edus':[{'edu_type':'x'}],'origin_server_ts':1}", NULL, 2, 1},
    {"items that are no objects are left out", "{'pdus':[1,'x',null,[],{}],'edus':[[{}]]}", NULL, 1,
     0},
    {"the last of a key counts", "{'pdus':[{}],'pdus':[{},{}]}", NULL, 2, 0},
    {"escaped keys", "{'\\u0070dus':[{}]}", NULL, 1, 0},
    {"no JSON", "{'pdus':[", "M_NOT_JSON", 0, 0},
    {"empty", "", "M_NOT_JSON", 0, 0},
    {"a list", "[]", "M_BAD_JSON", 0, 0},
    {"PDUs that are no list", "{'pdus':{}}", "M_BAD_JSON", 0, 0},
    {"EDUs that are no list", "{'edus':7}", "M_BAD_JSON", 0, 0},
    {"an origin that is no string", "{'origin':1}", "M_BAD_JSON", 0, 0},
};

static void test_scan(void **state)
{
    arena_auto struct arena *a = arena_create();
    struct incoming_transaction *t = arena_alloc(a, sizeof *t);
    for (size_t i = 0; i < COUNT(scans); i++) {
        const struct err *e = transaction_scan(a, str_of(quoted(a, scans[i].body)), t);
        check_error(scans[i].proves, e, scans[i].errcode);
        if (e)
            continue;
        assert_int_equal(t->pdus_n, scans[i].pdus_n);
        assert_int_equal(t->edus_n, scans[i].edus_n);
    }
    assert_null(transaction_scan(a, STR("{\"pdus\":[{\"room_id\":\"!r:a\"},{\"room_id\":3}]}"), t));
    assert_string_equal(t->pdus[0].room_id, "!r:a");
    assert_null(t->pdus[1].room_id);
}

static void check_count(const char *list, size_t n, const char *errcode)
{
    arena_auto struct arena *a = arena_create();
    buf_auto struct buf b = {0};
    struct incoming_transaction *t = arena_alloc(a, sizeof *t);
    buf_printf(&b, "{\"%s\":[{}", list);
    for (size_t i = 1; i < n; i++)
        BUF_LIT(&b, ",{}");
    BUF_LIT(&b, "]}");
    check_error(list, transaction_scan(a, buf_str(&b), t), errcode);
}

static void test_scan_limits(void **state)
{
    check_count("pdus", 50, NULL);
    check_count("pdus", 51, "M_BAD_JSON");
    check_count("edus", 100, NULL);
    check_count("edus", 101, "M_BAD_JSON");
}

/* ---- the table ---- */

static int woken;

static void wake(struct waiter *w)
{
    woken++;
}

static enum admission admit(struct transaction_table *t, struct arena *a, const char *origin,
                            const char *txn, const char *body, struct waiter *w)
{
    struct str reply;
    return transaction_admit(t, a, origin, txn, str_of(body), w, &reply);
}

static void test_repeated(void **state)
{
    arena_auto struct arena *a = arena_create();
    struct transaction_table *t = transaction_table_create(32);
    struct waiter first = {.wake = wake}, second = {.wake = wake};
    struct str reply;
    woken = 0;
    assert_int_equal(admit(t, a, "a", "1", "x", &first), ADMIT_RUN);
    assert_int_equal(admit(t, a, "a", "1", "x", &second), ADMIT_WAIT);
    assert_int_equal(admit(t, a, "b", "1", "x", &first), ADMIT_RUN); /* another server's */
    assert_int_equal(admit(t, a, "a", "1", "y", &first), ADMIT_RUN); /* another body */
    transaction_finish(t, "a", "1", STR("x"), STR("{\"pdus\":{}}"));
    assert_int_equal(woken, 1);
    assert_int_equal(transaction_admit(t, a, "a", "1", STR("x"), &second, &reply), ADMIT_DONE);
    check_text("the same answer", reply, "{\"pdus\":{}}");
    transaction_finish(t, "a", "1", STR("y"), (struct str){0});
    assert_int_equal(admit(t, a, "a", "1", "y", &first), ADMIT_RUN); /* it had failed */
    transaction_finish(t, "a", "1", STR("y"), (struct str){0});
    transaction_finish(t, "b", "1", STR("x"), (struct str){0});
    transaction_table_destroy(t);
}

static void test_share(void **state)
{
    arena_auto struct arena *a = arena_create();
    struct transaction_table *t = transaction_table_create(32);
    struct waiter waiters[64];
    int got[ADMIT_BUSY + 1] = {0};
    for (int i = 0; i < 64; i++) {
        waiters[i] = (struct waiter){.wake = wake};
        got[admit(t, a, "a", arena_printf(a, "%d", i), "", &waiters[i])]++;
    }
    assert_int_equal(got[ADMIT_RUN], 4);
    assert_int_equal(got[ADMIT_WAIT], 32);
    assert_int_equal(got[ADMIT_BUSY], 28);
    struct waiter other = {.wake = wake};
    assert_int_equal(admit(t, a, "b", "1", "", &other), ADMIT_RUN);
    waiters[10].leave(&waiters[10]); /* its request ended */
    woken = 0;
    transaction_finish(t, "a", "0", (struct str){"", 0}, STR("{}"));
    assert_int_equal(woken, 31);
    assert_int_equal(admit(t, a, "a", "5", "", &waiters[5]), ADMIT_RUN);
    assert_int_equal(admit(t, a, "a", "6", "", &waiters[6]), ADMIT_WAIT);
    for (int i = 0; i < 64; i++)
        if (waiters[i].source)
            waiters[i].leave(&waiters[i]);
    transaction_table_destroy(t);
}

/* ---- the helper threads ---- */

struct counted {
    int number;
    long long square;
};

static atomic_int at_once, most_at_once;

static void square(struct job *job, void *part)
{
    struct counted *c = part;
    int now = atomic_fetch_add(&at_once, 1) + 1, most = atomic_load(&most_at_once);
    while (now > most && !atomic_compare_exchange_weak(&most_at_once, &most, now))
        ;
    wait_briefly();
    c->square = (long long)c->number * c->number;
    atomic_fetch_sub(&at_once, 1);
}

static void test_helpers(void **state)
{
    struct storage nothing = {0};
    struct node node = {.storage = &nothing};
    arena_auto struct arena *a = arena_create();
    struct helpers *c = helpers_create(&node, "a test", 8);
    struct job job;
    job_init(&job, &node, a);
    for (size_t n = 0; n <= 60; n += 15) {
        struct counted parts[60] = {0};
        for (size_t i = 0; i < n; i++)
            parts[i].number = (int)i;
        helpers_run(c, &job, square, parts, sizeof *parts, n, 3);
        for (size_t i = 0; i < n; i++)
            assert_int_equal(parts[i].square, i * i);
    }
    assert_in_range(atomic_load(&most_at_once), 2, 4); /* three helpers */
    job_finish(&job);
    helpers_destroy(c);
}

/* ---- work on rooms ---- */

static atomic_int done[10], running, most_running, failures_left;

static enum work_result do_work(void *ctx, struct job *job, const struct work_item *item)
{
    int now = atomic_fetch_add(&running, 1) + 1;
    if (now > atomic_load(&most_running))
        atomic_store(&most_running, now);
    wait_briefly();
    atomic_fetch_sub(&running, 1);
    bool fails = item->room == 9 && atomic_fetch_sub(&failures_left, 1) > 0;
    bool more = atomic_fetch_add(&done[item->room], 1) < 2;
    return fails ? WORK_LATER : more ? WORK_AGAIN : WORK_DONE;
}

static void await(const char *proves, const atomic_int *what, int n)
{
    for (int64_t deadline = mono_ms() + 10000; atomic_load(what) < n;) {
        if (mono_ms() > deadline)
            fail_msg("%s: %d of %d", proves, atomic_load(what), n);
        wait_briefly();
    }
}

static void test_room_work(void **state)
{
    struct storage nothing = {0};
    struct node node = {.storage = &nothing};
    struct room_work *w = room_work_create(&node, 8, do_work, NULL);
    room_work_add(w, 1, "a");
    room_work_add(w, 1, "a"); /* the same */
    assert_int_equal(room_work_waiting(w), 1);
    room_work_start(w);
    await("an item goes on until it is done", &done[1], 3);
    atomic_store(&most_running, 0);
    for (int64_t room = 2; room < 9; room++)
        assert_true(room_work_add(w, room, "a"));
    for (int64_t room = 2; room < 9; room++)
        await("rooms", &done[room], 3);
    assert_in_range(atomic_load(&most_running), 1, 3); /* a server's share of eight threads */
    atomic_store(&failures_left, 1);
    room_work_add(w, 9, "b");
    await("the failure", &done[9], 1);
    room_work_add(w, 9, "b"); /* does not shorten the wait */
    int64_t from = mono_ms();
    await("the repetition", &done[9], 2);
    assert_true(mono_ms() - from > 800);
    room_work_stop(w);
    assert_false(room_work_add(w, 2, "c"));
    room_work_destroy(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scan),     cmocka_unit_test(test_scan_limits),
        cmocka_unit_test(test_repeated), cmocka_unit_test(test_share),
        cmocka_unit_test(test_helpers),  cmocka_unit_test(test_room_work),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
