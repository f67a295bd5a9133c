#include "storage/profiles.h"

#include "base/json.h"

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
        TRY(json_read(tx->arena, fields, &o));
        p.fields = fields;
        p.displayname = json_text(o, "displayname");
        p.avatar_url = json_text(o, "avatar_url");
    }
    *ret = p;
    return NULL;
}

SQL(profile_write_sql,
    "WITH written AS ("
    "INSERT INTO profiles (\"user\", fields, position) VALUES ($1, $2, log_at($3)) "
    "ON CONFLICT (\"user\") DO UPDATE SET fields = excluded.fields, position = excluded.position "
    "WHERE profiles.position = $4 OR $4 < 0 RETURNING 1) "
    "SELECT expect_rows((SELECT count(*) FROM written), 1)")

void profile_write(struct write *w, int64_t user, struct str fields, int64_t seen, int at)
{
    write_statement(w, &profile_write_sql, P(INT(user), BYTES(fields), POSITION(at), INT(seen)));
}
