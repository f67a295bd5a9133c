/* A PostgreSQL for a unit test: an embedded cluster in a temporary directory, started at the first
 * use and gone at the program's end; or, when CONCORDE_TEST_DATABASE is set, a fresh database on
 * that server. */
#ifndef TESTS_PG_FIXTURE_H
#define TESTS_PG_FIXTURE_H

#include "storage/db/db.h"
#include "storage/db/db_connection.h"
#include "storage/embedded/embedded.h"
#include "storage/schema/migrate.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define NO_ERR(call)                                                                               \
    do {                                                                                           \
        const struct err *no_err_ = (call);                                                        \
        if (no_err_)                                                                               \
            fail_msg("%s: %s (%s)", #call, no_err_->text, no_err_->cause);                         \
    } while (0)

static struct {
    char dir[64];
    char uri[512], admin_uri[512], name[64];
    struct embedded *embedded;
    struct db *db;
} pg_fixture_;

/* The folder for databases that tests/scratch.sh sets. */
static inline void pg_make_dir(const char *name, size_t max, char *ret)
{
    const char *scratch = getenv("TEST_SCRATCH");
    snprintf(ret, max, "%s/concorde-%s-XXXXXX", scratch ? scratch : "/tmp", name);
    if (!mkdtemp(ret))
        abort();
}

static inline void pg_remove_dir(const char *dir)
{
    char command[512];
    snprintf(command, sizeof command, "rm -rf '%s'", dir);
    if (system(command) != 0)
        fprintf(stderr, "%s: failed\n", command);
}

static inline void pg_must(const char *doing, const struct err *e)
{
    if (!e)
        return;
    fprintf(stderr, "pg_fixture: %s: %s (%s)\n", doing, e->text, e->cause);
    exit(1);
}

/* Runs a command on a separate connection. */
static inline const struct err *pg_command(const char *uri, const char *sql)
{
    PGconn *pg;
    TRY(db_connect(uri, &pg));
    PGresult *result = PQexec(pg, sql);
    const struct err *e = db_result_is_good(result) ? NULL : db_result_error(pg, result, sql);
    PQclear(result);
    PQfinish(pg);
    return e;
}

static inline void pg_finish_(void)
{
    db_close(pg_fixture_.db);
    if (pg_fixture_.embedded) {
        embedded_stop(pg_fixture_.embedded);
        pg_remove_dir(pg_fixture_.dir);
    } else if (pg_fixture_.admin_uri[0]) {
        char sql[128];
        snprintf(sql, sizeof sql, "DROP DATABASE %s WITH (FORCE)", pg_fixture_.name);
        pg_must(sql, pg_command(pg_fixture_.admin_uri, sql));
    }
}

/* CONCORDE_TEST_DATABASE with another database's name at its end, which wins. */
static inline void pg_use_server_(const char *admin_uri)
{
    char sql[256];
    snprintf(pg_fixture_.admin_uri, sizeof pg_fixture_.admin_uri, "%s", admin_uri);
    snprintf(pg_fixture_.name, sizeof pg_fixture_.name, "concorde_unit_%d", (int)getpid());
    snprintf(sql, sizeof sql, "CREATE DATABASE %s ENCODING 'UTF8' LOCALE 'C' TEMPLATE template0",
             pg_fixture_.name);
    pg_must(sql, pg_command(admin_uri, sql));
    const char *join = strstr(admin_uri, "://") ? strchr(admin_uri, '?') ? "&" : "?" : " ";
    snprintf(pg_fixture_.uri, sizeof pg_fixture_.uri, "%s%sdbname=%s", admin_uri, join,
             pg_fixture_.name);
}

/* The server's role has few rights; tests need to make databases with it. */
static inline void pg_let_make_databases_(const char *uri)
{
    char admin[512]; /* of settings given twice the last one counts */
    snprintf(admin, sizeof admin, "%s user=postgres", uri);
    pg_must("ALTER ROLE", pg_command(admin, "ALTER ROLE concorde CREATEDB"));
}

static inline const char *pg_uri(void)
{
    if (pg_fixture_.uri[0])
        return pg_fixture_.uri;
    const char *given = getenv("CONCORDE_TEST_DATABASE");
    if (given) {
        pg_use_server_(given);
    } else {
        const char *uri;
        pg_make_dir("unit", sizeof pg_fixture_.dir, pg_fixture_.dir);
        pg_must("embedded_start", embedded_start(pg_fixture_.dir, &pg_fixture_.embedded, &uri));
        snprintf(pg_fixture_.uri, sizeof pg_fixture_.uri, "%s", uri);
        pg_let_make_databases_(uri);
    }
    atexit(pg_finish_);
    return pg_fixture_.uri;
}

/* A pool of eight on that database, migrated. */
static inline struct db *pg_db(void)
{
    if (pg_fixture_.db)
        return pg_fixture_.db;
    pg_must("migrate", migrate(pg_uri(), NULL));
    pg_must("db_open", db_open(pg_uri(), 8, &pg_fixture_.db));
    return pg_fixture_.db;
}

/* The postmaster of an embedded cluster under this data directory; 0: there is none. */
static inline pid_t pg_postmaster_in(const char *data_dir)
{
    char path[256];
    int pid = 0;
    snprintf(path, sizeof path, "%s/postgres/data/postmaster.pid", data_dir);
    FILE *f = fopen(path, "re");
    if (!f)
        return 0;
    if (fscanf(f, "%d", &pid) != 1)
        pid = 0;
    fclose(f);
    return pid;
}

#endif
