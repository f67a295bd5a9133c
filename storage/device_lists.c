#include "storage/device_lists.h"

#include "storage/device_lists.h"

SQL(device_lists_sql, "INSERT INTO device_list_changes (\"user\", position) "
                      "SELECT u.who, (SELECT position FROM log_head) - u.back "
                      "FROM unnest($1::bigint[], $2::bigint[]) AS u(who, back) "
                      "ON CONFLICT (\"user\") DO UPDATE SET position = excluded.position")
static const struct batch_table device_lists_table = {
    .sql = &device_lists_sql,
    .columns = {DB_INT8, DB_POSITION},
    .columns_n = 2,
    .order = BATCH_OTHER,
    .key_columns = 1,
};

void device_lists_write(struct write *w, int64_t user, int at)
{
    write_row(w, &device_lists_table, P(INT(user), POSITION(at)));
}
