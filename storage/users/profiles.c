#include "storage/users/profiles.h"

#include "base/json.h"
#include "base/text.h"
#include "matrix/json_scan.h"
#include "storage/rooms/sql_numbers.h"

SQL(profile_get_sql, "SELECT fields, position FROM profiles WHERE \"user\" = $1")

const struct err *profile_get(struct tx *tx, int64_t user, struct profile *ret)
{
    struct profile p = {.fields = STR("{}")};
    struct str fields;
    bool found;
    TRY(db_one(tx, &profile_get_sql, P(INT(user)), &found,
               R(BYTES_OUT(&fields), INT_OUT(&p.position))));
    if (found) {
        json_t *o;
        TRY(json_read_own(tx->arena, fields, &o));
        p.fields = fields;
        p.displayname = json_text(o, "displayname");
        p.avatar_url = json_text(o, "avatar_url");
    }
    *ret = p;
    return NULL;
}

SQL(profile_of_member_sql,
    "SELECT COALESCE(p.fields, '{}'), EXISTS (SELECT FROM account_data d WHERE d.\"user\" = $1 "
    "AND d.room = 0 AND d.type = 'm.push_rules'), "
    "(SELECT count(*) FROM (SELECT FROM room_members m WHERE m.\"user\" = $1 "
    " AND m.membership IN (" MEMBERSHIP_JOIN_SQL ", " MEMBERSHIP_KNOCK_SQL ") LIMIT $2) r), "
    "(SELECT count(*) FROM (SELECT FROM rooms WHERE source = $1 LIMIT $3) n) "
    "FROM (VALUES ($1::int8)) u(id) LEFT JOIN profiles p ON p.\"user\" = u.id")

const struct err *profile_of_member(struct tx *tx, int64_t user, int64_t rooms_max,
                                    int64_t made_max, struct member_profile *ret)
{
    struct member_profile m = {0};
    json_t *o;
    TRY(db_one(tx, &profile_of_member_sql, P(INT(user), INT(rooms_max), INT(made_max)), NULL,
               R(BYTES_OUT(&m.profile.fields), BOOL_OUT(&m.has_own_rules), INT_OUT(&m.rooms),
                 INT_OUT(&m.made))));
    TRY(json_read(tx->arena, m.profile.fields, &o));
    m.profile.displayname = json_text(o, "displayname");
    m.profile.avatar_url = json_text(o, "avatar_url");
    *ret = m;
    return NULL;
}

const char *profile_search_name(struct arena *a, struct str displayname)
{
    struct str name = json_scan_str(a, displayname);
    if (!name.n || name.n > TEXT_BYTES_MAX)
        return "";
    name = text_fold(a, name);
    char *text = str_dup(a, name);
    for (size_t i = 0; i < name.n; i++)
        if (!text[i]) /* PostgreSQL's text cannot have NUL */
            text[i] = ' ';
    return text;
}

SQL(profile_write_sql,
    "WITH written AS ("
    "INSERT INTO profiles (\"user\", fields, position, search_name) "
    "VALUES ($1, $2, log_at($3), $5) ON CONFLICT (\"user\") DO UPDATE SET "
    "fields = excluded.fields, position = excluded.position, search_name = excluded.search_name "
    "WHERE profiles.position = $4 OR $4 < 0 RETURNING 1) "
    "SELECT expect_rows((SELECT count(*) FROM written), 1)")

void profile_write(struct write *w, int64_t user, struct str fields, int64_t seen, int at)
{
    const char *name = profile_search_name(write_arena(w), json_scan_get(fields, "displayname"));
    write_statement(w, &profile_write_sql,
                    P(INT(user), BYTES(fields), POSITION(at), INT(seen), TEXT(name)));
}

/* ---- names that are not folded, or were by another version ---- */

SQL(profiles_page_sql,
    "SELECT \"user\", position, fields, search_name, grams IS NULL FROM profiles "
    "WHERE \"user\" > $1 ORDER BY \"user\" LIMIT $2")
SQL(profiles_set_names_sql,
    "UPDATE profiles p SET search_name = u.name "
    "FROM unnest($1::int8[], $2::int8[], $3::text[]) u(\"user\", position, name) "
    "WHERE p.\"user\" = u.\"user\" AND p.position = u.position")

const struct err *profiles_fold_names(struct tx *tx, int64_t *after, int64_t limit, bool *ret_more)
{
    struct rows rows;
    TRY(db_query(tx, &profiles_page_sql, P(INT(*after), INT(limit)), &rows));
    size_t n = 0, cap = (size_t)rows.n + 1;
    int64_t *users = arena_alloc_array(tx->arena, cap, sizeof *users);
    int64_t *positions = arena_alloc_array(tx->arena, cap, sizeof *positions);
    const char **names = arena_alloc_array(tx->arena, cap, sizeof *names);
    *ret_more = rows.n == limit;
    while (rows_next(&rows)) {
        struct str fields = row_bytes(&rows, 2);
        const char *kept = row_text(&rows, 3);
        const char *name = profile_search_name(tx->arena, json_scan_get(fields, "displayname"));
        *after = row_int(&rows, 0);
        bool has_grams = !row_bool(&rows, 4); /* the update makes them */
        if (has_grams && kept && strcmp(kept, name) == 0)
            continue;
        users[n] = *after;
        positions[n] = row_int(&rows, 1);
        names[n++] = name;
    }
    if (!n)
        return NULL;
    return db_exec(tx, &profiles_set_names_sql,
                   P(INT_ARRAY(users, n), INT_ARRAY(positions, n), TEXT_ARRAY(names, n)), NULL);
}
