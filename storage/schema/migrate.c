#include "storage/schema/migrate.h"

#include "base/clock.h"
#include "storage/db/db_connection.h"
#include "storage/db/db_wait.h"

#include <stdio.h>
#include <stdlib.h>

/* Held while migrating: nodes that start together migrate one after the other. The number is
 * arbitrary. */
static const char lock_sql[] = "SET statement_timeout = 0; SELECT pg_advisory_lock(4205070201)";

static const char table_sql[] = "CREATE TABLE IF NOT EXISTS schema_migrations ("
                                "number int PRIMARY KEY, name text NOT NULL,"
                                "applied_at timestamptz NOT NULL DEFAULT now())";

/* Until migration 165 the table has no column `needs`. */
static const char applied_sql[] =
    "SELECT number, name, COALESCE((to_jsonb(m)->>'needs')::int, number) FROM schema_migrations m "
    "ORDER BY number";
enum { COLUMN_NUMBER, COLUMN_NAME, COLUMN_NEEDS };

static const char record_sql[] = "INSERT INTO schema_migrations (number, name) VALUES ($1, $2)";

static const struct err *migrate_run(PGconn *pg, const char *sql, const char *what)
{
    return db_ask(pg, sql, DB_MIGRATION_LIMIT_MS, what, NULL);
}

static const struct err *check_encoding(PGconn *pg)
{
    const char *encoding = PQparameterStatus(pg, "server_encoding");
    if (encoding && strcmp(encoding, "UTF8") == 0)
        return NULL;
    return err(ERR_INTERNAL,
               "The database's encoding is %s; it must be UTF8: create it with CREATE DATABASE "
               "... ENCODING 'UTF8' LOCALE 'C' TEMPLATE template0",
               encoding ? encoding : "unknown");
}

static int migrate_newest_of(const struct migration *list)
{
    int newest = 0;
    for (; list->name; list++)
        newest = list->number;
    return newest;
}

int migrate_newest(void)
{
    return migrate_newest_of(migrations);
}

/* Of a contract step: what all servers must know before it runs. 0: the migration is none. */
static int migration_needs(const struct migration *m)
{
    int needs;
    return sscanf(m->sql, "-- contract: needs %d", &needs) == 1 ? needs : 0;
}

static int column_of(const PGresult *applied, int row, int column)
{
    return atoi(PQgetvalue(applied, row, column));
}

static const struct err *check_not_newer(const PGresult *applied, int newest)
{
    for (int i = 0; i < PQntuples(applied); i++)
        if (column_of(applied, i, COLUMN_NUMBER) > newest &&
            column_of(applied, i, COLUMN_NEEDS) > newest)
            return err(ERR_INTERNAL,
                       "The database was migrated by a newer version of this program (migration "
                       "%s; this one knows them up to %d). Start the newer version, or restore a "
                       "backup made before the upgrade",
                       PQgetvalue(applied, i, COLUMN_NAME), newest);
    return NULL;
}

static bool is_applied(const PGresult *applied, int number)
{
    for (int i = 0; i < PQntuples(applied); i++)
        if (column_of(applied, i, COLUMN_NUMBER) == number)
            return true;
    return false;
}

static const struct err *migrate_record(PGconn *pg, const struct migration *m)
{
    char number[16];
    snprintf(number, sizeof number, "%d", m->number);
    const char *values[] = {number, m->name};
    bool late = false;
    PGresult *result = NULL;
    if (PQsendQueryParams(pg, record_sql, 2, NULL, values, NULL, NULL, 0))
        result = db_wait_last(pg, mono_unmoved_ms() + DB_LIMIT_MS, &late);
    const struct err *e = late                        ? db_late(m->name)
                          : db_result_is_good(result) ? NULL
                                                      : db_result_error(pg, result, m->name);
    PQclear(result);
    return e;
}

/* May this contract step run? Until the transaction ends no server registers (node_register()). */
static const struct err *ask_for_older_nodes(PGconn *pg, int needs, bool *ret_any)
{
    char sql[200];
    PGresult *older;
    snprintf(sql, sizeof sql,
             "SELECT FROM nodes WHERE known_migration < %d "
             "AND seen_at >= clock_timestamp() - interval '8 seconds'",
             needs); /* NODE_DEAD_MS */
    TRY(migrate_run(pg, "LOCK TABLE nodes IN SHARE MODE", "nodes"));
    TRY(db_ask(pg, sql, DB_LIMIT_MS, "nodes", &older));
    *ret_any = PQntuples(older);
    PQclear(older);
    return NULL;
}

static const struct err *note_needs(PGconn *pg, const struct migration *m)
{
    char sql[120];
    snprintf(sql, sizeof sql, "UPDATE schema_migrations SET needs = %d WHERE number = %d",
             migration_needs(m), m->number);
    return migrate_run(pg, sql, m->name);
}

/* *ret_done: false: a contract step that must wait. */
static const struct err *migrate_apply(PGconn *pg, const struct migration *m, bool *ret_done)
{
    int needs = migration_needs(m);
    bool has_older = false;
    *ret_done = false;
    TRY(migrate_run(pg, "BEGIN", "BEGIN"));
    if (needs)
        TRY(ask_for_older_nodes(pg, needs, &has_older));
    if (has_older)
        return migrate_run(pg, "ROLLBACK", m->name);
    TRY(migrate_run(pg, m->sql, m->name));
    TRY(migrate_record(pg, m));
    if (needs)
        TRY(note_needs(pg, m));
    TRY(migrate_run(pg, "COMMIT", m->name));
    *ret_done = true;
    return NULL;
}

/* Older programs may use the database with these. */
static const struct err *note_expansions(PGconn *pg, int newest)
{
    char sql[120];
    snprintf(sql, sizeof sql,
             "UPDATE schema_migrations SET needs = 0 WHERE needs IS NULL AND number <= %d", newest);
    return migrate_run(pg, sql, "schema_migrations");
}

static const struct err *apply_missing(PGconn *pg, const struct migration *list,
                                       const PGresult *applied, int *count)
{
    TRY(check_not_newer(applied, migrate_newest_of(list)));
    for (const struct migration *m = list; m->name; m++) {
        bool done = false;
        if (!is_applied(applied, m->number))
            TRY(migrate_apply(pg, m, &done));
        *count += done;
    }
    return note_expansions(pg, migrate_newest_of(list));
}

/* After an error the lock and the transaction end with the connection. */
static const struct err *migrate_on(PGconn *pg, const struct migration *list, int *count)
{
    TRY(check_encoding(pg));
    TRY(migrate_run(pg, lock_sql, "the migrations' lock"));
    TRY(migrate_run(pg, table_sql, "schema_migrations"));
    PGresult *applied;
    TRY(db_ask(pg, applied_sql, DB_LIMIT_MS, "schema_migrations", &applied));
    const struct err *e = apply_missing(pg, list, applied, count);
    PQclear(applied);
    return e;
}

static const struct err *check_current(const PGresult *applied)
{
    TRY(check_not_newer(applied, migrate_newest()));
    for (const struct migration *m = migrations; m->name; m++)
        if (!is_applied(applied, m->number) && !migration_needs(m))
            return err(ERR_INTERNAL,
                       "The database is not up to date (%s is missing): the start of "
                       "`concorde serve` brings it there",
                       m->name);
    return NULL;
}

static const struct err *check_on(PGconn *pg)
{
    PGresult *there, *applied;
    TRY(db_ask(pg, "SELECT FROM pg_class WHERE oid = to_regclass('schema_migrations')", DB_LIMIT_MS,
               "schema_migrations", &there));
    bool any = PQntuples(there);
    PQclear(there);
    if (!any)
        return err(ERR_INTERNAL,
                   "No server has used this database yet: start `concorde serve` first");
    TRY(db_ask(pg, applied_sql, DB_LIMIT_MS, "schema_migrations", &applied));
    const struct err *e = check_current(applied);
    PQclear(applied);
    return e;
}

const struct err *migrate_check(const char *uri)
{
    PGconn *pg;
    TRY(db_connect(uri, &pg));
    const struct err *e = check_on(pg);
    PQfinish(pg);
    return e;
}

const struct err *migrate_by(const struct migration *list, const char *uri, int *ret_applied)
{
    PGconn *pg;
    TRY(db_connect(uri, &pg));
    int count = 0;
    const struct err *e = migrate_on(pg, list, &count);
    PQfinish(pg);
    if (!e && ret_applied)
        *ret_applied = count;
    return e;
}

const struct err *migrate(const char *uri, int *ret_applied)
{
    return migrate_by(migrations, uri, ret_applied);
}
