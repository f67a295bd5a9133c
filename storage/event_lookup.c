#include "storage/event_lookup.h"

#include "storage/event_rows.h"

SQL(events_find_many_sql, EVENT_SELECT "WHERE e.event_id = ANY($2) AND e.room = $1")

const struct err *events_find_many(struct tx *tx, int64_t room, const struct room_version *v,
                                   const char *const *ids, size_t n,
                                   const struct stored_event **ret, size_t *ret_n)
{
    struct str *bytes = arena_alloc_array(tx->arena, n + 1, sizeof *bytes);
    size_t bytes_n = 0;
    for (size_t i = 0; i < n; i++) {
        struct str id = event_id_to_bytes(tx->arena, v, ids[i]);
        if (id.p)
            bytes[bytes_n++] = id;
    }
    return event_rows(tx, &events_find_many_sql, P(INT(room), BYTES_ARRAY(bytes, bytes_n)), ret,
                      ret_n);
}
