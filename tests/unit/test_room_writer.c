/* Exclusive and shared writers alternate: neither kind waits until the other has none left. */
#include "check.h"
#include "waiting.h"

#include "rooms/writer.h"

#include <stdatomic.h>

enum { DECODERS_MAX = 5000, ALONE = 3, BEHIND = 3 };

struct crowd {
    struct room *room;
    _Atomic bool stop;
    _Atomic int turns, behind;
};

static int waiting_alone(struct room *room)
{
    LOCKED(&room->lock);
    return room->wanted_alone;
}

/* Events of other servers, one after the other: none ends its turn before the next waits. */
static void *write_alone(void *arg)
{
    struct crowd *c = arg;
    while (!c->stop && c->turns < DECODERS_MAX) {
        if (!writer_lock(c->room))
            return NULL;
        c->room->busy = true;
        lock_release(&c->room->lock);
        c->turns++;
        do
            wait_briefly();
        while (!waiting_alone(c->room) && !c->stop && c->turns < DECODERS_MAX);
        writer_done(c->room);
    }
    return NULL;
}

static void shared_writers_go_between_exclusive_ones(void **state)
{
    struct crowd c = {.room =
                          room_create_unlisted(1, "!room:test.example", room_version_find("11"))};
    pthread_t threads[ALONE];
    for (int i = 0; i < ALONE; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, write_alone, &c), 0);
    while (c.turns < 2)
        wait_briefly();
    for (int i = 0; i < 5; i++) {
        assert_true(writer_lock_behind(c.room, true));
        lock_release(&c.room->lock);
    }
    int turns = c.turns;
    c.stop = true;
    for (int i = 0; i < ALONE; i++)
        pthread_join(threads[i], NULL);
    assert_true(turns < DECODERS_MAX);
    assert_int_equal(c.room->waiting_behind, 0);
    assert_int_equal(c.room->wanted_alone, 0);
    room_destroy_unlisted(c.room);
}

/* Changes of state of our own users: there is always one whose commit is under way. */
static void *write_behind(void *arg)
{
    struct crowd *c = arg;
    while (!c->stop && c->behind < DECODERS_MAX) {
        if (!writer_lock_behind(c->room, true))
            return NULL;
        int64_t queued = ++c->room->state_queued;
        lock_release(&c->room->lock);
        c->behind++;
        wait_briefly();
        writer_state_done(c->room);
        writer_wait_for_state(c->room, queued);
    }
    return NULL;
}

static void exclusive_writers_go_between_shared_ones(void **state)
{
    struct crowd c = {.room =
                          room_create_unlisted(1, "!room:test.example", room_version_find("11"))};
    pthread_t threads[BEHIND];
    for (int i = 0; i < BEHIND; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, write_behind, &c), 0);
    while (c.behind < 2)
        wait_briefly();
    for (int i = 0; i < 5; i++) {
        assert_true(writer_lock(c.room));
        assert_true(c.room->state_done == c.room->state_queued);
        lock_release(&c.room->lock);
    }
    int behind = c.behind;
    c.stop = true;
    for (int i = 0; i < BEHIND; i++)
        pthread_join(threads[i], NULL);
    assert_true(behind < DECODERS_MAX);
    room_destroy_unlisted(c.room);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shared_writers_go_between_exclusive_ones),
        cmocka_unit_test(exclusive_writers_go_between_shared_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
