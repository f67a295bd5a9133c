/* Reads from the database while changes are published: the function that reads, or lists, is
 * wrapped (see the Makefile), and the change happens inside of it. */
#include "node_fixture.h"

#include "rooms/ahead.h"
#include "rooms/read/directory.h"
#include "rooms/read/summary.h"
#include "rooms/room_cache.h"
#include "rooms/room_internal.h"
#include "storage/rooms/events.h"

static struct author alice, bob;

static int set_up(void **state)
{
    node_begin();
    alice = author_named("@alice:test.example");
    bob = author_named("@bob:test.example");
    return 0;
}

static int tear_down(void **state)
{
    node_end();
    return 0;
}

/* ---- the change, made once for each `times` ---- */

static struct {
    void (*happens)(void);
    int times;
} meanwhile;

static void let_happen(void)
{
    if (meanwhile.times-- > 0)
        meanwhile.happens();
}

static void plan(void (*happens)(void), int times)
{
    meanwhile.happens = happens;
    meanwhile.times = times;
}

void __real_room_cache_list_new(struct job *job, struct room *r);
void __wrap_room_cache_list_new(struct job *job, struct room *r);
void __wrap_room_cache_list_new(struct job *job, struct room *r)
{
    __real_room_cache_list_new(job, r);
    let_happen();
}

const struct err *__real_room_load(struct job *job, int64_t id, struct room **ret);
const struct err *__wrap_room_load(struct job *job, int64_t id, struct room **ret);
const struct err *__wrap_room_load(struct job *job, int64_t id, struct room **ret)
{
    const struct err *e = __real_room_load(job, id, ret);
    let_happen();
    return e;
}

const struct err *__real_room_state_members(struct tx *tx, int64_t room, int64_t at_position,
                                            const char *const *user_ids, size_t n,
                                            const struct stored_event **ret, size_t *ret_n);
const struct err *__wrap_room_state_members(struct tx *tx, int64_t room, int64_t at_position,
                                            const char *const *user_ids, size_t n,
                                            const struct stored_event **ret, size_t *ret_n);
const struct err *__wrap_room_state_members(struct tx *tx, int64_t room, int64_t at_position,
                                            const char *const *user_ids, size_t n,
                                            const struct stored_event **ret, size_t *ret_n)
{
    const struct err *e = __real_room_state_members(tx, room, at_position, user_ids, n, ret, ret_n);
    let_happen();
    return e;
}

const struct err *__real_room_summaries_read(struct job *job, const int64_t *ids, size_t n,
                                             const int64_t **ret_rooms, struct room_summary **ret,
                                             size_t *ret_n);
const struct err *__wrap_room_summaries_read(struct job *job, const int64_t *ids, size_t n,
                                             const int64_t **ret_rooms, struct room_summary **ret,
                                             size_t *ret_n);
const struct err *__wrap_room_summaries_read(struct job *job, const int64_t *ids, size_t n,
                                             const int64_t **ret_rooms, struct room_summary **ret,
                                             size_t *ret_n)
{
    const struct err *e = __real_room_summaries_read(job, ids, n, ret_rooms, ret, ret_n);
    let_happen();
    return e;
}

/* ---- push rules ---- */

static void change_rules_of(int64_t user)
{
    struct scope s;
    scope_init(&s, node_store());
    struct write *w = write_begin(&s.job);
    write_change(w, &(struct change){.kind = CHANGE_ACCOUNT_DATA,
                                     .user = user,
                                     .account_data.is_push_rules = true});
    pg_must("rules", write_commit(&s.job, w, NULL));
    scope_finish(&s);
}

static int64_t rules_changer;

static void rules_change(void)
{
    change_rules_of(rules_changer);
}

static void a_new_room_knows_of_rules_that_change_while_it_is_made(void **state)
{
    struct scope s;
    scope_init(&s, node_store());
    struct author dave = author_named("@dave:test.example");
    rules_changer = dave.user;
    plan(rules_change, 1);
    const char *room_id = create_public_room(&s.job, &dave, "12");
    struct room *room = room_named(&s.job, room_id);
    assert_int_equal(meanwhile.times, 0);
    assert_true(member_has_own_rules(&s.job, room, dave.user));
    assert_int_equal(room->own_rules_n, 1);
    scope_finish(&s);
}

static void a_load_need_not_wait_until_rules_rest(void **state)
{
    struct scope s;
    scope_init(&s, node_store());
    const char *room_id = create_public_room(&s.job, &bob, "11");
    room_forget(&s.job, room_named(&s.job, room_id));
    rules_changer = bob.user;
    plan(rules_change, 3);
    struct room *room = room_named(&s.job, room_id);
    assert_int_equal(meanwhile.times, 2); /* it was read once */
    assert_true(member_has_own_rules(&s.job, room, bob.user));
    meanwhile.times = 0;
    scope_finish(&s);
}

/* ---- members ---- */

static const char *left_room;

static void bob_leaves(void)
{
    struct scope s;
    scope_init(&s, node_store());
    pg_must("leave", set_membership(&s.job, left_room, &bob, "leave"));
    scope_finish(&s);
}

static void a_member_that_changes_while_it_is_read_is_the_new_one(void **state)
{
    struct scope s;
    scope_init(&s, node_store());
    const struct event *e;
    left_room = create_public_room(&s.job, &alice, "12");
    NO_ERR(set_membership(&s.job, left_room, &bob, "join"));
    room_forget(&s.job, room_named(&s.job, left_room));
    struct room *room = room_named(&s.job, left_room);
    plan(bob_leaves, 1);
    NO_ERR(room_load_members(&s.job, room, &bob.user_id, 1));
    assert_int_equal(meanwhile.times, 0);
    NO_ERR(room_state(&s.job, room, "m.room.member", bob.user_id, &e));
    assert_string_equal(json_text(event_content(e), "membership"), "leave");
    scope_finish(&s);
}

/* ---- the directory ---- */

static const char *published_room;

/* The write is lost: the node that wrote it ends before it notifies others. */
static void a_change_is_missed(void)
{
    struct scope s;
    scope_init(&s, node_store());
    const char *id;
    const struct new_event name = {
        .type = "m.room.name", .state_key = "", .content = STR("{\"name\":\"after\"}")};
    pg_must("name", room_append(&s.job, room_named(&s.job, published_room), &alice, &name, 1, &id));
    feed_reset(node_store()->storage->feed, feed_position(node_store()->storage->feed));
    scope_finish(&s);
}

static bool lists(struct job *job, const char *text)
{
    buf_auto struct buf out = {0};
    const struct directory_query q = {.limit = 10};
    NO_ERR(directory_list(job, &q, &out));
    return strstr(out.p, text) != NULL;
}

static void the_directory_rereads_rooms_whose_changes_were_missed(void **state)
{
    struct scope s;
    scope_init(&s, node_store());
    struct invited_elsewhere none;
    json_auto_t *body = json_pack("{s:s,s:s}", "visibility", "public", "name", "before");
    NO_ERR(room_create(&s.job, &alice, body, &published_room, &none));
    plan(a_change_is_missed, 1);
    assert_true(lists(&s.job, "before"));
    assert_int_equal(meanwhile.times, 0);
    assert_true(lists(&s.job, "after"));
    scope_finish(&s);
}

/* ---- equal rooms ---- */

enum { THREADS = 8, TURNS = 20 };

static void make_equal_rooms(void *failed, int number)
{
    for (int i = 0; i < TURNS; i++) {
        struct scope s;
        scope_init(&s, node_store());
        struct invited_elsewhere none;
        const char *room_id;
        json_auto_t *body = json_pack("{s:s}", "room_version", "12");
        const struct err *e = room_create(&s.job, &alice, body, &room_id, &none);
        *(_Atomic int64_t *)failed += e != NULL;
        scope_finish(&s);
    }
}

static void equal_rooms_of_one_timestamp_are_two(void **state)
{
    _Atomic int64_t failed = 0;
    crowd_run(THREADS, make_equal_rooms, &failed);
    assert_int_equal(failed, 0);
}

/* The clocks of two nodes agree. */
static void a_room_that_another_node_has_made_gets_another_id(void **state)
{
    struct scope s;
    scope_init(&s, node_store());
    const char *first, *second, *ids[2];
    const struct new_room room = {.version = room_version_find("12")};
    const struct new_event events[] = {
        {.type = "m.room.create",
         .state_key = "",
         .content = STR("{\"room_version\":\"12\"}"),
         .origin_server_ts = 1000},
        member_event(alice.user_id, "join"),
    };
    NO_ERR(room_append_new(&s.job, &room, &alice, events, 2, &first, ids));
    NO_ERR(room_append_new(&s.job, &room, &alice, events, 2, &second, ids));
    assert_string_not_equal(first, second);
    assert_int_equal(room_joined_count(room_named(&s.job, first)), 1);
    assert_int_equal(room_joined_count(room_named(&s.job, second)), 1);
    scope_finish(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_room_knows_of_rules_that_change_while_it_is_made),
        cmocka_unit_test(a_load_need_not_wait_until_rules_rest),
        cmocka_unit_test(a_member_that_changes_while_it_is_read_is_the_new_one),
        cmocka_unit_test(the_directory_rereads_rooms_whose_changes_were_missed),
        cmocka_unit_test(equal_rooms_of_one_timestamp_are_two),
        cmocka_unit_test(a_room_that_another_node_has_made_gets_another_id),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
