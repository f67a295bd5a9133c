/* The head of the log is locked while an epoch begins: it begins after the committer has given up,
 * which recognises it as its own nevertheless. */
#include "log_fixture.h"

#include "base/clock.h"
#include "storage/db/committer.h"

#include <libpq-fe.h>

enum { LIMIT_MS = 500, PATIENCE_MS = 60000 };

static struct storage storage;
static struct node node = {.storage = &storage};

SQL(epoch_sql, "SELECT epoch FROM log_head")

static int64_t epoch_of_the_log(void)
{
    struct scope s;
    int64_t epoch = 0;
    bool found;
    scope_init(&s, &node);
    pg_must("epoch", db_one(job_tx(&s.job), &epoch_sql, NO_PARAMS, &found, R(INT_OUT(&epoch))));
    scope_finish(&s);
    return epoch;
}

static const struct err *write_something(struct job *job)
{
    struct write *w = write_begin(job);
    write_change(w, &(struct change){.kind = CHANGE_PROFILE, .user = 1});
    return write_commit(job, w, NULL);
}

static void an_epoch_that_begins_late_is_recognised(void **state)
{
    struct scope s;
    int64_t since, started = mono_ms();
    node.storage->db = pg_db();
    log_start_limited(&node, pg_uri(), LIMIT_MS);
    scope_init(&s, &node);
    NO_ERR(write_something(&s.job));
    int64_t before = epoch_of_the_log();
    PGconn *holder = PQconnectdb(pg_uri());
    PQclear(PQexec(holder, "BEGIN; SELECT FROM log_head FOR UPDATE"));
    pg_must("end", pg_command(pg_uri(), "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                                        "WHERE application_name LIKE 'concorde-committer%' AND "
                                        "pid <> pg_backend_pid()"));
    const struct err *e = write_something(&s.job);
    assert_true(e && e->code == ERR_UNAVAILABLE);
    PQfinish(holder);
    while (epoch_of_the_log() == before)
        assert_true(mono_ms() - started < PATIENCE_MS);
    while (write_something(&s.job))
        assert_true(mono_ms() - started < PATIENCE_MS);
    assert_null(committer_trouble(node.storage->committer, &since));
    scope_finish(&s);
    log_stop(&node);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_epoch_that_begins_late_is_recognised),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
