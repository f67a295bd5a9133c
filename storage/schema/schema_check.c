#include "storage/schema/schema_check.h"

enum { OBJECTS_MAX = 4096, NAMED_MAX = 4 };

/* Only what the migrations contain literally: PostgreSQL's versions print the rest of a definition
 * differently. */
#define OBJECTS                                                                                    \
    "SELECT CASE c.relkind WHEN 'r' THEN 'table ' WHEN 'S' THEN 'sequence ' ELSE 'index ' END "    \
    " || c.relname AS name FROM pg_class c LEFT JOIN pg_index i ON i.indexrelid = c.oid "          \
    "WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'S', 'i') "              \
    "AND i.indisvalid IS NOT FALSE "                                                               \
    "UNION ALL "                                                                                   \
    "SELECT 'column ' || c.relname || '.' || a.attname || ' ' "                                    \
    " || format_type(a.atttypid, a.atttypmod) "                                                    \
    " || CASE WHEN a.attnotnull THEN ' not null' ELSE '' END "                                     \
    " || CASE WHEN a.attgenerated <> '' THEN ' generated' "                                        \
    "    WHEN a.atthasdef THEN ' default' ELSE '' END "                                            \
    "FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid "                                   \
    "WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' "                           \
    "AND a.attnum > 0 AND NOT a.attisdropped "                                                     \
    "UNION ALL "                                                                                   \
    "SELECT 'function ' || p.proname || '(' || pg_get_function_identity_arguments(p.oid) || ')' "  \
    "FROM pg_proc p WHERE p.pronamespace = 'public'::regnamespace"

SQL(schema_missing_sql,
    "SELECT name FROM (SELECT name FROM unnest($1::text[]) wanted(name) EXCEPT "
    " SELECT name FROM (" OBJECTS ") there) missing ORDER BY name NOT LIKE 'table %', name")
SQL(schema_list_sql, "SELECT name FROM (" OBJECTS ") there ORDER BY name COLLATE \"C\"")

static size_t split_lines(struct arena *a, const char *text, const char **ret)
{
    size_t n = 0;
    for (const char *at = text; *at && n < OBJECTS_MAX;) {
        size_t length = strcspn(at, "\n");
        ret[n++] = arena_memdup(a, at, length);
        at += length + (at[length] == '\n');
    }
    return n;
}

const struct err *schema_check(struct tx *tx)
{
    const char **wanted = arena_alloc_array(tx->arena, OBJECTS_MAX, sizeof *wanted);
    size_t n = split_lines(tx->arena, schema_objects, wanted);
    struct rows missing;
    buf_auto struct buf names = {0};
    TRY(db_query(tx, &schema_missing_sql, P(TEXT_ARRAY(wanted, n)), &missing));
    if (!missing.n)
        return NULL;
    while (rows_next(&missing) && missing.row < NAMED_MAX)
        buf_printf(&names, "%s%s", names.n ? ", " : "", row_text(&missing, 0));
    return err(ERR_INTERNAL,
               "The database is incomplete, %d things are missing: %.100s. Restore the backup into "
               "an empty database, all of it (docs/operations.md, Backup)",
               missing.n, buf_str(&names).p);
}

const struct err *schema_list(struct tx *tx, struct buf *ret)
{
    struct rows rows;
    TRY(db_query(tx, &schema_list_sql, NO_PARAMS, &rows));
    while (rows_next(&rows))
        buf_printf(ret, "%s\n", row_text(&rows, 0));
    return NULL;
}
