/* Two servers on one database: who is in the list of nodes, what each publishes of the other's
 * batches, and epochs that both begin. */
#include "log_fixture.h"

#include "storage/db/log_session.h"
#include "storage/nodes/follower.h"

static struct server_fixture {
    struct storage storage;
    struct node node;
    const char *data_dir;
    char lost[160]; /* why it had to stop */
} servers[2];

static void on_lost(void *ctx, const char *why)
{
    struct server_fixture *s = ctx;
    snprintf(s->lost, sizeof s->lost, "%s", why);
}

static void begin(struct server_fixture *s)
{
    *s = (struct server_fixture){.data_dir = s->data_dir};
    s->node.storage = &s->storage;
    s->storage.db = pg_db();
    s->storage.feed = feed_create(1 << 10, 1 << 20, 0);
    s->storage.epochs = epochs_create();
    const struct committer_settings settings = {.log = {.uri = pg_uri(),
                                                        .feed = s->storage.feed,
                                                        .epochs = s->storage.epochs,
                                                        .is_server = true,
                                                        .data_dir = s->data_dir,
                                                        .on_lost = on_lost,
                                                        .ctx = s}};
    pg_must("committer_start", committer_start(&settings, &s->storage.committer));
}

static void end(struct server_fixture *s)
{
    committer_stop(s->storage.committer);
    feed_destroy(s->storage.feed);
    epochs_destroy(s->storage.epochs);
}

static int set_up(void **state)
{
    pg_db(); /* migrated */
    pg_must("no nodes", pg_command(pg_uri(), "DELETE FROM nodes"));
    begin(&servers[0]);
    begin(&servers[1]);
    return 0;
}

static int tear_down(void **state)
{
    end(&servers[1]);
    end(&servers[0]);
    return 0;
}

static struct log_view *view_of(int number)
{
    return committer_view(servers[number].storage.committer);
}

static int64_t newest(int number)
{
    return feed_newest(servers[number].storage.feed);
}

static const struct err *write_on(int number, int64_t user, int64_t *ret_position)
{
    struct scope s;
    scope_init(&s, &servers[number].node);
    struct write *w = write_begin(&s.job);
    write_change(w, &(struct change){.kind = CHANGE_PROFILE, .user = user});
    const struct err *e = write_commit(&s.job, w, ret_position);
    e = e ? err_copy(e) : NULL;
    scope_finish(&s);
    return e;
}

static bool look(int number)
{
    bool all = false;
    LOCKED(&view_of(number)->lock);
    NO_ERR(log_view_look_locked(view_of(number), &all));
    return all;
}

static int64_t count(const char *sql)
{
    PGconn *pg = PQconnectdb(pg_uri());
    PGresult *r = PQexec(pg, sql);
    if (PQresultStatus(r) != PGRES_TUPLES_OK)
        fail_msg("%s: %s", sql, PQresultErrorMessage(r));
    int64_t n = atoll(PQgetvalue(r, 0, 0));
    PQclear(r);
    PQfinish(pg);
    return n;
}

/* ---- the list of nodes ---- */

static void a_server_alone_writes_no_rows(void **state)
{
    end(&servers[1]);
    int64_t rows = count("SELECT count(*) FROM log_batches");
    NO_ERR(write_on(0, 1, NULL));
    assert_int_equal(count("SELECT count(*) FROM log_batches"), rows);
    assert_int_equal(log_view_count(view_of(0)), 1);
    begin(&servers[1]);
}

/* The first does not know of the second yet: its commit is refused, and sent again with a row. */
static void a_server_learns_of_another_by_its_first_commit(void **state)
{
    int64_t position;
    assert_int_equal(view_of(0)->others, 0);
    NO_ERR(write_on(0, 7, &position));
    assert_int_equal(view_of(0)->others, 1);
    assert_int_equal(count("SELECT last FROM log_batches ORDER BY first DESC LIMIT 1"), position);
    assert_true(look(1));
    assert_int_equal(newest(1), position);
    assert_int_equal(feed_user_position(servers[1].storage.feed, 7), position);
}

static void both_publish_all_in_the_order_of_the_log(void **state)
{
    for (int i = 0; i < 40; i++) {
        int64_t position;
        NO_ERR(write_on(i % 3 == 0, 100 + i, &position));
        assert_int_equal(newest(i % 3 == 0), position);
        if (i % 7 == 0)
            assert_true(look(i % 2));
    }
    assert_true(look(0) && look(1));
    assert_int_equal(newest(0), newest(1));
    for (int i = 0; i < 40; i++)
        assert_int_equal(feed_user_position(servers[0].storage.feed, 100 + i),
                         feed_user_position(servers[1].storage.feed, 100 + i));
}

/* The leader publishes its own batch from memory, after what came before it. */
static void a_batch_in_flight_is_left_to_the_leader(void **state)
{
    struct log_view *v = view_of(0);
    NO_ERR(write_on(1, 1, NULL));
    assert_true(look(0));
    int64_t before = newest(0);
    lock_take(&v->lock);
    v->in_flight = 4711;
    lock_release(&v->lock);
    pg_must("as the leader's commit",
            pg_command(pg_uri(), "UPDATE log_head SET position = position + 1"));
    assert_false(look(0));
    assert_int_equal(newest(0), before);
    lock_take(&v->lock);
    v->in_flight = 0;
    lock_release(&v->lock);
    assert_true(look(0)); /* no row tells what it was: the caches are reset */
    assert_int_equal(newest(0), before + 1);
    assert_false(feed_covers(servers[0].storage.feed, before));
}

static void a_server_that_was_removed_registers_again(void **state)
{
    NO_ERR(write_on(1, 1, NULL));
    pg_must("age", pg_command(pg_uri(), "UPDATE nodes SET seen_at = seen_at - interval '1 hour'"));
    NO_ERR(log_view_beat(view_of(1), 0)); /* removes the first */
    assert_int_equal(log_view_count(view_of(1)), 1);
    NO_ERR(write_on(1, 2, NULL)); /* for itself alone */
    NO_ERR(log_view_beat(view_of(0), 0));
    assert_int_equal(count("SELECT count(*) FROM nodes"), 2);
    assert_true(look(0));
    assert_int_equal(newest(0), newest(1));
    assert_string_equal(servers[0].lost, "");
    NO_ERR(write_on(1, 3, NULL));
    assert_true(look(0));
    assert_true(feed_covers(servers[0].storage.feed, newest(0) - 1));
}

/* The row of a process that ran where the first one does, or somewhere else. */
static void add_killed(const char *place)
{
    buf_auto struct buf sql = {0};
    buf_printf(&sql,
               "INSERT INTO nodes SELECT 4711, %s, version, started_at, seen_at, 0, 0 FROM nodes "
               "WHERE id <> 4711 ORDER BY host LIKE '%%:%%' DESC LIMIT 1",
               place);
    pg_must("no other", pg_command(pg_uri(), "DELETE FROM nodes WHERE id = 4711"));
    pg_must("kill", pg_command(pg_uri(), sql.p));
}

/* With a data directory. Returns how many rows of killed processes are left. */
static int64_t begin_again_after(const char *place, const char *dir)
{
    end(&servers[0]);
    servers[0].data_dir = dir;
    begin(&servers[0]);
    add_killed(place);
    end(&servers[0]);
    assert_int_equal(count("SELECT count(*) FROM nodes WHERE id = 4711"), 1);
    begin(&servers[0]);
    servers[0].data_dir = NULL;
    return count("SELECT count(*) FROM nodes WHERE id = 4711");
}

static void a_process_that_was_killed_here_is_not_waited_for(void **state)
{
    assert_int_equal(begin_again_after("host", "/tmp"), 0);
    assert_int_equal(count("SELECT count(*) FROM nodes"), 2);
}

/* Of containers that have the same host name and the same path. */
static void a_process_in_another_directory_remains_listed(void **state)
{
    assert_int_equal(begin_again_after("host || '0'", "/tmp"), 1); /* another number */
    assert_int_equal(begin_again_after("regexp_replace(host, ':.{8}', ':00000000')", "/tmp"), 1);
    assert_int_equal(begin_again_after("split_part(host, ':', 1)", "/nowhere"), 1);
}

static void *write_and_count_behind(void *ret)
{
    NO_ERR(write_on(0, 5, NULL));
    *(int64_t *)ret =
        count("SELECT count(*) FROM nodes WHERE members < (SELECT members FROM log_head)");
    return NULL;
}

/* Until then another node answers without looking at what this one has committed. */
static void it_answers_when_the_others_know_of_it(void **state)
{
    pthread_t writer;
    int64_t behind = -1, before = newest(0);
    pg_must("age", pg_command(pg_uri(), "UPDATE nodes SET seen_at = seen_at - interval '1 hour'"));
    NO_ERR(log_view_beat(view_of(1), 0)); /* removes the first */
    assert_int_equal(pthread_create(&writer, NULL, write_and_count_behind, &behind), 0);
    while (count("SELECT position FROM log_head") == before)
        ;
    assert_int_equal(behind, -1);
    NO_ERR(log_view_beat(view_of(1), 0)); /* learns of it, ... */
    NO_ERR(log_view_beat(view_of(1), 0)); /* ... and says so */
    assert_int_equal(pthread_join(writer, NULL), 0);
    assert_int_equal(behind, 0);
}

/* ---- epochs ---- */

static void reconnect(int number)
{
    char sql[200];
    snprintf(sql, sizeof sql,
             "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
             "WHERE application_name = 'concorde-committer-%016llx'",
             (unsigned long long)view_of(number)->node);
    pg_must("end its connection", pg_command(pg_uri(), sql));
    NO_ERR(write_on(number, 1, NULL));
}

static void each_goes_on_in_epochs_that_the_other_begins(void **state)
{
    for (int i = 0; i < 6; i++) {
        reconnect(i % 2);
        NO_ERR(write_on(1 - i % 2, 1, NULL));
        assert_int_equal(view_of(0)->epoch, view_of(1)->epoch);
    }
    assert_string_equal(servers[0].lost, "");
    assert_string_equal(servers[1].lost, "");
    assert_int_equal(epochs_current(servers[0].storage.epochs),
                     epochs_current(servers[1].storage.epochs));
}

/* One thread may have read the head before another one learned of a later epoch. */
static void an_epoch_that_is_over_is_no_loss(void **state)
{
    struct log_view *v = view_of(0);
    int64_t before = v->epoch;
    reconnect(0);
    lock_take(&v->lock);
    assert_int_not_equal(v->epoch, before);
    int64_t now = v->epoch;
    NO_ERR(log_view_adopt_locked(v, before));
    assert_int_equal(v->epoch, now);
    lock_release(&v->lock);
    assert_false(v->lost);
}

struct beginner {
    struct log_session session;
    struct log_head head;
};

static void open_beginner(struct beginner *b, int number, const char *name)
{
    *b = (struct beginner){
        .session = {.uri = (char *)pg_uri(), .view = view_of(number), .limit_ms = 20000}};
    snprintf(b->session.name, sizeof b->session.name, "%s", name);
    NO_ERR(log_session_open(&b->session));
}

static void *begin_beside(void *beginner)
{
    struct beginner *b = beginner;
    NO_ERR(log_session_read(&b->session, &b->head));
    NO_ERR(log_session_begin(&b->session, &b->head));
    return NULL;
}

/* Its follower learns of both while the answer to its own is under way. */
static void it_begins_an_epoch_and_another_begins_the_next(void **state)
{
    struct beginner one, other;
    pthread_t of_one, of_other;
    int64_t before = count("SELECT epoch FROM log_head");
    open_beginner(&one, 0, "one");
    open_beginner(&other, 1, "other");
    lock_take(&view_of(0)->lock);
    NO_ERR(log_view_adopt_locked(view_of(0), before));
    assert_int_equal(pthread_create(&of_one, NULL, begin_beside, &one), 0);
    while (count("SELECT epoch FROM log_head") == before)
        ;
    assert_int_equal(pthread_create(&of_other, NULL, begin_beside, &other), 0);
    pthread_join(of_other, NULL);
    int64_t newest = count("SELECT epoch FROM log_head");
    NO_ERR(log_view_adopt_locked(view_of(0), newest));
    lock_release(&view_of(0)->lock);
    pthread_join(of_one, NULL);
    assert_true(view_of(0)->epoch == newest);
    log_session_close(&one.session);
    log_session_close(&other.session);
}

static void an_unknown_epoch_is_a_loss(void **state)
{
    pg_must("restore", pg_command(pg_uri(), "UPDATE log_head SET epoch = 4711"));
    const struct err *e = write_on(0, 1, NULL);
    assert_true(e && e->code == ERR_UNAVAILABLE);
    assert_true(strstr(servers[0].lost, "another one"));
    pg_must("mend", pg_command(pg_uri(), "UPDATE log_head SET epoch = (SELECT epoch FROM "
                                         "log_epochs ORDER BY number DESC LIMIT 1)"));
}

/* As after a failover that lost the newest transactions: the other has begun an epoch since. */
static void an_epoch_that_begins_before_what_is_known_is_a_loss(void **state)
{
    int64_t position;
    NO_ERR(write_on(0, 1, &position));
    assert_int_equal(newest(0), position);
    pg_must("lose", pg_command(pg_uri(), "UPDATE log_head SET position = position - 1; "
                                         "DELETE FROM log_batches WHERE last = "
                                         "(SELECT position + 1 FROM log_head)"));
    reconnect(1); /* which has not seen what was lost */
    assert_string_equal(servers[1].lost, "");
    const struct err *e = write_on(0, 1, NULL);
    assert_true(e && e->code == ERR_UNAVAILABLE);
    assert_true(strstr(servers[0].lost, "lost transactions"));
}

/* ---- the follower ---- */

static void a_barrier_sees_what_was_committed_before(void **state)
{
    struct follower *f;
    const struct follower_settings settings = {.uri = pg_uri(), .view = view_of(0)};
    NO_ERR(log_view_beat(view_of(1), 0));
    NO_ERR(follower_start(&settings, &f));
    NO_ERR(write_on(1, 1, NULL));
    for (int i = 0; i < 200; i++) {
        int64_t position;
        NO_ERR(write_on(1, 1, &position));
        NO_ERR(follower_barrier(f));
        assert_true(newest(0) >= position);
    }
    assert_true(follower_is_fresh(f));
    follower_stop(f);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_server_alone_writes_no_rows),
        TEST(a_server_learns_of_another_by_its_first_commit),
        TEST(both_publish_all_in_the_order_of_the_log),
        TEST(a_batch_in_flight_is_left_to_the_leader),
        TEST(a_server_that_was_removed_registers_again),
        TEST(a_process_that_was_killed_here_is_not_waited_for),
        TEST(a_process_in_another_directory_remains_listed),
        TEST(it_answers_when_the_others_know_of_it),
        TEST(each_goes_on_in_epochs_that_the_other_begins),
        TEST(it_begins_an_epoch_and_another_begins_the_next),
        TEST(an_epoch_that_is_over_is_no_loss),
        TEST(an_unknown_epoch_is_a_loss),
        TEST(an_epoch_that_begins_before_what_is_known_is_a_loss),
        TEST(a_barrier_sees_what_was_committed_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
