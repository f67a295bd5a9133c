#include "storage/db/log.h"

SQL(log_position_sql, "SELECT position FROM log_head")
const struct err *log_position(struct tx *tx, int64_t *ret)
{
    return db_one(tx, &log_position_sql, NO_PARAMS, NULL, R(INT_OUT(ret)));
}
