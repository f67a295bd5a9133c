#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "pg_fixture.h"
#include "waiting.h"

#include <errno.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* The data directory of one test, and the template of its cluster. */
static char dir[64], template[64];

static int make_dir(void **state)
{
    pg_make_dir("embedded", sizeof dir, dir);
    return 0;
}

static int make_template(void **state)
{
    struct embedded *e;
    const char *uri;
    make_dir(NULL);
    pg_must("the template", embedded_start(dir, &e, &uri));
    embedded_stop(e);
    memcpy(template, dir, sizeof template);
    return 0;
}

static int remove_template(void **state)
{
    pg_remove_dir(template);
    return 0;
}

static int copy_template(void **state)
{
    char command[200];
    if (make_dir(NULL) != 0)
        return -1;
    snprintf(command, sizeof command, "cp -a %s/postgres %s/", template, dir);
    return system(command);
}

static int remove_dir(void **state)
{
    pg_remove_dir(dir);
    return 0;
}

static const char make_table[] = "CREATE TABLE t (id bigserial PRIMARY KEY)";
static const char insert_row[] = "INSERT INTO t DEFAULT VALUES";

static int count_rows(const char *uri)
{
    PGconn *pg;
    NO_ERR(db_connect(uri, &pg));
    PGresult *result = PQexec(pg, "SELECT count(*) FROM t");
    assert_int_equal(PQresultStatus(result), PGRES_TUPLES_OK);
    int n = atoi(PQgetvalue(result, 0, 0));
    PQclear(result);
    PQfinish(pg);
    return n;
}

static bool lives(pid_t pid)
{
    return pid > 1 && kill(pid, 0) == 0;
}

static void a_cluster_is_made_once_and_keeps_its_data(void **state)
{
    struct embedded *e;
    const char *uri;
    NO_ERR(embedded_start(dir, &e, &uri));
    NO_ERR(pg_command(uri, make_table));
    NO_ERR(pg_command(uri, insert_row));
    pid_t pid = pg_postmaster_in(dir);
    assert_true(lives(pid));
    embedded_stop(e);
    assert_false(lives(pid));

    int64_t started = mono_ms();
    NO_ERR(embedded_start(dir, &e, &uri));
    assert_true(mono_ms() - started < 2000);
    assert_int_equal(count_rows(uri), 1);
    embedded_stop(e);
    embedded_stop(NULL);
}

static void it_is_durable_private_and_utf8(void **state)
{
    static const struct {
        const char *setting, *value;
    } rows[] = {
        {"fsync", "on"},          {"synchronous_commit", "on"},        {"full_page_writes", "on"},
        {"listen_addresses", ""}, {"server_encoding", "UTF8"},         {"lc_collate", "C"},
        {"data_checksums", "on"}, {"unix_socket_permissions", "0700"}, {"jit", "off"},
    };
    struct embedded *e;
    const char *uri;
    NO_ERR(embedded_start(dir, &e, &uri));
    PGconn *pg;
    NO_ERR(db_connect(uri, &pg));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char sql[80];
        snprintf(sql, sizeof sql, "SHOW %s", rows[i].setting);
        PGresult *result = PQexec(pg, sql);
        assert_int_equal(PQntuples(result), 1);
        assert_string_equal(PQgetvalue(result, 0, 0), rows[i].value);
        PQclear(result);
    }
    PQfinish(pg);
    char path[512];
    struct stat s;
    snprintf(path, sizeof path, "%s/postgres", dir);
    assert_int_equal(stat(path, &s), 0);
    assert_int_equal(s.st_mode & 0777, 0700);
    assert_int_not_equal(s.st_uid, 0);
    embedded_stop(e);
}

/* The same database, for another role. */
static const char *as_role(const char *uri, const char *role, const char *database)
{
    static char other[400];
    const char *user = strstr(uri, "user=");
    assert_non_null(user);
    snprintf(other, sizeof other, "%.*suser=%s dbname=%s", (int)(user - uri), uri, role, database);
    return other;
}

static void answers(const char *uri, const char *sql, const char *wanted)
{
    PGconn *pg;
    NO_ERR(db_connect(uri, &pg));
    PGresult *result = PQexec(pg, sql);
    if (PQresultStatus(result) != PGRES_TUPLES_OK)
        fail_msg("%s: %s", sql, PQerrorMessage(pg));
    assert_string_equal(PQgetvalue(result, 0, 0), wanted);
    PQclear(result);
    PQfinish(pg);
}

static const char is_super[] = "SELECT rolsuper FROM pg_roles WHERE rolname = current_user";

static void the_server_is_an_ordinary_role(void **state)
{
    struct embedded *e;
    const char *uri;
    NO_ERR(embedded_start(dir, &e, &uri));
    answers(uri, is_super, "f");
    assert_non_null(pg_command(uri, "COPY (SELECT 1) TO PROGRAM 'true'"));
    assert_non_null(pg_command(uri, "SELECT pg_read_file('PG_VERSION')"));
    NO_ERR(pg_command(uri, make_table));
    embedded_stop(e);
}

/* A cluster as it was made when the superuser was called "concorde" and owned everything. */
static void make_old_cluster(void)
{
    static const char *const steps[][2] = {
        {"postgres", "CREATE ROLE helper SUPERUSER LOGIN"},
        {"postgres", "ALTER DATABASE concorde OWNER TO postgres"},
        {"postgres", "DROP ROLE concorde"},
        {"helper", "ALTER ROLE postgres RENAME TO concorde"},
        {"concorde", "DROP ROLE helper"},
    };
    struct embedded *e;
    const char *uri;
    NO_ERR(embedded_start(dir, &e, &uri));
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
        NO_ERR(pg_command(as_role(uri, steps[i][0], "postgres"), steps[i][1]));
    answers(uri, is_super, "t");
    NO_ERR(pg_command(uri, make_table));
    NO_ERR(pg_command(uri, insert_row));
    NO_ERR(pg_command(uri, "CREATE SEQUENCE s"));
    NO_ERR(pg_command(uri, "CREATE TYPE colour AS ENUM ('red')"));
    NO_ERR(pg_command(uri, "CREATE FUNCTION f(x int) RETURNS int LANGUAGE sql AS 'SELECT x'"));
    embedded_stop(e);
}

static void check_moved(const char *uri)
{
    answers(uri, is_super, "f");
    assert_int_equal(count_rows(uri), 1);
    static const char *const changes[] = {
        "ALTER TABLE t ADD COLUMN IF NOT EXISTS more int", "ALTER SEQUENCE s INCREMENT 2",
        "ALTER TYPE colour ADD VALUE IF NOT EXISTS 'green'",
        "CREATE OR REPLACE FUNCTION f(x int) RETURNS int LANGUAGE sql AS 'SELECT x + 1'",
        "CREATE INDEX IF NOT EXISTS i ON t (more)"};
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++)
        NO_ERR(pg_command(uri, changes[i]));
    answers(uri, "SELECT count(*) FROM pg_roles WHERE rolsuper", "1");
}

static void an_old_cluster_is_moved(void **state)
{
    struct embedded *e;
    const char *uri;
    make_old_cluster();
    for (int start = 0; start < 2; start++) {
        NO_ERR(embedded_start(dir, &e, &uri));
        check_moved(uri);
        embedded_stop(e);
    }
}

/* The process ended between two steps of the move. */
static void a_move_that_was_interrupted_is_finished(void **state)
{
    struct embedded *e;
    const char *uri;
    make_old_cluster();
    NO_ERR(embedded_start(dir, &e, &uri));
    NO_ERR(pg_command(as_role(uri, "postgres", "postgres"),
                      "CREATE ROLE concorde_rename SUPERUSER LOGIN"));
    NO_ERR(pg_command(as_role(uri, "postgres", "concorde"), "ALTER TABLE t OWNER TO postgres"));
    embedded_stop(e);
    NO_ERR(embedded_start(dir, &e, &uri));
    check_moved(uri);
    embedded_stop(e);
}

/* Starts the cluster in another process, which is then killed: the postmaster stays. */
static void start_and_be_killed(void)
{
    pid_t child = fork();
    if (child == 0) {
        struct embedded *e;
        const char *uri;
        if (embedded_start(dir, &e, &uri) || pg_command(uri, make_table) ||
            pg_command(uri, insert_row))
            _exit(1);
        kill(getpid(), SIGKILL);
    }
    int status;
    waitpid(child, &status, 0);
    assert_true(WIFSIGNALED(status));
}

static void a_cluster_left_running_is_taken_over(void **state)
{
    start_and_be_killed();
    pid_t left = pg_postmaster_in(dir);
    assert_true(lives(left));
    struct embedded *e;
    const char *uri;
    NO_ERR(embedded_start(dir, &e, &uri));
    assert_int_equal(pg_postmaster_in(dir), left);
    assert_int_equal(count_rows(uri), 1);

    kill(left, SIGKILL); /* not our child, but still ended */
    int64_t started = mono_ms();
    WAIT_UNTIL(!pg_command(uri, insert_row));
    assert_true(mono_ms() - started < 5000);
    assert_int_equal(count_rows(uri), 2);
    pid_t pid = pg_postmaster_in(dir);
    assert_int_not_equal(pid, left);
    embedded_stop(e);
    assert_false(lives(pid));
}

static void a_cluster_that_is_just_stopping_is_started_again(void **state)
{
    start_and_be_killed();
    kill(pg_postmaster_in(dir), SIGINT);
    struct embedded *e;
    const char *uri;
    NO_ERR(embedded_start(dir, &e, &uri));
    assert_int_equal(count_rows(uri), 1);
    embedded_stop(e);
}

static void a_pid_file_of_another_process_is_no_obstacle(void **state)
{
    start_and_be_killed();
    pid_t left = pg_postmaster_in(dir);
    kill(left, SIGKILL);
    WAIT_UNTIL(!lives(left));
    char command[600];
    snprintf(command, sizeof command, "sed -i '1s/.*/%d/' %s/postgres/data/postmaster.pid",
             (int)getppid(), dir);
    assert_int_equal(system(command), 0);
    struct embedded *e;
    const char *uri;
    NO_ERR(embedded_start(dir, &e, &uri));
    assert_int_equal(count_rows(uri), 1);
    embedded_stop(e);
}

static void acknowledged_rows_survive_every_kill(void **state)
{
    struct embedded *e;
    const char *uri;
    int acknowledged = 0;
    NO_ERR(embedded_start(dir, &e, &uri));
    NO_ERR(pg_command(uri, make_table));
    for (int i = 0; i < 20; i++) {
        WAIT_UNTIL(!pg_command(uri, insert_row));
        acknowledged++;
        for (int ms = 0; i % 5 == 4 && ms < 20 * (i % 3); ms++)
            wait_briefly();
        kill(pg_postmaster_in(dir), SIGKILL);
    }
    embedded_stop(e); /* perhaps in the middle of a start */
    NO_ERR(embedded_start(dir, &e, &uri));
    assert_true(count_rows(uri) >= acknowledged);
    embedded_stop(e);
}

static void a_busy_orphan_does_not_hold_up_the_next_start(void **state)
{
    struct embedded *e;
    const char *uri;
    NO_ERR(embedded_start(dir, &e, &uri));
    NO_ERR(pg_command(uri, make_table));
    PGconn *pg;
    NO_ERR(db_connect(uri, &pg));
    PQsendQuery(pg, "SELECT count(*) FROM generate_series(1, 1000000000) i"); /* only computes */
    PQflush(pg);
    char is_busy[120];
    snprintf(is_busy, sizeof is_busy,
             "SELECT 1 / count(*) FROM pg_stat_activity WHERE pid = %d AND state = 'active'",
             PQbackendPID(pg));
    WAIT_UNTIL(!pg_command(uri, is_busy));
    int64_t started = mono_ms();
    pid_t left = pg_postmaster_in(dir);
    kill(left, SIGKILL);
    WAIT_UNTIL(!lives(left));
    WAIT_UNTIL(!pg_command(uri, insert_row));
    assert_true(mono_ms() - started < 5000);
    PQfinish(pg);
    embedded_stop(e);
}

static void one_server_a_data_directory(void **state)
{
    struct embedded *e, *second;
    const char *uri;
    NO_ERR(embedded_start(dir, &e, &uri));
    const struct err *error = embedded_start(dir, &second, &uri);
    assert_non_null(error);
    assert_non_null(strstr(error->text, "Another server is using"));
    assert_true(lives(pg_postmaster_in(dir)));
    embedded_stop(e);
}

static void a_first_start_that_was_interrupted_is_begun_anew(void **state)
{
    struct embedded *e;
    const char *uri;
    NO_ERR(embedded_start(dir, &e, &uri));
    embedded_stop(e);
    char command[600];
    snprintf(command, sizeof command, "cd %s/postgres && mv data data.new && rm -r data.new/global",
             dir);
    assert_int_equal(system(command), 0);
    NO_ERR(embedded_start(dir, &e, &uri));
    NO_ERR(pg_command(uri, make_table));
    embedded_stop(e);
}

static void odd_and_long_paths_work(void **state)
{
    static const char *const rows[] = {
        "it's a \"path\" with \\ and more",
        "one, two",
        "a-path-that-is-longer-than-the-107-bytes-that-the-address-of-a-unix-socket-can-hold-"
        "whatever-one-does",
    };
    char top[64];
    snprintf(top, sizeof top, "%s", dir);
    assert_int_equal(chmod(top, 0755), 0);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char path[512];
        snprintf(path, sizeof path, "%s/%s", top, rows[i]);
        struct embedded *e;
        const char *uri;
        NO_ERR(embedded_start(path, &e, &uri));
        NO_ERR(pg_command(uri, make_table));
        if (i > 0) { /* the socket is in another folder: remove it */
            char socket_dir[200];
            assert_int_equal(sscanf(uri, "host='%199[^']'", socket_dir), 1);
            struct stat s;
            assert_int_equal(stat(socket_dir, &s), 0);
            assert_int_equal(s.st_mode & 0777, 0700);
            embedded_stop(e);
            rmdir(socket_dir);
        } else {
            embedded_stop(e);
        }
    }
}

static void a_way_that_is_closed_to_postgres_is_gone_around(void **state)
{
    if (geteuid() != 0)
        skip(); /* only root's PostgreSQL runs as another user */
    char data[300], link[320], elsewhere[256];
    assert_int_equal(chmod(dir, 0700), 0);
    snprintf(data, sizeof data, "%s/data", dir);
    snprintf(link, sizeof link, "%s/postgres", data);
    struct embedded *e;
    const char *uri;
    for (int i = 0; i < 2; i++) {
        NO_ERR(embedded_start(data, &e, &uri));
        if (i == 0)
            NO_ERR(pg_command(uri, make_table));
        assert_int_equal(count_rows(uri), 0);
        embedded_stop(e);
    }
    ssize_t n = readlink(link, elsewhere, sizeof elsewhere - 1);
    assert_true(n > 0);
    elsewhere[n] = '\0';
    assert_non_null(strstr(elsewhere, "/concorde-"));
    pg_remove_dir(elsewhere);
}

static void a_broken_configuration_is_an_error_that_says_why(void **state)
{
    struct embedded *e;
    const char *uri;
    NO_ERR(embedded_start(dir, &e, &uri));
    embedded_stop(e);
    char command[600];
    snprintf(command, sizeof command, "echo 'max_connections = many' >%s/postgres/data/local.conf",
             dir);
    assert_int_equal(system(command), 0);
    const struct err *error = embedded_start(dir, &e, &uri);
    assert_non_null(error);
    assert_non_null(strstr(error->text, "PostgreSQL does not start"));
    assert_non_null(strstr(error->text, "local.conf"));
}

int main(void)
{
#define IN_A_DIR(f) cmocka_unit_test_setup_teardown(f, make_dir, remove_dir)
#define ON_A_COPY(f) cmocka_unit_test_setup_teardown(f, copy_template, remove_dir)
    const struct CMUnitTest tests[] = {
        IN_A_DIR(a_cluster_is_made_once_and_keeps_its_data),
        ON_A_COPY(it_is_durable_private_and_utf8),
        ON_A_COPY(the_server_is_an_ordinary_role),
        ON_A_COPY(an_old_cluster_is_moved),
        ON_A_COPY(a_move_that_was_interrupted_is_finished),
        ON_A_COPY(a_cluster_left_running_is_taken_over),
        ON_A_COPY(a_cluster_that_is_just_stopping_is_started_again),
        ON_A_COPY(a_pid_file_of_another_process_is_no_obstacle),
        ON_A_COPY(acknowledged_rows_survive_every_kill),
        ON_A_COPY(a_busy_orphan_does_not_hold_up_the_next_start),
        ON_A_COPY(one_server_a_data_directory),
        ON_A_COPY(a_first_start_that_was_interrupted_is_begun_anew),
        IN_A_DIR(odd_and_long_paths_work),
        IN_A_DIR(a_way_that_is_closed_to_postgres_is_gone_around),
        ON_A_COPY(a_broken_configuration_is_an_error_that_says_why),
    };
    return cmocka_run_group_tests(tests, make_template, remove_template);
}
