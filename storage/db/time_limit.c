#include "storage/db/time_limit.h"

#include <assert.h>

/* Statements that are sent together are one transaction, and the settings are local to it. */
SQL(time_limit_sql, "SELECT set_config('statement_timeout', $1, true), "
                    "set_config('plan_cache_mode', 'force_custom_plan', true)")

const struct err *time_limit_query_many(struct tx *tx, int64_t limit_ms,
                                        const struct db_batch_query *queries, size_t n)
{
    assert(!tx->in_transaction);
    struct rows set;
    const struct db_param limit =
        TEXT(arena_printf(tx->arena, "%lldms", (long long)(limit_ms > 1 ? limit_ms : 1)));
    struct db_batch_query *all = arena_alloc_array(tx->arena, n + 1, sizeof *all);
    all[0] = (struct db_batch_query){&time_limit_sql, &limit, 1, &set};
    for (size_t i = 0; i < n; i++)
        all[i + 1] = queries[i];
    return db_query_many(tx, all, n + 1);
}

const struct err *time_limit_query(struct tx *tx, int64_t limit_ms, struct sql *s,
                                   const struct db_param *params, size_t params_n, struct rows *ret)
{
    const struct db_batch_query query = {s, params, params_n, ret};
    return time_limit_query_many(tx, limit_ms, &query, 1);
}
