/* A node whose log is locked, so that writes wait in the committer's queue; and requests that are
 * made meanwhile, each by its own thread. */
#ifndef TESTS_HELD_LOG_H
#define TESTS_HELD_LOG_H

#include "node_fixture.h"
#include "waiting.h"

#include "rooms/ahead.h"
#include "storage/rooms/events.h"

#include <stdatomic.h>

/* ---- a log that cannot be written to ---- */

static inline PGconn *hold_log(void)
{
    PGconn *pg;
    pg_must("connect", db_connect(pg_uri(), &pg));
    PQclear(PQexec(pg, "BEGIN"));
    PGresult *r = PQexec(pg, "SELECT FROM log_head FOR UPDATE");
    assert_int_equal(PQresultStatus(r), PGRES_TUPLES_OK);
    PQclear(r);
    return pg;
}

static inline void let_log_go(PGconn *pg)
{
    PGresult *r = PQexec(pg, "COMMIT");
    assert_int_equal(PQresultStatus(r), PGRES_COMMAND_OK);
    PQclear(r);
    PQfinish(pg);
}

/* ---- requests made while it is held ---- */

enum { SENDERS_MAX = 16 };

struct sender {
    const char *room_id;
    struct author author;
    struct new_event event;
    const struct err *(*ask)(struct job *job, struct room *room, struct sender *s,
                             const char **ret_id);
    const void *asked;
    pthread_t thread;
    _Atomic bool has_begun, is_over;
    bool is_refused;
    enum err_code code;
    char id[128];
};

static struct sender senders_[SENDERS_MAX];
static size_t senders_n_;

static inline void *send_it_(void *arg)
{
    struct sender *s = arg;
    struct scope scope;
    const char *id = "";
    scope_init(&scope, node_store());
    struct room *room = room_named(&scope.job, s->room_id);
    s->has_begun = true;
    const struct err *e = s->ask ? s->ask(&scope.job, room, s, &id)
                                 : room_append(&scope.job, room, &s->author, &s->event, 1, &id);
    s->is_refused = e != NULL;
    if (e)
        s->code = e->code;
    else
        snprintf(s->id, sizeof s->id, "%s", id);
    scope_finish(&scope);
    s->is_over = true;
    return NULL;
}

static inline struct sender *start_(struct sender wanted)
{
    struct sender *s = &senders_[senders_n_++];
    assert_true(senders_n_ <= SENDERS_MAX);
    *s = wanted;
    assert_int_equal(pthread_create(&s->thread, NULL, send_it_, s), 0);
    return s;
}

static inline struct sender *start(const char *room_id, struct author author,
                                   struct new_event event)
{
    return start_((struct sender){.room_id = room_id, .author = author, .event = event});
}

/* Any request other than appending an event. */
static inline struct sender *
start_asking(const char *room_id, struct author author,
             const struct err *(*ask)(struct job *job, struct room *room, struct sender *s,
                                      const char **ret_id),
             const void *asked)
{
    return start_(
        (struct sender){.room_id = room_id, .author = author, .ask = ask, .asked = asked});
}

static inline int64_t depth_of(const char *room_id)
{
    struct scope s;
    scope_init(&s, node_store());
    struct room *room = room_named(&s.job, room_id);
    lock_take(&room->lock);
    int64_t depth = room->depth;
    lock_release(&room->lock);
    scope_finish(&s);
    return depth;
}

/* Waits until the event is in the queue: the head of the room has changed. */
static inline struct sender *queue(const char *room_id, struct author author,
                                   struct new_event event)
{
    int64_t before = depth_of(room_id);
    struct sender *s = start(room_id, author, event);
    WAIT_UNTIL(depth_of(room_id) != before);
    assert_false(s->is_over);
    return s;
}

static inline void join_senders(void)
{
    for (size_t i = 0; i < senders_n_; i++)
        pthread_join(senders_[i].thread, NULL);
    senders_n_ = 0;
}

static inline struct new_event text_event(const char *content)
{
    return (struct new_event){.type = "m.room.message", .content = str_of(content)};
}

static inline struct new_event topic_event(const char *content)
{
    return (struct new_event){.type = "m.room.topic", .state_key = "", .content = str_of(content)};
}

static inline struct new_event ban_event(const char *user_id, const char *content)
{
    return (struct new_event){
        .type = "m.room.member", .state_key = user_id, .content = str_of(content)};
}

/* ---- the room ---- */

/* Each event follows the one before it, and the intervals of each key join. */
static inline void check_room(struct job *job, const char *room_id)
{
    struct room *room = room_named(job, room_id);
    const struct stored_event *list;
    size_t n;
    NO_ERR(events_page(job_tx(job), room->id, 0, INT64_MAX, false, 10000, &list, &n));
    for (size_t i = 1; i < n; i++) {
        assert_int_equal(list[i].event->prev_n, 1);
        assert_string_equal(list[i].event->prev_events[0], list[i - 1].event->event_id);
    }
    assert_int_equal(room->ahead.n, 0);
    assert_int_equal(room->ahead_members.n, 0);
    assert_true(room->state_queued == room->state_done);
    pg_must("intervals",
            pg_command(pg_uri(),
                       "DO $$ BEGIN IF EXISTS (SELECT FROM room_state s WHERE valid_to <> "
                       "COALESCE((SELECT min(n.valid_from) FROM room_state n WHERE n.room = s.room "
                       "AND n.type = s.type AND n.state_key = s.state_key AND n.valid_from > "
                       "s.valid_from), 9223372036854775807)) THEN RAISE 'intervals'; END IF; "
                       "IF EXISTS (SELECT FROM room_members m JOIN users u ON u.id = m.\"user\" "
                       "JOIN room_state s ON s.room = m.room AND s.type = 1 AND s.state_key = "
                       "u.user_id AND s.valid_to = 9223372036854775807 WHERE m.event <> s.event "
                       "OR m.since <> s.valid_from) THEN RAISE 'members'; END IF; END $$"));
}

#endif
