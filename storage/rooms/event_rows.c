#include "storage/rooms/event_rows.h"

const struct err *event_rows_read_one(struct arena *a, const struct rows *r, struct stored_event *e)
{
    *e = (struct stored_event){
        .position = row_int(r, 0),
        .room = row_int(r, 1),
        .sender = row_int(r, 2),
        .type = row_int(r, 3),
        .thread = row_int(r, 4),
        .notify_total = row_int(r, 5),
        .highlight_total = row_int(r, 6),
        .redacted_by = row_int(r, 7),
        .client_device = row_int(r, 8),
        .client_txn = arena_strdup(a, row_text(r, 9)),
        .is_state = row_bool(r, 10),
        .status = (enum event_status)row_int(r, 14),
        .is_withheld = row_bool(r, 15),
    };
    const struct room_version *v = room_version_find(row_text(r, 13));
    if (!v)
        return err_internal("event %lld is of unknown room version %s", (long long)e->position,
                            row_text(r, 13));
    struct event *event;
    TRY(event_parse_stored(v, event_id_from_bytes(a, v, row_bytes(r, 11)), row_bytes(r, 12),
                           &event));
    e->event = event_keep(a, event);
    e->is_withheld = e->is_withheld || event_is_dummy(event);
    return NULL;
}

const struct err *event_rows_read(struct tx *tx, struct rows *rows, const struct stored_event **ret,
                                  size_t *ret_n)
{
    struct stored_event *list = arena_alloc_array(tx->arena, (size_t)rows->n + 1, sizeof *list);
    size_t n = 0;
    const struct err *e = NULL;
    while (!e && rows_next(rows))
        e = event_rows_read_one(tx->arena, rows, &list[n++]);
    rows_finish(rows);
    if (e)
        return e;
    *ret = list;
    *ret_n = n;
    return NULL;
}

const struct err *event_rows(struct tx *tx, struct sql *s, const struct db_param *params, size_t n,
                             const struct stored_event **ret, size_t *ret_n)
{
    struct rows rows;
    TRY(db_query(tx, s, params, n, &rows));
    return event_rows_read(tx, &rows, ret, ret_n);
}

const struct err *event_rows_one(struct tx *tx, struct sql *s, const struct db_param *params,
                                 size_t n, const struct stored_event **ret)
{
    const struct stored_event *list;
    size_t found;
    TRY(event_rows(tx, s, params, n, &list, &found));
    *ret = found ? list : NULL;
    return NULL;
}

struct str event_id_any_to_bytes(struct arena *a, const char *event_id)
{
    size_t n = strlen(event_id);
    if (event_id[0] != '$' || n < 2 || n > 255)
        return (struct str){0};
    if (strchr(event_id, ':'))
        return (struct str){event_id, n};
    enum base64_kind kind = strpbrk(event_id, "+/") ? BASE64_STANDARD : BASE64_URL;
    char *bytes = arena_alloc(a, 32);
    size_t bytes_n;
    if (!base64_decode(kind, (struct str){event_id + 1, n - 1}, bytes, 32, &bytes_n) ||
        bytes_n != 32)
        return (struct str){0};
    return (struct str){bytes, 32};
}
