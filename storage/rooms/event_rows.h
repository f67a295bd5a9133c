/* Reading rows of the events table into struct stored_event: shared by the files of storage/ that
 * select events in their own ways. */
#ifndef STORAGE_ROOMS_EVENT_ROWS_H
#define STORAGE_ROOMS_EVENT_ROWS_H

#include "storage/rooms/events.h"
#include "storage/rooms/sql_numbers.h"

/* Every such query starts with these columns from `events e` joined with its room. */
#define EVENT_COLUMNS                                                                              \
    "e.position, e.room, e.sender, e.type, e.thread, e.notify_total, e.highlight_total, "          \
    "e.redacted_by, e.client_device, e.client_txn, e.is_state, e.event_id, e.json, "               \
    "r.room_version, e.status, CASE WHEN e.type = " TYPE_REDACTION_SQL                             \
    " THEN EXISTS (SELECT FROM pending_redactions "                                                \
    "w "                                                                                           \
    "WHERE w.redaction = e.event_id) ELSE false END "
enum { EVENT_COLUMNS_N = 16 };
#define EVENT_SELECT "SELECT " EVENT_COLUMNS "FROM events e JOIN rooms r ON r.id = e.room "

const struct err *event_rows(struct tx *tx, struct sql *s, const struct db_param *params, size_t n,
                             const struct stored_event **ret, size_t *ret_n);
const struct err *event_rows_one(struct tx *tx, struct sql *s, const struct db_param *params,
                                 size_t n, const struct stored_event **ret);
/* For results of db_query_many. Frees the rows. */
const struct err *event_rows_read(struct tx *tx, struct rows *rows, const struct stored_event **ret,
                                  size_t *ret_n);

/* The current row of rows_next; columns after EVENT_COLUMNS are the caller's. */
const struct err *event_rows_read_one(struct arena *a, const struct rows *r,
                                      struct stored_event *ret);

/* The database bytes of an event id whose room version is unknown; p == NULL when it cannot be an
 * event id. */
struct str event_id_any_to_bytes(struct arena *a, const char *event_id);

#endif
