/* Leases: several nodes on one database. The database's clock is moved by setting expires_at. */
#include "waiting.h"

#include "log_fixture.h"
#include "storage/job_pool.h"
#include "storage/nodes/lease.h"

#include <stdatomic.h>

/* No lease expires while a test runs, however slow it is. */
enum {
    NODES = 3,
    ROUNDS_TO_SPREAD = 6,
    HOUR_MS = 3600 * 1000,
    VALID_MS = HOUR_MS - LEASE_MARGIN_MS
};

struct holder {
    struct node node;
    struct storage storage;
    struct leases *leases;
    struct lease_job *search, *sweep, *rooms;
    atomic_int taken[LEASE_SLICES], lost[LEASE_SLICES]; /* of `rooms` */
};

static struct holder nodes[NODES];
static int64_t live; /* what all of them count */

static int64_t live_nodes(void *of)
{
    return live;
}

static void note_taken(void *of, int slice)
{
    struct holder *h = of;
    assert_int_not_equal(lease_fence(h->rooms, slice), 0);
    atomic_fetch_add(&h->taken[slice], 1);
}

static void note_lost(void *of, int slice)
{
    struct holder *h = of;
    assert_int_equal(lease_fence(h->rooms, slice), 0);
    atomic_fetch_add(&h->lost[slice], 1);
}

static void holder_begin(int number)
{
    struct holder *h = &nodes[number];
    *h = (struct holder){.node = {.storage = &h->storage}, .storage = {.db = pg_db()}};
    h->leases = leases_create(&h->node);
    leases_set_node(h->leases, &(struct lease_settings){.node = 100 + number,
                                                        .live_nodes = live_nodes,
                                                        .lease_ms = HOUR_MS});
    h->search = leases_add(h->leases, &(struct lease_job_settings){.name = "search"});
    h->sweep = leases_add(h->leases, &(struct lease_job_settings){.name = "sweep"});
    h->rooms = leases_add(h->leases, &(struct lease_job_settings){.name = "rooms",
                                                                  .slices = LEASE_SLICES,
                                                                  .of = h,
                                                                  .on_taken = note_taken,
                                                                  .on_lost = note_lost});
}

/* All begin with a table in which no job is held. */
static void begin(int n)
{
    pg_db();
    NO_ERR(pg_command(pg_uri(), "TRUNCATE leases"));
    live = n;
    for (int i = 0; i < n; i++)
        holder_begin(i);
}

static void holder_end(int number)
{
    leases_destroy(nodes[number].leases);
    nodes[number].leases = NULL;
}

static void end(void)
{
    for (int i = 0; i < NODES; i++)
        holder_end(i);
}

static const struct err *renew(int number)
{
    arena_auto struct arena *a = arena_create();
    struct tx tx;
    tx_init(&tx, pg_db(), a);
    const struct err *e = leases_renew(nodes[number].leases, &tx);
    tx_finish(&tx);
    return e;
}

static void let_all_renew(int n, int rounds)
{
    for (int round = 0; round < rounds; round++)
        for (int i = 0; i < n; i++)
            NO_ERR(renew(i));
}

/* The database's clock reaches the end of what this node holds. */
static void let_expire(int number)
{
    char sql[128];
    snprintf(sql, sizeof sql,
             "UPDATE leases SET expires_at = now() - interval '1 ms' WHERE node = %d",
             100 + number);
    NO_ERR(pg_command(pg_uri(), sql));
}

static int held_slices(int number)
{
    int n = 0;
    for (int i = 0; i < LEASE_SLICES; i++)
        n += lease_fence(nodes[number].rooms, i) != 0;
    return n;
}

static int held_singles(int number)
{
    return (lease_fence(nodes[number].search, 0) != 0) + (lease_fence(nodes[number].sweep, 0) != 0);
}

static int64_t counted(int number, const char *name)
{
    buf_auto struct buf b = {0};
    leases_add_metrics(nodes[number].leases, &b);
    buf_add_char(&b, '\0');
    for (const char *at = b.p; (at = strstr(at, name)); at++)
        if (at[strlen(name)] == ' ' && at[-1] == '\n')
            return atoll(at + strlen(name));
    fail_msg("no metric %s", name);
    return -1;
}

static int64_t db_value(const char *sql)
{
    PGconn *pg;
    NO_ERR(db_connect(pg_uri(), &pg));
    PGresult *r = PQexec(pg, sql);
    assert_int_equal(PQntuples(r), 1);
    int64_t value = atoll(PQgetvalue(r, 0, 0));
    PQclear(r);
    PQfinish(pg);
    return value;
}

/* ---- work under a lease ---- */

static const struct err *work_of(int number, struct lease_job *job, int64_t fence)
{
    arena_auto struct arena *a = arena_create();
    struct tx tx;
    tx_init(&tx, pg_db(), a);
    const struct err *e = tx_begin(&tx);
    if (!e)
        e = lease_check(&tx, job, 0, fence);
    if (!e)
        e = tx_commit(&tx);
    tx_finish(&tx);
    return e;
}

#define LOST(e)                                                                                    \
    do {                                                                                           \
        const struct err *lost_ = (e);                                                             \
        assert_non_null(lost_);                                                                    \
        assert_int_equal(lost_->code, ERR_LEASE_LOST);                                             \
    } while (0)

/* ---- taking, renewing, expiring ---- */

static void without_leases_nothing_is_held(void **state)
{
    int64_t wait_ms = 0;
    assert_null(leases_add(NULL, &(struct lease_job_settings){.name = "search"}));
    assert_int_equal(lease_fence(NULL, 0), 0);
    assert_false(lease_may_run(NULL, 0, &wait_ms));
    assert_true(wait_ms > 0);
    leases_give_back(NULL);
    leases_look(NULL);
    leases_destroy(NULL);
}

static void one_node_takes_all_at_once(void **state)
{
    begin(1);
    int64_t wait_ms = 0;
    assert_false(lease_may_run(nodes[0].search, 0, &wait_ms));
    NO_ERR(renew(0));
    assert_int_equal(held_slices(0), LEASE_SLICES);
    assert_int_equal(held_singles(0), 2);
    assert_true(lease_may_run(nodes[0].search, 0, &wait_ms));
    assert_int_equal(counted(0, "concorde_lease_held{job=\"rooms\"}"), LEASE_SLICES);
    assert_int_equal(counted(0, "concorde_lease_held{job=\"search\"}"), 1);
    assert_int_equal(counted(0, "concorde_lease_taken_total"), LEASE_SLICES + 2);
    assert_int_equal(counted(0, "concorde_lease_lost_total"), 0);
    for (int i = 0; i < LEASE_SLICES; i++)
        assert_int_equal(nodes[0].taken[i], 1);
    end();
}

static void a_round_is_one_statement(void **state)
{
    begin(1);
    NO_ERR(renew(0));
    int64_t before = db_statements(pg_db());
    NO_ERR(renew(0));
    assert_int_equal(db_statements(pg_db()) - before, 1);
    end();
}

static void what_is_renewed_keeps_its_fence(void **state)
{
    begin(1);
    NO_ERR(renew(0));
    int64_t fence = lease_fence(nodes[0].search, 0);
    for (int i = 0; i < 4; i++) {
        clock_advance(VALID_MS / 2);
        NO_ERR(renew(0));
        assert_int_equal(lease_fence(nodes[0].search, 0), fence);
    }
    assert_int_equal(nodes[0].taken[7], 1);
    assert_int_equal(nodes[0].lost[7], 0);
    assert_int_equal(db_value("SELECT count(*) FROM leases WHERE expires_at > now()"),
                     LEASE_SLICES + 2);
    end();
}

static void no_two_nodes_hold_one(void **state)
{
    begin(2);
    let_all_renew(2, ROUNDS_TO_SPREAD);
    for (int i = 0; i < LEASE_SLICES; i++)
        assert_int_equal(!lease_fence(nodes[0].rooms, i) + !lease_fence(nodes[1].rooms, i), 1);
    assert_int_equal(!lease_fence(nodes[0].search, 0) + !lease_fence(nodes[1].search, 0), 1);
    end();
}

static void take_together(void *ctx, int number)
{
    for (int round = 0; round < ROUNDS_TO_SPREAD; round++)
        pg_must("renew", renew(number));
}

static void nodes_that_take_at_the_same_time_take_each_once(void **state)
{
    begin(NODES);
    crowd_run(NODES, take_together, NULL);
    let_all_renew(NODES, 1);
    int all = 0;
    for (int i = 0; i < NODES; i++)
        all += held_slices(i);
    assert_int_equal(all, LEASE_SLICES);
    for (int i = 0; i < LEASE_SLICES; i++) {
        int holders = 0;
        for (int n = 0; n < NODES; n++)
            holders += lease_fence(nodes[n].rooms, i) != 0;
        assert_int_equal(holders, 1);
    }
    end();
}

static void it_ends_here_before_it_ends_in_the_database(void **state)
{
    begin(1);
    NO_ERR(renew(0));
    clock_advance(VALID_MS);
    assert_int_equal(lease_fence(nodes[0].search, 0), 0);
    assert_int_equal(held_slices(0), 0);
    assert_int_equal(db_value("SELECT count(*) FROM leases WHERE expires_at > now()"),
                     LEASE_SLICES + 2);
    /* No other node has taken it: it goes on with the same fence. */
    NO_ERR(renew(0));
    assert_int_not_equal(lease_fence(nodes[0].search, 0), 0);
    assert_int_equal(db_value("SELECT max(fence) FROM leases"), 1);
    assert_int_equal(nodes[0].lost[3], 1);
    assert_int_equal(nodes[0].taken[3], 2);
    assert_int_equal(counted(0, "concorde_lease_lost_total"), LEASE_SLICES + 2);
    end();
}

static void what_another_holds_is_not_taken_before_it_expires(void **state)
{
    begin(2);
    live = 1;
    NO_ERR(renew(0));
    live = 2;
    for (int i = 0; i < 3; i++) {
        NO_ERR(renew(1));
        assert_int_equal(held_slices(1) + held_singles(1), 0);
    }
    end();
}

/* ---- a holder that dies, or only stands still ---- */

static void when_a_node_dies_the_others_take_what_it_held(void **state)
{
    begin(2);
    let_all_renew(2, ROUNDS_TO_SPREAD);
    assert_int_equal(held_slices(1), LEASE_SLICES / 2);
    let_expire(1);
    NO_ERR(renew(0)); /* though it still counts as alive */
    assert_int_equal(held_slices(0), LEASE_SLICES);
    assert_int_equal(held_singles(0), 2);
    NO_ERR(renew(0));
    assert_int_equal(held_slices(0), LEASE_SLICES);
    live = 1;
    let_all_renew(1, 3);
    assert_int_equal(held_slices(0), LEASE_SLICES);
    assert_int_equal(counted(0, "concorde_lease_lost_total"), 0);
    end();
}

static void a_node_that_is_alone_does_not_wait_for_earlier_processes(void **state)
{
    begin(1);
    NO_ERR(renew(0));
    holder_begin(1);
    NO_ERR(renew(1));
    assert_int_equal(held_slices(1), LEASE_SLICES);
    end();
}

static void the_late_writes_of_a_paused_holder_fail(void **state)
{
    begin(2);
    live = 1;
    NO_ERR(renew(0));
    int64_t old = lease_fence(nodes[0].search, 0);
    NO_ERR(work_of(0, nodes[0].search, old));
    let_expire(0);
    NO_ERR(renew(1));
    int64_t new = lease_fence(nodes[1].search, 0);
    assert_true(new > old);
    assert_int_equal(lease_fence(nodes[0].search, 0), old); /* it does not know yet */
    LOST(work_of(0, nodes[0].search, old));
    NO_ERR(work_of(1, nodes[1].search, new));
    end();
}

static void a_fence_of_no_holder_fails(void **state)
{
    begin(1);
    NO_ERR(renew(0));
    int64_t fence = lease_fence(nodes[0].search, 0);
    LOST(work_of(0, nodes[0].search, 0));
    LOST(work_of(0, nodes[0].search, fence + 1));
    end();
}

static const struct err *write_under(struct holder *h, int64_t fence)
{
    struct scope s;
    scope_init(&s, &h->node);
    struct write *w = write_begin(&s.job);
    lease_check_write(w, h->rooms, 5, fence);
    static struct err kept;
    const struct err *e = write_commit(&s.job, w, NULL);
    if (e)
        kept = *e;
    scope_finish(&s);
    return e ? &kept : NULL;
}

static void the_log_refuses_late_writes_too(void **state)
{
    begin(2);
    live = 1;
    NO_ERR(renew(0));
    log_start(&nodes[0].node, pg_uri());
    int64_t fence = lease_fence(nodes[0].rooms, 5);
    NO_ERR(write_under(&nodes[0], fence));
    let_expire(0);
    NO_ERR(renew(1));
    LOST(write_under(&nodes[0], fence));
    log_stop(&nodes[0].node);
    end();
}

static void no_node_takes_it_while_a_checked_transaction_runs(void **state)
{
    begin(2);
    live = 1;
    NO_ERR(renew(0));
    arena_auto struct arena *a = arena_create();
    struct tx tx;
    tx_init(&tx, pg_db(), a);
    NO_ERR(tx_begin(&tx));
    NO_ERR(lease_check(&tx, nodes[0].search, 0, lease_fence(nodes[0].search, 0)));
    NO_ERR(renew(0)); /* which does not wait for it */
    let_expire(0);
    NO_ERR(renew(1));
    assert_int_equal(held_slices(1), LEASE_SLICES);
    assert_int_equal(held_singles(1), 1);
    NO_ERR(tx_commit(&tx));
    NO_ERR(renew(1));
    assert_int_equal(held_singles(1), 2);
    tx_finish(&tx);
    end();
}

static void who_lost_it_learns_so_at_the_next_round(void **state)
{
    begin(2);
    live = 1;
    NO_ERR(renew(0));
    let_expire(0);
    NO_ERR(renew(1));
    live = 2;
    NO_ERR(renew(0));
    assert_int_equal(held_slices(0), 0);
    assert_int_equal(nodes[0].lost[31], 1);
    assert_int_equal(counted(0, "concorde_lease_lost_total"), LEASE_SLICES + 2);
    end();
}

static void without_its_database_a_node_holds_nothing_for_long(void **state)
{
    begin(1);
    NO_ERR(renew(0));
    NO_ERR(pg_command(pg_uri(), "ALTER TABLE leases RENAME TO leases_away"));
    assert_non_null(renew(0));
    assert_int_equal(held_slices(0), LEASE_SLICES);
    clock_advance(VALID_MS);
    assert_int_equal(held_slices(0), 0);
    assert_non_null(renew(0));
    assert_int_equal(nodes[0].lost[0], 1);
    assert_non_null(renew(0));
    assert_int_equal(nodes[0].lost[0], 1);
    NO_ERR(pg_command(pg_uri(), "ALTER TABLE leases_away RENAME TO leases"));
    NO_ERR(renew(0));
    assert_int_equal(held_slices(0), LEASE_SLICES);
    end();
}

/* Nothing tells it that its connection was lost after the statement was committed. */
static void what_was_taken_without_an_answer_is_held_after_the_next_round(void **state)
{
    begin(1);
    NO_ERR(renew(0));
    let_expire(0);
    NO_ERR(pg_command(pg_uri(), "UPDATE leases SET fence = fence + 1"));
    NO_ERR(renew(0));
    assert_int_equal(lease_fence(nodes[0].search, 0), 2);
    assert_int_equal(nodes[0].lost[1], 1);
    assert_int_equal(nodes[0].taken[1], 2);
    end();
}

/* ---- shares ---- */

static void check_shares(const char *proves, int n)
{
    int slices = 0, singles = 0, share = (LEASE_SLICES + n - 1) / n;
    for (int i = 0; i < n; i++) {
        slices += held_slices(i);
        singles += held_singles(i);
        if (held_slices(i) > share || held_singles(i) > (2 + n - 1) / n)
            fail_msg("%s: node %d holds %d slices, %d others", proves, i, held_slices(i),
                     held_singles(i));
    }
    assert_int_equal(slices, LEASE_SLICES);
    assert_int_equal(singles, 2);
}

static void leases_spread_when_nodes_come_and_go(void **state)
{
    begin(1);
    NO_ERR(renew(0));
    check_shares("alone", 1);
    holder_begin(1);
    live = 2;
    let_all_renew(2, ROUNDS_TO_SPREAD);
    check_shares("two", 2);
    holder_begin(2);
    live = 3;
    let_all_renew(3, ROUNDS_TO_SPREAD);
    check_shares("three", 3);
    leases_give_back(nodes[2].leases);
    live = 2;
    let_all_renew(2, 1);
    check_shares("two again", 2);
    let_expire(1);
    live = 1;
    let_all_renew(1, 1);
    check_shares("alone again", 1);
    end();
}

static void shares_do_not_move_for_one_round(void **state)
{
    begin(1);
    NO_ERR(renew(0));
    for (int i = 0; i < 4; i++) {
        live = 1 + i % 2;
        NO_ERR(renew(0));
    }
    assert_int_equal(held_slices(0), LEASE_SLICES);
    live = 2;
    let_all_renew(1, 2);
    assert_int_equal(held_slices(0), LEASE_SLICES / 2);
    end();
}

static void what_is_given_back_for_others_is_not_lost(void **state)
{
    begin(1);
    NO_ERR(renew(0));
    live = 2;
    let_all_renew(1, 2);
    assert_int_equal(counted(0, "concorde_lease_lost_total"), 0);
    assert_int_equal(counted(0, "concorde_lease_held{job=\"rooms\"}"), LEASE_SLICES / 2);
    int lost = 0;
    for (int i = 0; i < LEASE_SLICES; i++)
        lost += nodes[0].lost[i];
    assert_int_equal(lost, LEASE_SLICES / 2);
    end();
}

/* ---- handing over ---- */

static PGconn *listen_for_leases(void)
{
    PGconn *pg;
    NO_ERR(db_connect(pg_uri(), &pg));
    PQclear(PQexec(pg, "LISTEN concorde_lease"));
    return pg;
}

static int notifications(PGconn *pg)
{
    int n = 0;
    PQclear(PQexec(pg, "SELECT 1")); /* with its answer come those of earlier commits */
    for (PGnotify *one; (one = PQnotifies(pg)); n++)
        PQfreemem(one);
    return n;
}

static void a_stop_hands_all_over_at_once(void **state)
{
    begin(2);
    PGconn *pg = listen_for_leases();
    live = 1;
    NO_ERR(renew(0));
    assert_int_equal(notifications(pg), 0);
    leases_give_back(nodes[0].leases);
    assert_int_equal(notifications(pg), 1);
    assert_int_equal(held_slices(0) + held_singles(0), 0);
    assert_int_equal(nodes[0].lost[9], 1);
    live = 1;
    NO_ERR(renew(1));
    assert_int_equal(held_slices(1), LEASE_SLICES);
    leases_give_back(nodes[0].leases); /* again: nothing is left */
    assert_int_equal(notifications(pg), 0);
    assert_int_equal(held_slices(1), LEASE_SLICES);
    PQfinish(pg);
    end();
}

static void others_hear_of_what_a_node_gives_back(void **state)
{
    begin(1);
    NO_ERR(renew(0));
    PGconn *pg = listen_for_leases();
    live = 2;
    NO_ERR(renew(0));
    assert_int_equal(notifications(pg), 0);
    NO_ERR(renew(0));
    assert_int_equal(notifications(pg), 1);
    PQfinish(pg);
    end();
}

/* ---- in the background ---- */

static void the_background_work_renews_and_looks(void **state)
{
    begin(2);
    live = 1;
    NO_ERR(renew(1));
    live = 2;
    node_pools_create(&nodes[0].node);
    leases_start(nodes[0].leases);
    WAIT_UNTIL(db_value("SELECT count(*) FROM leases") == LEASE_SLICES + 2);
    wait_some_rounds();
    assert_int_equal(held_slices(0), 0);
    leases_give_back(nodes[1].leases);
    leases_look(nodes[0].leases);
    WAIT_UNTIL(held_slices(0) == LEASE_SLICES / 2);
    live = 1;
    clock_advance(LEASE_ROUND_MS);
    WAIT_UNTIL(held_slices(0) == LEASE_SLICES);
    leases_give_back(nodes[0].leases);
    assert_int_equal(db_value("SELECT count(*) FROM leases WHERE node <> 0"), 0);
    leases_destroy(nodes[0].leases);
    nodes[0].leases = NULL;
    node_pools_destroy(&nodes[0].node);
    end();
}

/* ---- names ---- */

static void slices_have_rows_of_their_own(void **state)
{
    begin(1);
    leases_add(nodes[0].leases, &(struct lease_job_settings){.name = "fed/sender", .slices = 32});
    leases_add(nodes[0].leases, &(struct lease_job_settings){.name = "fed", .slices = 7});
    leases_add(nodes[0].leases, &(struct lease_job_settings){.name = "fed/keys"});
    NO_ERR(renew(0));
    assert_int_equal(db_value("SELECT count(*) FROM leases"), 2 + LEASE_SLICES + 32 + 7 + 1);
    assert_int_equal(db_value("SELECT count(*) FROM leases WHERE job ~ '^fed/sender/[0-9]+$'"), 32);
    end();
}

static void slices_are_the_same_on_all_nodes(void **state)
{
    int used[LEASE_SLICES] = {0}, n = 0;
    char name[32];
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof name, "server%d.example", i);
        int slice = lease_slice_of_name(name);
        assert_in_range(slice, 0, LEASE_SLICES - 1);
        assert_int_equal(slice, lease_slice_of_name(name));
        n += !used[slice]++;
        assert_in_range(lease_slice_of_id(i), 0, LEASE_SLICES - 1);
    }
    assert_int_equal(n, LEASE_SLICES);
    assert_int_equal(lease_slice_of_name("matrix.org"), 27);
    assert_int_equal(lease_slice_of_id(65), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_leases_nothing_is_held),
        cmocka_unit_test(one_node_takes_all_at_once),
        cmocka_unit_test(a_round_is_one_statement),
        cmocka_unit_test(what_is_renewed_keeps_its_fence),
        cmocka_unit_test(no_two_nodes_hold_one),
        cmocka_unit_test(nodes_that_take_at_the_same_time_take_each_once),
        cmocka_unit_test(it_ends_here_before_it_ends_in_the_database),
        cmocka_unit_test(what_another_holds_is_not_taken_before_it_expires),
        cmocka_unit_test(when_a_node_dies_the_others_take_what_it_held),
        cmocka_unit_test(a_node_that_is_alone_does_not_wait_for_earlier_processes),
        cmocka_unit_test(the_late_writes_of_a_paused_holder_fail),
        cmocka_unit_test(a_fence_of_no_holder_fails),
        cmocka_unit_test(the_log_refuses_late_writes_too),
        cmocka_unit_test(no_node_takes_it_while_a_checked_transaction_runs),
        cmocka_unit_test(who_lost_it_learns_so_at_the_next_round),
        cmocka_unit_test(without_its_database_a_node_holds_nothing_for_long),
        cmocka_unit_test(what_was_taken_without_an_answer_is_held_after_the_next_round),
        cmocka_unit_test(leases_spread_when_nodes_come_and_go),
        cmocka_unit_test(shares_do_not_move_for_one_round),
        cmocka_unit_test(what_is_given_back_for_others_is_not_lost),
        cmocka_unit_test(a_stop_hands_all_over_at_once),
        cmocka_unit_test(others_hear_of_what_a_node_gives_back),
        cmocka_unit_test(the_background_work_renews_and_looks),
        cmocka_unit_test(slices_have_rows_of_their_own),
        cmocka_unit_test(slices_are_the_same_on_all_nodes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
