/* Ownership in the embedded cluster: the superuser is "postgres", which only this file uses; the
 * database and its objects belong to "concorde", an ordinary role, as which the server connects. So
 * an injected statement could not reach files or programs. */
#include "storage/embedded/embedded_roles.h"

#include "storage/db/db_connection.h"
#include "storage/db/db_wait.h"

#include <string.h>

static const struct err *embedded_roles_run(PGconn *pg, const char *sql)
{
    return db_ask(pg, sql, DB_BACKGROUND_LIMIT_MS, "the database's roles", NULL);
}

static const struct err *run_as(const struct cluster *c, const char *role, const char *database,
                                const char *sql)
{
    PGconn *pg;
    TRY(db_connect(cluster_uri(c, role, database), &pg));
    const struct err *e = embedded_roles_run(pg, sql);
    PQfinish(pg);
    return e;
}

/* ---- old clusters, whose superuser is called "concorde" ---- */

/* A role cannot rename itself, so a helper role does. A crash may happen after each step. */
static const char add_helper[] =
    "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'concorde_rename') THEN "
    "CREATE ROLE concorde_rename SUPERUSER LOGIN; END IF; END $$";
static const char rename_superuser[] = "ALTER ROLE concorde RENAME TO postgres";
static const char drop_helper[] = "DROP ROLE IF EXISTS concorde_rename";

static const struct err *rename_if_old(const struct cluster *c)
{
    PGconn *pg;
    if (!db_connect(cluster_uri(c, "postgres", "postgres"), &pg)) {
        PQfinish(pg);
        return NULL;
    }
    TRY(run_as(c, "concorde", "postgres", add_helper));
    return run_as(c, "concorde_rename", "postgres", rename_superuser);
}

/* ---- the ordinary role and what belongs to it ---- */

static const char add_role[] =
    "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'concorde') THEN "
    "CREATE ROLE concorde LOGIN; END IF; END $$";

/* Without sequences of columns, row types and array types, which follow their tables and types. */
static const char give_objects[] =
    "DO $$ DECLARE what text; BEGIN "
    "FOR what IN "
    "SELECT format('TABLE %s', c.oid::regclass) FROM pg_class c "
    "WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'S') "
    "AND c.relowner <> 'concorde'::regrole AND NOT EXISTS (SELECT FROM pg_depend d "
    "WHERE d.objid = c.oid AND d.classid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')) "
    "UNION ALL SELECT format('ROUTINE %s', p.oid::regprocedure) FROM pg_proc p "
    "WHERE p.pronamespace = 'public'::regnamespace AND p.proowner <> 'concorde'::regrole "
    "UNION ALL SELECT format('TYPE %s', t.oid::regtype) FROM pg_type t "
    "WHERE t.typnamespace = 'public'::regnamespace AND t.typtype IN ('e', 'd') "
    "AND t.typowner <> 'concorde'::regrole "
    "LOOP EXECUTE 'ALTER ' || what || ' OWNER TO concorde'; END LOOP; END $$";

static const struct err *has_database(PGconn *pg, bool *ret)
{
    PGresult *result;
    TRY(db_ask(pg, "SELECT FROM pg_database WHERE datname = 'concorde'", DB_LIMIT_MS, "pg_database",
               &result));
    *ret = PQntuples(result) == 1;
    PQclear(result);
    return NULL;
}

static const struct err *embedded_roles_prepare(PGconn *pg)
{
    bool exists;
    TRY(embedded_roles_run(pg, drop_helper));
    TRY(embedded_roles_run(pg, add_role));
    TRY(has_database(pg, &exists));
    return embedded_roles_run(pg, exists ? "ALTER DATABASE concorde OWNER TO concorde"
                                         : "CREATE DATABASE concorde OWNER concorde");
}

const struct err *embedded_prepare_roles(const struct cluster *c)
{
    PGconn *pg;
    TRY(rename_if_old(c));
    TRY(db_connect(cluster_uri(c, "postgres", "postgres"), &pg));
    const struct err *e = embedded_roles_prepare(pg);
    PQfinish(pg);
    TRY(e);
    return run_as(c, "postgres", "concorde", give_objects);
}
