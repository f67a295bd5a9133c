/* The order of the feed's listeners (server/listeners.h). */
#include "node_with_alice.h"
#include "rooms/rooms.h"
#include "server/server.h"

#include "check.h"
#include "rooms/room_internal.h"
#include "server/listeners.h"

static void each_comes_after_those_it_follows(void **state)
{
    for (enum listener later = 0; later < LISTENERS_N; later++)
        for (enum listener other = later; other < LISTENERS_N; other++)
            if (listener_follows(later, other))
                fail_msg("listener %d must come after %d", later, other);
    assert_true(listener_follows(LISTENER_SENDER, LISTENER_ROOMS));
}

static void a_node_has_what_it_needs(void **state)
{
    struct feed_listener list[LISTENERS_N];
    size_t n = listeners_of(node_store(), list);
    /* A command has no federation, and sends no pushes. */
    assert_int_equal(n, LISTENERS_N - 4);
    assert_ptr_equal(list[0].ctx, node_store()->server->auth);
    for (size_t i = 0; i < n; i++)
        assert_true(list[i].on_changes && list[i].ctx);
}

/* ---- what the others have done ---- */

/* Called between two listeners: what the room in memory says then. */
struct probe {
    int64_t room, user;
    enum membership seen;
};

static void probe_on_changes(void *ctx, const struct change *changes, size_t n)
{
    struct probe *p = ctx;
    struct room *room = p->room ? room_take_cached(node_store()->rooms->cache, p->room) : NULL;
    if (!room)
        return;
    p->seen = room_membership(room, p->user);
    room_give_back(node_store()->rooms->cache, room);
}

static void those_after_the_rooms_see_them_changed(void **state)
{
    struct scope s;
    struct feed_listener list[LISTENERS_N + 2];
    struct feed_listener usual[LISTENERS_N];
    struct probe before = {0}, after = {0};
    size_t n = listeners_of(node_store(), usual), k = 0;
    for (size_t i = 0; i < n; i++) {
        bool is_rooms = usual[i].ctx == node_store()->rooms->cache;
        if (is_rooms)
            list[k++] = (struct feed_listener){probe_on_changes, .ctx = &before};
        list[k++] = usual[i];
        if (is_rooms)
            list[k++] = (struct feed_listener){probe_on_changes, .ctx = &after};
    }
    assert_int_equal(k, n + 2);
    feed_set_listeners(node_store()->storage->feed, list, k);
    scope_init(&s, node_store());
    struct author bob = author_named("@bob:test.example");
    const char *id = create_public_room(&s.job, &alice, "11");
    before.room = after.room = room_named(&s.job, id)->id;
    before.user = after.user = bob.user;
    NO_ERR(set_membership(&s.job, id, &bob, "join"));
    feed_set_listeners(node_store()->storage->feed, usual, n);
    assert_int_equal(before.seen, MEMBERSHIP_NONE);
    assert_int_equal(after.seen, MEMBERSHIP_JOIN);
    scope_finish(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_comes_after_those_it_follows),
        cmocka_unit_test(a_node_has_what_it_needs),
        cmocka_unit_test(those_after_the_rooms_see_them_changed),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
