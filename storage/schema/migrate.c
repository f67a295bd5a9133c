#include "storage/schema/migrate.h"

#include "base/clock.h"
#include "storage/db/db_connection.h"
#include "storage/db/db_wait.h"

#include <stdlib.h>

/* Held while migrating: nodes that start together migrate one after the other. The number is
 * arbitrary. */
static const char lock_sql[] = "SET statement_timeout = 0; SELECT pg_advisory_lock(4205070201)";

static const char table_sql[] = "CREATE TABLE IF NOT EXISTS schema_migrations ("
                                "number int PRIMARY KEY, name text NOT NULL,"
                                "applied_at timestamptz NOT NULL DEFAULT now())";

static const char applied_sql[] = "SELECT number, name FROM schema_migrations ORDER BY number";

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

int migrate_newest(void)
{
    int newest = 0;
    for (const struct migration *m = migrations; m->name; m++)
        newest = m->number;
    return newest;
}

static const struct err *check_not_newer(const PGresult *applied)
{
    for (int i = 0; i < PQntuples(applied); i++)
        if (atoi(PQgetvalue(applied, i, 0)) > migrate_newest())
            return err(ERR_INTERNAL,
                       "The database was migrated by a newer version of this program (migration "
                       "%s; this one knows them up to %d). Start the newer version, or restore a "
                       "backup made before the upgrade",
                       PQgetvalue(applied, i, 1), migrate_newest());
    return NULL;
}

static bool is_applied(const PGresult *applied, int number)
{
    for (int i = 0; i < PQntuples(applied); i++)
        if (atoi(PQgetvalue(applied, i, 0)) == number)
            return true;
    return false;
}

static const struct err *migrate_apply(PGconn *pg, const struct migration *m)
{
    TRY(migrate_run(pg, "BEGIN", "BEGIN"));
    TRY(migrate_run(pg, m->sql, m->name));
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
    TRY(e);
    return migrate_run(pg, "COMMIT", m->name);
}

static const struct err *apply_missing(PGconn *pg, const PGresult *applied, int *count)
{
    TRY(check_not_newer(applied));
    for (const struct migration *m = migrations; m->name; m++) {
        if (is_applied(applied, m->number))
            continue;
        TRY(migrate_apply(pg, m));
        ++*count;
    }
    return NULL;
}

/* After an error the lock and the transaction end with the connection. */
static const struct err *migrate_on(PGconn *pg, int *count)
{
    TRY(check_encoding(pg));
    TRY(migrate_run(pg, lock_sql, "the migrations' lock"));
    TRY(migrate_run(pg, table_sql, "schema_migrations"));
    PGresult *applied;
    TRY(db_ask(pg, applied_sql, DB_LIMIT_MS, "schema_migrations", &applied));
    const struct err *e = apply_missing(pg, applied, count);
    PQclear(applied);
    return e;
}

static const struct err *check_current(const PGresult *applied)
{
    TRY(check_not_newer(applied));
    for (const struct migration *m = migrations; m->name; m++)
        if (!is_applied(applied, m->number))
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

const struct err *migrate(const char *uri, int *ret_applied)
{
    PGconn *pg;
    TRY(db_connect(uri, &pg));
    int count = 0;
    const struct err *e = migrate_on(pg, &count);
    PQfinish(pg);
    if (!e && ret_applied)
        *ret_applied = count;
    return e;
}
