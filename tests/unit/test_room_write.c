/* One write to a room: who waits for it, and what it leaves behind. */
#include "check.h"
#include "node_with_alice.h"

#include "rooms/write/room_write.h"
#include "rooms/writer.h"

#include <stdatomic.h>

struct trial {
    struct scope s;
    struct room *room;
    struct room_write w;
};

static void trial_open(struct trial *t)
{
    scope_init(&t->s, node_store());
    t->room = room_named(&t->s.job, create_public_room(&t->s.job, &alice, "11"));
    t->w = (struct room_write){.job = &t->s.job, .room = t->room, .author = &alice};
}

static void trial_close(struct trial *t)
{
    scope_finish(&t->s);
}

static void trial_add(struct trial *t, bool is_state)
{
    const struct event *e;
    static const struct new_event message = {.type = "m.room.message", .content = {"{}", 2}};
    static const struct new_event topic = {
        .type = "m.room.topic", .state_key = "", .content = {"{\"topic\":\"x\"}", 13}};
    NO_ERR(draft_add(&t->w.draft, is_state ? &topic : &message, &e));
}

static bool is_free(struct room *room)
{
    LOCKED(&room->lock);
    return !room->busy && !room->waiting && room->state_done == room->state_queued;
}

static void others_wait_as_the_turn_says(void **state)
{
    static const struct {
        enum write_turn turn;
        bool with_state, locked, busy_queued, ahead;
    } rows[] = {
        {WRITE_BEHIND, false, true, false, false},    {WRITE_STATE_BEHIND, true, true, false, true},
        {WRITE_ALONE, false, true, false, false},     {WRITE_ALONE, true, true, true, false},
        {WRITE_EXCLUSIVE, false, false, true, false}, {WRITE_EXCLUSIVE, true, false, true, false},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct trial t;
        trial_open(&t);
        int64_t head = t.room->head_version;
        NO_ERR(room_write_begin(&t.w, rows[i].turn));
        assert_int_equal(t.w.is_locked, rows[i].locked);
        assert_int_equal(t.room->busy, rows[i].turn == WRITE_EXCLUSIVE);
        if (!rows[i].locked)
            lock_take(&t.room->lock);
        trial_add(&t, rows[i].with_state);
        if (!rows[i].locked)
            lock_release(&t.room->lock);
        room_write_enqueue(&t.w);
        assert_false(t.w.is_locked);
        assert_int_equal(t.room->busy, rows[i].busy_queued);
        assert_int_equal(t.room->state_queued - t.room->state_done, rows[i].ahead);
        assert_int_equal(t.room->waiting, 1);
        NO_ERR(room_write_finish(&t.w, NULL));
        assert_true(is_free(t.room));
        assert_false(t.room->stale);
        assert_true(t.room->head_version != head);
        trial_close(&t);
    }
}

static void an_abandoned_write_changes_nothing(void **state)
{
    for (enum write_turn turn = WRITE_BEHIND; turn <= WRITE_EXCLUSIVE; turn++) {
        struct trial t;
        trial_open(&t);
        int64_t head = t.room->head_version;
        NO_ERR(room_write_begin(&t.w, turn));
        room_write_abandon(&t.w);
        assert_true(is_free(t.room));
        assert_true(t.room->head_version == head);
        trial_close(&t);
    }
}

static void outdated_lookups_are_a_conflict(void **state)
{
    for (enum write_turn turn = WRITE_BEHIND; turn <= WRITE_EXCLUSIVE; turn++) {
        struct trial t;
        trial_open(&t);
        uint64_t seen = atomic_load(&t.room->off_timeline_version);
        t.w.looked_up = &seen;
        NO_ERR(room_write_begin(&t.w, turn));
        t.w.is_off_timeline = true; /* so that look-ups before it are outdated */
        room_write_abandon(&t.w);
        const struct err *e = room_write_begin(&t.w, turn);
        assert_non_null(e);
        assert_int_equal(e->code, ERR_CONFLICT);
        assert_true(is_free(t.room));
        trial_close(&t);
    }
}

static void the_room_is_reloaded_after_a_failure(void **state)
{
    struct trial t;
    trial_open(&t);
    struct room *room = t.room;
    NO_ERR(room_write_begin(&t.w, WRITE_ALONE));
    trial_add(&t, true);
    t.w.draft.built_on++; /* as if another process had written */
    const struct err *e = room_write_commit(&t.w);
    assert_non_null(e);
    assert_int_equal(e->code, ERR_CONFLICT);
    assert_true(room->stale);
    e = room_write_begin(&t.w, WRITE_ALONE);
    assert_non_null(e);
    assert_int_equal(e->code, ERR_CONFLICT);
    struct retry retry = {0};
    assert_true(writer_retry(&retry, &t.s.job, &t.w.room, &e));
    assert_ptr_not_equal(t.w.room, room);
    NO_ERR(room_write_begin(&t.w, WRITE_ALONE));
    room_write_abandon(&t.w);
    trial_close(&t);
}

static void a_renewed_head_is_another_version(void **state)
{
    struct trial t;
    trial_open(&t);
    int64_t head = t.room->head_version;
    t.w.renews_head = true;
    NO_ERR(room_write_begin(&t.w, WRITE_EXCLUSIVE));
    NO_ERR(room_write_commit(&t.w));
    assert_true(t.room->head_version != head);
    assert_true(is_free(t.room));
    trial_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(others_wait_as_the_turn_says),
        cmocka_unit_test(an_abandoned_write_changes_nothing),
        cmocka_unit_test(outdated_lookups_are_a_conflict),
        cmocka_unit_test(the_room_is_reloaded_after_a_failure),
        cmocka_unit_test(a_renewed_head_is_another_version),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
