#include "log_fixture.h"
#include "waiting.h"

#include "base/clock.h"
#include "storage/db/committer.h"

#include <stdatomic.h>
#include <sys/socket.h>

static struct storage storage;
static struct node node = {.storage = &storage};

/* One row a write: its writer, and the position that the writer was given. */
SQL(notes_insert_sql, "INSERT INTO notes (id, position, n) SELECT u.id, "
                      "(SELECT position FROM log_head) - u.back, u.n "
                      "FROM unnest($1::int8[], $2::int8[], $3::int8[]) u(id, back, n)")
static const struct batch_table notes = {
    .sql = &notes_insert_sql,
    .columns = {DB_INT8, DB_POSITION, DB_INT8},
    .columns_n = 3,
    .order = BATCH_OTHER,
};

SQL(marks_upsert_sql, "INSERT INTO marks (id, position, n) SELECT u.id, "
                      "(SELECT position FROM log_head) - u.back, u.n "
                      "FROM unnest($1::int8[], $2::int8[], $3::int8[]) u(id, back, n) "
                      "ON CONFLICT (id) DO UPDATE SET position = excluded.position, n = "
                      "excluded.n")
static const struct batch_table marks = {
    .sql = &marks_upsert_sql,
    .columns = {DB_INT8, DB_POSITION, DB_INT8},
    .columns_n = 3,
    .order = BATCH_OTHER,
    .key_columns = 1,
};

SQL(notes_update_sql, "UPDATE notes SET n = n + 1, position = log_at($2) WHERE id = $1")
SQL(size_sql, "SELECT octet_length($1::bytea)")
SQL(notes_get_sql, "SELECT position, n FROM notes WHERE id = $1")
SQL(marks_get_sql, "SELECT position, n FROM marks WHERE id = $1")
SQL(expect_sql, "SELECT expect_rows((SELECT count(*) FROM notes WHERE id = $1), 1)")

static int set_up(void **state)
{
    node.storage->db = pg_db();
    pg_must("tables",
            pg_command(pg_uri(),
                       "CREATE TABLE notes (id bigint PRIMARY KEY, position bigint, n bigint);"
                       "CREATE TABLE marks (id bigint PRIMARY KEY, position bigint, n bigint)"));
    log_start(&node, pg_uri());
    return 0;
}

static int tear_down(void **state)
{
    log_stop(&node);
    return 0;
}

static int64_t fresh_id(void)
{
    static _Atomic int64_t last;
    return ++last;
}

static int note_change(struct write *w)
{
    return write_change(w, &(struct change){.kind = CHANGE_PROFILE, .user = 1});
}

static struct write *new_note(struct job *job, int64_t id)
{
    struct write *w = write_begin(job);
    write_row(w, &notes, P(INT(id), POSITION(note_change(w)), INT(0)));
    return w;
}

static bool get_row(struct sql *sql, int64_t id, int64_t *ret_position, int64_t *ret_n)
{
    struct scope s;
    bool found;
    scope_init(&s, &node);
    pg_must("get", db_one(job_tx(&s.job), sql, P(INT(id)), &found,
                          R(INT_OUT(ret_position), INT_OUT(ret_n))));
    scope_finish(&s);
    return found;
}

static bool is_noted(int64_t id)
{
    int64_t position, n;
    return get_row(&notes_get_sql, id, &position, &n);
}

static int64_t commits_so_far(void)
{
    return committer_counted(node.storage->committer, "concorde_commits_total");
}

/* ---- one transaction ---- */

static void rows_and_statements_know_their_positions(void **state)
{
    struct scope s;
    scope_init(&s, &node);
    int64_t before = log_head_position(&node), last, position, n;
    int64_t first = fresh_id(), second = fresh_id();
    struct write *w = write_begin(&s.job);
    assert_true(write_is_empty(w));
    int one = note_change(w), two = note_change(w), three = note_change(w);
    write_row(w, &notes, P(INT(first), POSITION(one), INT(0)));
    write_row(w, &notes, P(INT(second), POSITION(three), INT(0)));
    write_statement(w, &notes_update_sql, P(INT(first), POSITION(two)));
    NO_ERR(write_commit(&s.job, w, &last));
    assert_int_equal(last, before + 3);
    assert_true(get_row(&notes_get_sql, first, &position, &n));
    assert_true(position == before + 2 && n == 1);
    assert_true(get_row(&notes_get_sql, second, &position, &n));
    assert_int_equal(position, before + 3);
    assert_int_equal(feed_position(node.storage->feed), before + 3);
    scope_finish(&s);
}

static void queued_writes_are_committed_together(void **state)
{
    enum { N = 40 };
    struct scope s;
    struct write *writes[N];
    int64_t ids[N], at, position, n, before = log_head_position(&node), commits = commits_so_far();
    scope_init(&s, &node);
    for (int i = 0; i < N; i++)
        write_enqueue(&s.job, writes[i] = new_note(&s.job, ids[i] = fresh_id()));
    for (int i = 0; i < N; i++) {
        NO_ERR(write_wait(&s.job, writes[i], &at));
        assert_int_equal(at, before + 1 + i); /* in the order of the queue */
        assert_true(get_row(&notes_get_sql, ids[i], &position, &n));
        assert_int_equal(position, at);
    }
    assert_int_equal(commits_so_far(), commits + 1);
    scope_finish(&s);
}

static void upserts_of_one_batch_merge(void **state)
{
    struct scope s;
    struct write *writes[3];
    int64_t id = fresh_id(), position, n, last, before = log_head_position(&node);
    scope_init(&s, &node);
    for (int i = 0; i < 3; i++) {
        writes[i] = write_begin(&s.job);
        write_row(writes[i], &marks, P(INT(id), POSITION(note_change(writes[i])), INT(i)));
        write_enqueue(&s.job, writes[i]);
    }
    for (int i = 0; i < 3; i++)
        NO_ERR(write_wait(&s.job, writes[i], &last));
    assert_true(get_row(&marks_get_sql, id, &position, &n));
    assert_true(n == 2 && position == before + 3 && last == position);
    scope_finish(&s);
}

static void an_early_write_shares_the_transaction(void **state)
{
    struct scope s;
    int64_t commits = commits_so_far();
    scope_init(&s, &node);
    struct write *early = new_note(&s.job, fresh_id());
    write_enqueue(&s.job, early);
    NO_ERR(write_commit(&s.job, new_note(&s.job, fresh_id()), NULL)); /* commits `early`, too */
    NO_ERR(write_wait(&s.job, early, NULL));
    assert_int_equal(commits_so_far(), commits + 1);
    scope_finish(&s);
}

/* ---- large writes ---- */

static struct write *new_large(struct job *job, int64_t room)
{
    enum { BYTES = 300 * 1024 };
    struct write *w = write_begin(job);
    int at = write_change(w, &(struct change){.kind = CHANGE_PROFILE, .user = 1, .room = room});
    char *text = arena_alloc(job->arena, BYTES);
    write_row(w, &notes, P(INT(fresh_id()), POSITION(at), INT(0)));
    write_statement(w, &size_sql, P(BYTES(((struct str){text, BYTES}))));
    return w;
}

static int64_t finish_at(struct job *job, struct write *w)
{
    int64_t position;
    NO_ERR(write_wait(job, w, &position));
    return position;
}

static void a_large_write_is_committed_alone(void **state)
{
    struct scope s;
    int64_t commits = commits_so_far();
    scope_init(&s, &node);
    struct write *before = new_note(&s.job, fresh_id()), *large = new_large(&s.job, 0),
                 *after = new_note(&s.job, fresh_id());
    write_enqueue(&s.job, before);
    write_enqueue(&s.job, large);
    write_enqueue(&s.job, after);
    int64_t at[] = {finish_at(&s.job, before), finish_at(&s.job, large), finish_at(&s.job, after)};
    assert_true(at[0] < at[2] && at[2] < at[1]);
    assert_int_equal(commits_so_far(), commits + 2);
    scope_finish(&s);
}

static void a_batch_is_committed_between_two_large_ones(void **state)
{
    struct scope s;
    scope_init(&s, &node);
    struct write *large[] = {new_large(&s.job, 0), new_large(&s.job, 0), new_large(&s.job, 0)};
    struct write *marked = new_note(&s.job, fresh_id());
    write_set_large(marked);
    for (int i = 0; i < 3; i++)
        write_enqueue(&s.job, large[i]);
    write_enqueue(&s.job, marked);
    int64_t first = finish_at(&s.job, large[0]);
    struct write *note = new_note(&s.job, fresh_id());
    write_enqueue(&s.job, note);
    int64_t second = finish_at(&s.job, large[1]), noted = finish_at(&s.job, note);
    int64_t third = finish_at(&s.job, large[2]), last = finish_at(&s.job, marked);
    assert_true(first < noted && noted < second && second < third && third < last);
    scope_finish(&s);
}

static void writes_built_on_a_large_one_follow_it(void **state)
{
    struct scope s;
    scope_init(&s, &node);
    struct write *large = new_large(&s.job, 77), *other = new_note(&s.job, fresh_id());
    struct write *same = write_begin(&s.job);
    write_change(same, &(struct change){.kind = CHANGE_PROFILE, .user = 1, .room = 77});
    write_enqueue(&s.job, large);
    write_enqueue(&s.job, same);
    write_enqueue(&s.job, other);
    int64_t at[] = {finish_at(&s.job, large), finish_at(&s.job, same), finish_at(&s.job, other)};
    assert_true(at[2] < at[0] && at[0] < at[1]);
    scope_finish(&s);
}

/* ---- failures ---- */

static void a_bad_write_fails_alone(void **state)
{
    struct scope s;
    scope_init(&s, &node);
    int64_t taken = fresh_id(), good[2] = {fresh_id(), fresh_id()}, at[2];
    NO_ERR(write_commit(&s.job, new_note(&s.job, taken), NULL));
    int64_t before = log_head_position(&node);
    struct write *first = new_note(&s.job, good[0]), *bad = new_note(&s.job, taken),
                 *last = new_note(&s.job, good[1]);
    write_enqueue(&s.job, first);
    write_enqueue(&s.job, bad);
    write_enqueue(&s.job, last);
    NO_ERR(write_wait(&s.job, first, &at[0]));
    const struct err *e = write_wait(&s.job, bad, NULL);
    assert_true(e && e->code == ERR_CONFLICT);
    NO_ERR(write_wait(&s.job, last, &at[1]));
    assert_true(is_noted(good[0]) && is_noted(good[1]));
    /* the failed one left no gap */
    assert_true(at[0] == before + 1 && at[1] == before + 2);
    assert_int_equal(log_head_position(&node), before + 2);
    scope_finish(&s);
}

static void a_write_is_all_or_nothing(void **state)
{
    struct scope s;
    scope_init(&s, &node);
    int64_t id = fresh_id(), before = log_head_position(&node);
    struct write *w = new_note(&s.job, id);
    write_statement(w, &expect_sql, P(INT(-1))); /* another was first */
    const struct err *e = write_commit(&s.job, w, NULL);
    assert_true(e && e->code == ERR_CONFLICT);
    assert_false(is_noted(id));
    assert_int_equal(log_head_position(&node), before);
    assert_int_equal(feed_position(node.storage->feed), before);
    NO_ERR(write_commit(&s.job, new_note(&s.job, id), NULL)); /* the connection is usable again */
    scope_finish(&s);
}

SQL(epochs_count_sql, "SELECT count(*) FROM log_epochs")

static int64_t count_epochs(void)
{
    struct scope s;
    int64_t n;
    bool found;
    scope_init(&s, &node);
    pg_must("count", db_one(job_tx(&s.job), &epochs_count_sql, NO_PARAMS, &found, R(INT_OUT(&n))));
    scope_finish(&s);
    return n;
}

/* Inserting a note fails with this SQLSTATE. */
static void fail_notes(const char *sqlstate)
{
    char sql[400];
    snprintf(sql, sizeof sql,
             "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS "
             "$$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '%s'; END $$;"
             "CREATE TRIGGER fail AFTER INSERT ON notes FOR EACH ROW EXECUTE FUNCTION fail()",
             sqlstate);
    pg_must("trigger", pg_command(pg_uri(), sql));
}

static void fail_notes_no_more(void)
{
    pg_must("trigger", pg_command(pg_uri(), "DROP TRIGGER fail ON notes; DROP FUNCTION fail()"));
}

/* Failures that need no new epoch and no new connection begin none. */
static void a_failed_batch_begins_no_epoch(void **state)
{
    static const struct {
        const char *sqlstate;
        enum err_code code;
        int epochs; /* that begin with each failed transaction */
    } rows[] = {
        {"23505", ERR_CONFLICT, 0},    /* another was first */
        {"23514", ERR_INTERNAL, 0},    /* a check that is violated */
        {"57014", ERR_TOO_SLOW, 0},    /* statement_timeout */
        {"53100", ERR_UNAVAILABLE, 0}, /* the disk is full */
        {"26000", ERR_INTERNAL, 1},    /* prepared statements were dropped: reconnects */
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct scope s;
        scope_init(&s, &node);
        fail_notes(rows[i].sqlstate);
        int64_t epochs = count_epochs(), before = log_head_position(&node);
        struct write *writes[2] = {new_note(&s.job, fresh_id()), new_note(&s.job, fresh_id())};
        write_enqueue(&s.job, writes[0]);
        write_enqueue(&s.job, writes[1]);
        for (int j = 0; j < 2; j++) {
            const struct err *e = write_wait(&s.job, writes[j], NULL);
            assert_non_null(e);
            assert_int_equal(e->code, rows[i].code);
        }
        fail_notes_no_more();
        NO_ERR(write_commit(&s.job, new_note(&s.job, fresh_id()), NULL));
        /* Together, then each alone. */
        assert_int_equal(count_epochs() - epochs, 3 * rows[i].epochs);
        assert_int_equal(log_head_position(&node), before + 1);
        assert_int_equal(feed_position(node.storage->feed), before + 1);
        scope_finish(&s);
    }
}

/* ---- many threads ---- */

enum { WRITES_EACH = 40 };

struct tally {
    _Atomic int64_t published; /* the newest position that a listener saw */
    _Atomic int64_t out_of_order, unpublished, wrong;
    _Atomic bool done;
};

static struct tally *listening;

static void on_changes(void *ctx, const struct change *changes, size_t n)
{
    struct tally *t = listening;
    for (size_t i = 0; t && i < n; i++) {
        if (changes[i].position != t->published + 1)
            t->out_of_order++;
        t->published = changes[i].position;
    }
}

static void write_many(void *ctx, int number)
{
    struct tally *t = ctx;
    for (int i = 0; i < WRITES_EACH; i++) {
        struct scope s;
        int64_t id = fresh_id(), at, position, n;
        scope_init(&s, &node);
        struct write *w = new_note(&s.job, id);
        for (int more = (number + i) % 3; more > 0; more--)
            note_change(w);
        size_t changes = write_changes_n(w);
        if (write_commit(&s.job, w, &at)) {
            t->wrong++;
        } else {
            t->unpublished += feed_position(node.storage->feed) < at || t->published < at;
            t->wrong += !get_row(&notes_get_sql, id, &position, &n) ||
                        position != at - (int64_t)changes + 1;
        }
        scope_finish(&s);
    }
}

/* A reader of the log sees no gap that fills later: all changes up to the head are visible. */
static void read_meanwhile(struct tally *t)
{
    struct scope s;
    int64_t before = 0;
    while (!t->done) {
        scope_init(&s, &node);
        int64_t head;
        NO_ERR(log_position(job_tx(&s.job), &head));
        assert_true(head >= before);
        before = head;
        scope_finish(&s);
        wait_briefly();
    }
}

static void *reader(void *ctx)
{
    read_meanwhile(ctx);
    return NULL;
}

static void check_crowd(int threads)
{
    struct tally t = {.published = feed_position(node.storage->feed)};
    int64_t before = t.published;
    pthread_t reading;
    listening = &t;
    pthread_create(&reading, NULL, reader, &t);
    crowd_run(threads, write_many, &t);
    t.done = true;
    pthread_join(reading, NULL);
    listening = NULL;
    assert_int_equal(t.wrong, 0);
    assert_int_equal(t.out_of_order, 0); /* gapless, and in the order of the commits */
    assert_int_equal(t.unpublished, 0);
    int64_t changes = 0;
    for (int number = 0; number < threads; number++)
        for (int i = 0; i < WRITES_EACH; i++)
            changes += 1 + (number + i) % 3;
    assert_int_equal(log_head_position(&node), before + changes);
    assert_int_equal(feed_position(node.storage->feed), before + changes);
}

static void positions_are_gapless_under_16_threads(void **state)
{
    check_crowd(16);
}

static void the_lead_is_handed_over_under_64_threads(void **state)
{
    check_crowd(64);
}

/* ---- a lost connection ---- */

static const char end_committer[] = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                                    "WHERE application_name LIKE 'concorde-committer-%'";

/* Nothing of the batch was committed, so it is sent again. */
static void a_connection_that_ended_while_idle_fails_no_write(void **state)
{
    struct scope s;
    int64_t ids[2] = {fresh_id(), fresh_id()}, before = log_head_position(&node);
    scope_init(&s, &node);
    pg_must("end", pg_command(pg_uri(), end_committer));
    struct write *writes[2] = {new_note(&s.job, ids[0]), new_note(&s.job, ids[1])};
    for (int i = 0; i < 2; i++)
        write_enqueue(&s.job, writes[i]);
    for (int i = 0; i < 2; i++)
        NO_ERR(write_wait(&s.job, writes[i], NULL));
    assert_int_equal(log_head_position(&node), before + 2);
    scope_finish(&s);
}

struct chaos {
    _Atomic int64_t done, lost, false_success, false_failure;
    _Atomic bool stop;
};

static void write_through_chaos(void *ctx, int number)
{
    struct chaos *c = ctx;
    for (int i = 0; i < 30; i++) {
        struct scope s;
        int64_t id = fresh_id();
        scope_init(&s, &node);
        const struct err *e = write_commit(&s.job, new_note(&s.job, id), NULL);
        bool there = is_noted(id);
        c->false_success += !e && !there;
        c->false_failure += e && there;
        *(e ? &c->lost : &c->done) += 1;
        scope_finish(&s);
    }
}

static void *end_again_and_again(void *ctx)
{
    struct chaos *c = ctx;
    while (!c->stop) {
        pg_must("terminate", pg_command(pg_uri(), end_committer));
        wait_some_rounds();
    }
    return NULL;
}

static void answers_hold_when_connections_are_killed(void **state)
{
    struct chaos c = {0};
    pthread_t killer;
    pthread_create(&killer, NULL, end_again_and_again, &c);
    crowd_run(8, write_through_chaos, &c);
    c.stop = true;
    pthread_join(killer, NULL);
    assert_int_equal(c.false_success, 0);
    assert_int_equal(c.false_failure, 0);
    assert_true(c.done > 0);
    assert_int_equal(feed_position(node.storage->feed), log_head_position(&node));
}

/* Breaks every connection of this process; the servers at their other ends may not notice. */
static void cut_connections(void)
{
    for (int fd = 3; fd < 256; fd++) {
        struct sockaddr_storage peer;
        socklen_t n = sizeof peer;
        if (getpeername(fd, (struct sockaddr *)&peer, &n) == 0)
            shutdown(fd, SHUT_RDWR);
    }
}

/* Fails when no commit is in the trigger below. */
static const char is_lingering[] = "SELECT 1 / count(*) FROM pg_stat_activity "
                                   "WHERE wait_event = 'PgSleep' AND datname = current_database()";

static void *cut_soon(void *ctx)
{
    while (pg_command(pg_uri(), is_lingering))
        wait_briefly();
    cut_connections();
    return NULL;
}

/* The commit itself takes a while, and the connection breaks meanwhile: the writer's result must be
 * the final outcome. */
static void a_commit_in_doubt_is_decided(void **state)
{
    pg_must("trigger",
            pg_command(pg_uri(),
                       "CREATE FUNCTION linger() RETURNS trigger LANGUAGE plpgsql AS "
                       "$$ BEGIN PERFORM pg_sleep(1.5); RETURN NULL; END $$;"
                       "CREATE CONSTRAINT TRIGGER linger AFTER INSERT ON notes DEFERRABLE "
                       "INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION linger()"));
    struct scope s;
    pthread_t cutter;
    int64_t id = fresh_id();
    scope_init(&s, &node);
    for (int i = 0; i < 5 && write_commit(&s.job, new_note(&s.job, fresh_id()), NULL); i++)
        ; /* the connection is usable again */
    pthread_create(&cutter, NULL, cut_soon, NULL);
    const struct err *e = write_commit(&s.job, new_note(&s.job, id), NULL);
    pthread_join(cutter, NULL);
    bool there = is_noted(id);
    WAIT_UNTIL(pg_command(pg_uri(), is_lingering)); /* a forgotten commit */
    assert_int_equal(there, is_noted(id));
    assert_int_equal(e == NULL, there);
    assert_true(!e || e->code == ERR_UNAVAILABLE);
    pg_must("trigger", pg_command(pg_uri(), "DROP TRIGGER linger ON notes"));
    NO_ERR(write_commit(&s.job, new_note(&s.job, fresh_id()), NULL));
    scope_finish(&s);
}

/* A commit that is not answered in time is decided, too; later writers do not wait. */
static void a_commit_that_is_late_is_decided(void **state)
{
    enum { LIMIT_MS = 500 };
    log_stop(&node);
    log_start_limited(&node, pg_uri(), LIMIT_MS);
    pg_must("trigger",
            pg_command(pg_uri(), "CREATE FUNCTION stay() RETURNS trigger LANGUAGE plpgsql AS "
                                 "$$ BEGIN PERFORM pg_sleep(25); RETURN NULL; END $$;"
                                 "CREATE CONSTRAINT TRIGGER stay AFTER INSERT ON notes DEFERRABLE "
                                 "INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION stay()"));
    struct scope s;
    int64_t id = fresh_id(), since, started = mono_ms();
    scope_init(&s, &node);
    const struct err *e = write_commit(&s.job, new_note(&s.job, id), NULL);
    assert_true(e && e->code == ERR_UNAVAILABLE && e->retry_after_ms > 0);
    assert_in_range(mono_ms() - started, LIMIT_MS, 20000);
    assert_false(is_noted(id));
    pg_must("trigger", pg_command(pg_uri(), "DROP TRIGGER stay ON notes"));
    id = fresh_id();
    while (write_commit(&s.job, new_note(&s.job, id), NULL))
        assert_true(mono_ms() - started < 60000);
    assert_true(is_noted(id));
    assert_null(committer_trouble(node.storage->committer, &since));
    buf_auto struct buf metrics = {0};
    committer_add_metrics(node.storage->committer, &metrics);
    assert_null(strstr(metrics.p, "concorde_commit_timeouts_total 0"));
    scope_finish(&s);
    log_stop(&node);
    log_start(&node, pg_uri());
}

static void while_the_database_is_away(void **state)
{
    struct storage nothing = {0};
    struct node away = {.storage = &nothing};
    char uri[600];
    pg_must("database", pg_command(pg_uri(), "CREATE DATABASE away_for_a_while"));
    const char *join = strstr(pg_uri(), "://") ? strchr(pg_uri(), '?') ? "&" : "?" : " ";
    snprintf(uri, sizeof uri, "%s%sdbname=away_for_a_while", pg_uri(), join);
    pg_must("migrate", migrate(uri, NULL));
    pg_must("db_open", db_open(uri, 2, &away.storage->db));
    log_start(&away, uri);
    struct scope s;
    scope_init(&s, &away);
    struct write *w = write_begin(&s.job);
    note_change(w);
    NO_ERR(write_commit(&s.job, w, NULL));

    pg_must("refuse", pg_command(pg_uri(), "ALTER DATABASE away_for_a_while ALLOW_CONNECTIONS "
                                           "false"));
    pg_must("terminate", pg_command(pg_uri(), "SELECT pg_terminate_backend(pid) FROM "
                                              "pg_stat_activity WHERE datname = "
                                              "'away_for_a_while'"));
    for (int i = 0; i < 2; i++) { /* the first is in doubt until it is given up */
        w = write_begin(&s.job);
        note_change(w);
        int64_t started = mono_ms();
        const struct err *e = write_commit(&s.job, w, NULL);
        assert_true(e && e->code == ERR_UNAVAILABLE && e->retry_after_ms > 0);
        assert_true(mono_ms() - started < (i ? 3000 : 15000));
    }
    pg_must("allow", pg_command(pg_uri(), "ALTER DATABASE away_for_a_while ALLOW_CONNECTIONS "
                                          "true"));
    w = write_begin(&s.job);
    note_change(w);
    int64_t position;
    NO_ERR(write_commit(&s.job, w, &position));
    assert_int_equal(position, 2); /* no refused write was stored */
    scope_finish(&s);
    log_stop(&away);
    db_close(away.storage->db);
    pg_must("drop", pg_command(pg_uri(), "DROP DATABASE away_for_a_while WITH (FORCE)"));
}

/* ---- other processes ---- */

static void a_foreign_commit_resets_the_feed(void **state)
{
    struct scope s;
    scope_init(&s, &node);
    NO_ERR(write_commit(&s.job, new_note(&s.job, fresh_id()), NULL));
    int64_t before = feed_position(node.storage->feed), at;
    assert_true(feed_covers(node.storage->feed, before - 1));
    pg_must("foreign",
            pg_command(pg_uri(), "UPDATE log_head SET position = position + 5, node = 0"));
    NO_ERR(write_commit(&s.job, new_note(&s.job, fresh_id()), &at));
    assert_int_equal(at, before + 6);
    assert_int_equal(feed_position(node.storage->feed), at);
    assert_false(feed_covers(node.storage->feed, before)); /* there are changes that it never saw */
    assert_true(feed_covers(node.storage->feed, at - 1));
    scope_finish(&s);
}

static int listen_once(void **state)
{
    set_up(state);
    static const struct feed_listener list[] = {{on_changes}};
    feed_set_listeners(node.storage->feed, list, 1);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_and_statements_know_their_positions),
        cmocka_unit_test(queued_writes_are_committed_together),
        cmocka_unit_test(upserts_of_one_batch_merge),
        cmocka_unit_test(an_early_write_shares_the_transaction),
        cmocka_unit_test(a_large_write_is_committed_alone),
        cmocka_unit_test(a_batch_is_committed_between_two_large_ones),
        cmocka_unit_test(writes_built_on_a_large_one_follow_it),
        cmocka_unit_test(a_bad_write_fails_alone),
        cmocka_unit_test(a_write_is_all_or_nothing),
        cmocka_unit_test(a_failed_batch_begins_no_epoch),
        cmocka_unit_test(positions_are_gapless_under_16_threads),
        cmocka_unit_test(the_lead_is_handed_over_under_64_threads),
        cmocka_unit_test(a_connection_that_ended_while_idle_fails_no_write),
        cmocka_unit_test(answers_hold_when_connections_are_killed),
        cmocka_unit_test(a_commit_in_doubt_is_decided),
        cmocka_unit_test(a_commit_that_is_late_is_decided),
        cmocka_unit_test(while_the_database_is_away),
        cmocka_unit_test(a_foreign_commit_resets_the_feed),
    };
    return cmocka_run_group_tests(tests, listen_once, tear_down);
}
