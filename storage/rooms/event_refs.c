#include "storage/rooms/event_refs.h"

#include "storage/rooms/sql_numbers.h"

/* The parameters of all these statements, each of which has the first few: the old position, the
 * new one (three), the event's room, state key and type. */
enum { PLACES = 4, OF_MEMBER = 6, OF_KEY = 7 };

#define MOVED_TO "(CASE WHEN $3::bool THEN log_at($2) ELSE $4 END)"
#define MOVE(table, column) "UPDATE " table " SET " column " = " MOVED_TO " WHERE " column " = $1 "
/* There is an index of the few rows that refer to events off the timeline. */
#define LATE(column) "AND " column " <= " EVENT_OFF_TIMELINE_MAX_SQL

SQL(event_states_move_sql, MOVE("event_states", "event"))
SQL(events_thread_move_sql, MOVE("events", "thread") LATE("thread"))
SQL(push_actions_thread_move_sql, MOVE("push_actions", "thread") LATE("thread"))
SQL(receipts_move_sql, MOVE("receipts", "event") LATE("event"))
SQL(state_ref_entries_move_sql, MOVE("state_ref_entries", "event"))
SQL(room_state_move_sql,
    MOVE("room_state", "event") "AND room = $5 AND state_key = $6 AND type = $7")
SQL(room_members_move_sql, MOVE("room_members", "event") "AND room = $5 AND \"user\" = "
                                                         "(SELECT id FROM users WHERE user_id = "
                                                         "$6)")

static const struct event_ref refs[] = {
    {"event_states", "event", REF_OF_EVENTS, &event_states_move_sql, PLACES},
    {"events", "thread", REF_OF_EVENTS, &events_thread_move_sql, PLACES},
    {"push_actions", "thread", REF_OF_EVENTS, &push_actions_thread_move_sql, PLACES},
    {"receipts", "event", REF_OF_EVENTS, &receipts_move_sql, PLACES},
    {"room_members", "event", REF_OF_MEMBER_EVENTS, &room_members_move_sql, OF_MEMBER},
    {"room_state", "event", REF_OF_STATE_EVENTS, &room_state_move_sql, OF_KEY},
    {"state_ref_entries", "event", REF_OF_STATE_EVENTS, &state_ref_entries_move_sql, PLACES},
    /* Written when the event enters the timeline, or later. */
    {"event_txns", "event", REF_OF_EVENTS, NULL, 0},
    {"events", "redacted_by", REF_OF_EVENTS, NULL, 0},
    {"history_ends", "position", REF_OF_EVENTS, NULL, 0},
    {"partial_rooms", "position", REF_OF_MEMBER_EVENTS, NULL, 0},
    {"push_actions", "event", REF_OF_EVENTS, NULL, 0},
    {"relations", "child", REF_OF_EVENTS, NULL, 0},
    {"search_index", "event", REF_OF_EVENTS, NULL, 0},
};

const struct event_ref *event_refs(size_t *ret_n)
{
    *ret_n = sizeof refs / sizeof *refs;
    return refs;
}

static bool event_refs_may_have(const struct event_ref *r, const struct stored_event *e)
{
    switch (r->of) {
    case REF_OF_EVENTS:
        return true;
    case REF_OF_STATE_EVENTS:
        return e->is_state;
    case REF_OF_MEMBER_EVENTS:
        return e->is_state && e->type == TYPE_MEMBER;
    }
    return false;
}

SQL(events_move_sql,
    "UPDATE events SET position = " MOVED_TO ", status = $5, thread = $6, notify_total = $7, "
    "highlight_total = $8, json = $9 WHERE position = $1")

void events_move(struct write *w, const struct stored_event *e, int64_t from, int at)
{
    const struct db_param to = at ? POSITION(at) : INT(0), place = INT(at ? 0 : e->position);
    const struct db_param params[] = {
        INT(from), to, BOOL(at != 0), place, INT(e->room), TEXT(e->event->state_key), INT(e->type)};
    write_statement(w, &events_move_sql,
                    P(INT(from), to, BOOL(at != 0), place, INT4(e->status), INT(e->thread),
                      INT(e->notify_total), INT(e->highlight_total), BYTES(e->event->json)));
    if (!at && e->position == from)
        return;
    for (size_t i = 0; i < sizeof refs / sizeof *refs; i++)
        if (refs[i].move && event_refs_may_have(&refs[i], e))
            write_statement(w, refs[i].move, params, refs[i].params_n);
}
