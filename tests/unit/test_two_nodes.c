/* Two nodes of one process on one database. They share nothing else, and do not hear of each other:
 * a node learns at its next write what the other has written. */
#include "node_fixture.h"

#include "base/worker/worker.h"
#include "check.h"
#include "storage/rooms/events.h"
#include "waiting.h"

enum { FIRST, SECOND };

static struct author alice, bob; /* alice writes on the first node, bob on the second */
static struct scope on[NODES_MAX];

static int set_up(void **state)
{
    node_begin();
    node_run(SECOND);
    alice = author_named("@alice:test.example");
    bob = author_named("@bob:test.example");
    for (int i = 0; i < NODES_MAX; i++)
        scope_init(&on[i], node_numbered(i));
    return 0;
}

static int tear_down(void **state)
{
    for (int i = 0; i < NODES_MAX; i++)
        if (on[i].arena)
            scope_finish(&on[i]);
    node_end();
    return 0;
}

/* An empty write reads the head of the log, and publishes what the other node has written. */
static void catch_up(int number)
{
    NO_ERR(write_commit(&on[number].job, write_begin(&on[number].job), NULL));
}

static int64_t position_of(int number)
{
    return feed_position(node_numbered(number)->storage->feed);
}

static int64_t refused_writes(int number)
{
    return committer_counted(node_numbered(number)->storage->committer,
                             "concorde_writes_failed_total");
}

static const char *send_on(int number, const char *room_id, const char *body)
{
    const char *id;
    NO_ERR(send_text(&on[number].job, room_id, number == FIRST ? &alice : &bob, body, &id));
    return id;
}

/* Of alice, with bob in it. */
static const char *create_common_room(void)
{
    const char *room_id = create_public_room(&on[FIRST].job, &alice, "12");
    NO_ERR(set_membership(&on[SECOND].job, room_id, &bob, "join"));
    return room_id;
}

/* ---- what each has for itself ---- */

static void nothing_but_the_database_is_shared(void **state)
{
    const struct node *first = node_numbered(FIRST), *second = node_numbered(SECOND);
    const void *const parts[][NODES_MAX] = {
        {first->caches, second->caches},
        {first->storage->db, second->storage->db},
        {first->storage->feed, second->storage->feed},
        {first->storage->committer, second->storage->committer},
        {first->storage->intern, second->storage->intern},
        {first->storage->pools, second->storage->pools},
        {first->rooms->cache, second->rooms->cache},
        {first->users->sessions, second->users->sessions},
        {first->server->auth, second->server->auth},
    };
    for (size_t i = 0; i < COUNT(parts); i++) {
        assert_non_null(parts[i][FIRST]);
        assert_ptr_not_equal(parts[i][FIRST], parts[i][SECOND]);
    }
    const char *room_id = create_common_room();
    struct room *of_first = room_named(&on[FIRST].job, room_id);
    struct room *of_second = room_named(&on[SECOND].job, room_id);
    assert_int_equal(of_first->id, of_second->id);
    assert_ptr_not_equal(of_first, of_second);
}

/* ---- reading what the other has written ---- */

static void check_is_stored(int number, const char *event_id, const char *sender)
{
    const struct stored_event *e;
    NO_ERR(events_get_by_id(job_tx(&on[number].job), event_id, &e));
    assert_non_null(e);
    assert_string_equal(e->event->sender, sender);
}

static void each_finds_the_rooms_of_the_other(void **state)
{
    const char *of_alice = create_public_room(&on[FIRST].job, &alice, "11");
    const char *of_bob = create_public_room(&on[SECOND].job, &bob, "12");
    check_is_stored(SECOND, send_on(FIRST, of_alice, "hello"), alice.user_id);
    check_is_stored(FIRST, send_on(SECOND, of_bob, "hello"), bob.user_id);
    struct room *found = room_named(&on[SECOND].job, of_alice);
    assert_int_equal(room_membership(found, alice.user), MEMBERSHIP_JOIN);
    found = room_named(&on[FIRST].job, of_bob);
    assert_int_equal(room_membership(found, bob.user), MEMBERSHIP_JOIN);
}

/* The room's newest event in the feed of this node is the wanted one. */
static void check_newest(int number, int64_t room, int64_t since, const char *event_id)
{
    struct feed *feed = node_numbered(number)->storage->feed;
    const struct change *changes;
    size_t n;
    bool more;
    assert_true(feed_covers(feed, since));
    feed_read_room(feed, on[number].arena, room, since, feed_position(feed), 1u << CHANGE_EVENT, 10,
                   &changes, &n, &more);
    assert_true(n > 0);
    assert_string_equal(changes[n - 1].event.event->event_id, event_id);
}

static void each_reads_what_the_other_wrote_once_it_has_caught_up(void **state)
{
    const char *room_id = create_public_room(&on[FIRST].job, &alice, "11");
    struct room *of_first = room_named(&on[FIRST].job, room_id);
    int64_t before = position_of(FIRST);
    NO_ERR(set_membership(&on[SECOND].job, room_id, &bob, "join"));
    const char *hello = send_on(SECOND, room_id, "hello");
    assert_int_equal(position_of(FIRST), before);
    assert_int_equal(room_membership(of_first, bob.user), MEMBERSHIP_NONE);
    catch_up(FIRST);
    assert_int_equal(position_of(FIRST), position_of(SECOND));
    check_newest(FIRST, of_first->id, before, hello);
    of_first = room_named(&on[FIRST].job, room_id);
    assert_int_equal(room_membership(of_first, bob.user), MEMBERSHIP_JOIN);
    assert_int_equal(room_joined_count(of_first), 2);
    before = position_of(SECOND);
    const char *welcome = send_on(FIRST, room_id, "welcome");
    catch_up(SECOND);
    check_newest(SECOND, of_first->id, before, welcome);
}

/* ---- writing to one room ---- */

static void a_write_upon_an_old_head_is_tried_again(void **state)
{
    const char *room_id = create_common_room();
    send_on(SECOND, room_id, "zero");
    send_on(FIRST, room_id, "one");
    int64_t refused = refused_writes(SECOND);
    const char *two = send_on(SECOND, room_id, "two"); /* zero is the newest that it knows */
    assert_int_equal(refused_writes(SECOND), refused + 1);
    assert_int_equal(position_of(SECOND), log_head_position(node_numbered(SECOND)));
    const struct stored_event *e;
    NO_ERR(events_get_by_id(job_tx(&on[FIRST].job), two, &e));
    assert_int_equal(e->event->prev_n, 1);
    const struct stored_event *prev;
    NO_ERR(events_get_by_id(job_tx(&on[FIRST].job), e->event->prev_events[0], &prev));
    assert_int_equal(prev->position, e->position - 1);
    assert_string_equal(prev->event->sender, alice.user_id);
}

static void a_decision_rests_on_what_the_other_has_written(void **state)
{
    const char *room_id = create_common_room(), *id;
    const struct new_event ban = {.type = "m.room.member",
                                  .state_key = bob.user_id,
                                  .content = STR("{\"membership\":\"ban\"}")};
    NO_ERR(room_append(&on[FIRST].job, room_named(&on[FIRST].job, room_id), &alice, &ban, 1, &id));
    const struct err *e = send_text(&on[SECOND].job, room_id, &bob, "still here", &id);
    assert_non_null(e);
    assert_int_equal(e->code, ERR_FORBIDDEN);
}

enum { WRITERS = 6, EACH = 8 };

struct writers {
    const char *rooms[WRITERS];
    const struct author *authors[WRITERS];
};

/* Every fourth event is state. */
static void write_some(void *ctx, int writer)
{
    const struct writers *w = ctx;
    const char *id;
    struct scope s;
    const struct author *author = w->authors[writer];
    scope_init(&s, node_numbered(writer % NODES_MAX));
    for (int i = 0; i < EACH; i++) {
        const char *body = arena_printf(s.arena, "%d.%d", writer, i);
        const struct new_event state = {
            .type = "m.room.topic",
            .state_key = "",
            .content = str_of(arena_printf(s.arena, "{\"body\":\"%s\",\"topic\":\"\"}", body))};
        if (i % 4)
            pg_must("send", send_text(&s.job, w->rooms[writer], author, body, &id));
        else
            pg_must("topic", room_append(&s.job, room_named(&s.job, w->rooms[writer]), author,
                                         &state, 1, &id));
    }
    scope_finish(&s);
}

/* The events that stand after that position: each but the first follows the one before it. */
static void check_chain(const char *room_id, int64_t since, size_t wanted, bool written[][EACH])
{
    const struct stored_event *list;
    size_t n;
    struct room *room = room_named(&on[FIRST].job, room_id);
    NO_ERR(events_page(job_tx(&on[FIRST].job), room->id, since, INT64_MAX, false, 1000, &list, &n));
    assert_int_equal(n, wanted);
    for (size_t i = 0; i < n; i++) {
        const struct event *e = list[i].event;
        int writer, which;
        const char *body = json_string_value(json_object_get(event_content(e), "body"));
        assert_int_equal(sscanf(body, "%d.%d", &writer, &which), 2);
        assert_false(written[writer][which]);
        written[writer][which] = true;
        assert_true(which == 0 || written[writer][which - 1]); /* a writer's are in its order */
        assert_int_equal(e->prev_n, 1);
        if (i)
            assert_string_equal(e->prev_events[0], list[i - 1].event->event_id);
    }
}

static void catch_up_both(int64_t since, int64_t events)
{
    catch_up(FIRST);
    catch_up(SECOND);
    assert_int_equal(position_of(FIRST), since + events); /* the log has no gaps */
    assert_int_equal(position_of(SECOND), since + events);
}

static void writes_to_one_room_are_all_there_once(void **state)
{
    struct writers w;
    bool written[WRITERS][EACH] = {0};
    const char *room_id = create_common_room();
    int64_t since = log_head_position(node_store());
    for (int i = 0; i < WRITERS; i++) {
        w.rooms[i] = room_id;
        w.authors[i] = &alice; /* who may change the topic, on both nodes */
    }
    crowd_run(WRITERS, write_some, &w);
    catch_up_both(since, WRITERS * EACH);
    check_chain(room_id, since, WRITERS * EACH, written);
}

static void writes_to_several_rooms_do_not_disturb_each_other(void **state)
{
    struct writers w;
    for (int i = 0; i < WRITERS; i++) {
        int number = i % NODES_MAX;
        w.authors[i] = number == FIRST ? &alice : &bob;
        w.rooms[i] = create_public_room(&on[number].job, w.authors[i], "12");
    }
    int64_t since = log_head_position(node_store());
    int64_t refused = refused_writes(FIRST) + refused_writes(SECOND);
    crowd_run(WRITERS, write_some, &w);
    assert_int_equal(refused_writes(FIRST) + refused_writes(SECOND), refused);
    catch_up_both(since, WRITERS * EACH);
    for (int i = 0; i < WRITERS; i++) {
        bool written[WRITERS][EACH] = {0};
        check_chain(w.rooms[i], since, EACH, written);
    }
}

/* ---- background work, and the end of one ---- */

static enum worker_outcome note_node(void *of, void *thread, struct worker_item *item)
{
    const struct node *_Atomic *ran_on = of;
    const struct job *job = thread;
    *ran_on = job->node;
    return WORKER_DONE;
}

static void check_background_work(int number)
{
    const struct node *node = node_numbered(number);
    const struct node *_Atomic ran_on = NULL;
    struct worker_kind *k = worker_kind_create(
        node->storage->background,
        &(struct worker_settings){.name = "a test", .of = (void *)&ran_on, .run = note_node});
    worker_kind_start(k);
    worker_add(k, (struct worker_key){0});
    WAIT_UNTIL(ran_on);
    assert_ptr_equal(ran_on, node);
    worker_kind_destroy(k);
}

static void check_the_other_goes_on(int ended)
{
    int other = 1 - ended;
    const char *room_id = create_common_room();
    check_background_work(FIRST);
    check_background_work(SECOND);
    const char *last = arena_strdup(on[other].arena, send_on(ended, room_id, "the last one"));
    scope_finish(&on[ended]);
    on[ended].arena = NULL;
    node_end_running(ended);
    int64_t since = position_of(other);
    const char *next = send_on(other, room_id, "the next one");
    check_is_stored(other, last, ended == FIRST ? alice.user_id : bob.user_id);
    check_newest(other, room_named(&on[other].job, room_id)->id, since, next);
    check_background_work(other);
}

static void the_second_goes_on_without_the_first(void **state)
{
    check_the_other_goes_on(FIRST);
}

static void the_first_goes_on_without_the_second(void **state)
{
    check_the_other_goes_on(SECOND);
}

#define WITH_NODES(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_NODES(nothing_but_the_database_is_shared),
        WITH_NODES(each_finds_the_rooms_of_the_other),
        WITH_NODES(each_reads_what_the_other_wrote_once_it_has_caught_up),
        WITH_NODES(a_write_upon_an_old_head_is_tried_again),
        WITH_NODES(a_decision_rests_on_what_the_other_has_written),
        WITH_NODES(writes_to_one_room_are_all_there_once),
        WITH_NODES(writes_to_several_rooms_do_not_disturb_each_other),
        WITH_NODES(the_first_goes_on_without_the_second),
        WITH_NODES(the_second_goes_on_without_the_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
