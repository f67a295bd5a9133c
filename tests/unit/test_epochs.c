/* The position of tokens after the database was restored from a backup, and batches of changes as
 * rows. */
#include "node_fixture.h"

#include "event_maker.h"
#include "server/sync_token.h"
#include "storage/db/epochs.h"
#include "storage/db/log_batches.h"
#include "storage/rooms/events.h"

static int64_t place(struct epochs *e, int64_t epoch, int64_t position, bool is_lost)
{
    bool lost;
    int64_t at = epochs_place(e, epoch, position, &lost);
    assert_int_equal(lost, is_lost);
    return at;
}

/* Epoch 1 began at 0, 2 at 100, 3 at 150 (with history down to -20), 4 at 150, which is current. */
static struct epochs *some_epochs(void)
{
    struct epochs *e = epochs_create();
    epochs_add(e, &(struct epoch){1, 0, 0, 0});
    epochs_add(e, &(struct epoch){2, 100, 0, 1000});
    epochs_add(e, &(struct epoch){3, 150, -20, 1000});
    epochs_add(e, &(struct epoch){4, 150, -20, 5000});
    return e;
}

static void tokens_are_good_as_far_as_their_epoch_went(void **state)
{
    struct epochs *e = some_epochs();
    assert_int_equal(epochs_current(e), 4);
    assert_int_equal(place(e, 1, 100, false), 100);
    assert_int_equal(place(e, 1, 101, true), 100);
    assert_int_equal(place(e, 2, 150, false), 150);
    assert_int_equal(place(e, 2, 5, false), 5); /* old positions exist in new epochs, too */
    assert_int_equal(place(e, 2, 160, true), 150);
    assert_int_equal(place(e, 3, 151, true), 150);
    assert_int_equal(place(e, 4, 100000, false), 100000);
    epochs_destroy(e);
}

static void tokens_of_unknown_epochs_are_not_believed(void **state)
{
    struct epochs *e = some_epochs();
    assert_int_equal(place(e, 77, 0, false), 0);
    assert_int_equal(place(e, 77, 90, true), 90);
    assert_int_equal(place(e, 77, 170, true), 150);
    assert_int_equal(place(e, 0, 0, false), 0); /* of a version without epochs */
    assert_int_equal(place(e, 0, 1, true), 0);
    epochs_destroy(e);
}

static void fetched_history_is_given_out_again_too(void **state)
{
    struct epochs *e = some_epochs();
    assert_int_equal(place(e, 2, -20, false), -20);
    assert_int_equal(place(e, 2, -21, true), -20);
    assert_int_equal(place(e, 1, -1, true), 0);
    assert_int_equal(place(e, 4, -100, false), -100);
    assert_int_equal(place(e, 77, EVENT_OFF_TIMELINE_MAX, false), EVENT_OFF_TIMELINE_MAX);
    epochs_destroy(e);
}

static void numbers_for_other_servers_grow(void **state)
{
    struct epochs *e = some_epochs();
    assert_int_equal(epochs_at(e, 100), 1);
    assert_int_equal(epochs_at(e, 101), 2);
    assert_int_equal(epochs_at(e, 150), 2);
    assert_int_equal(epochs_at(e, 151), 4);
    assert_int_equal(epochs_stream_id(e, 100), 100);
    assert_int_equal(epochs_stream_id(e, 150), 1150);
    assert_int_equal(epochs_stream_id(e, 151), 5151);
    epochs_destroy(e);
}

static void tokens_are_read_as_they_are_written(void **state)
{
    struct sync_token t;
    struct node *node = node_store();
    buf_auto struct buf b = {0};
    sync_token_add(&b, node, 5, 7);
    NO_ERR(sync_token_parse(node, buf_str(&b).p, &t));
    assert_true(t.position == 5 && t.serial == 7 && !t.is_lost);
    NO_ERR(sync_token_parse_since(node, "s0", &t));
    NO_ERR(sync_token_parse_since(node, "s0_12", &t));
    assert_true(!t.is_lost && t.serial == 12);
    NO_ERR(sync_token_parse_since(node, "s5_12_abc", &t));
    assert_true(t.is_lost);
    static const char *const bad[] = {"",
                                      "s",
                                      "5",
                                      "s_1",
                                      "s1_",
                                      "s1_2_",
                                      "s1_2_3_",
                                      "s1_2_3_4",
                                      "s1_-2",
                                      "s1_2_G",
                                      "s1_2_11111111111111111",
                                      "s1 "};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(sync_token_parse(node, bad[i], &t)->code, ERR_INVALID_PARAM);
    assert_int_equal(sync_token_parse_since(node, "s-1", &t)->code, ERR_INVALID_PARAM);
}

/* ---- batches of other processes ---- */

static void a_change_is_read_back_unchanged(void **state)
{
    arena_auto struct arena *a = arena_create();
    buf_auto struct buf b = {0};
    const int64_t rooms[] = {3, INT64_MAX};
    const struct push_action actions[] = {{9, -1, 1}};
    const struct event *event = make_event(a, room_version_find("11"),
                                           &(struct event_words){.id = "$e",
                                                                 .room_id = "!r:x",
                                                                 .type = "t",
                                                                 .sender = "@a:x",
                                                                 .content = "{'a':'\\u0000'}"});
    const struct change c = {.kind = CHANGE_DEVICE_LIST,
                             .event = event,
                             .redacted_event = event,
                             .user = INT64_MIN,
                             .user_id = "@ä\"\\:x",
                             .device = "D",
                             .client_txn = "t",
                             .json = STR("{\"a\":\"\\u0000\"}"),
                             .private_to_user = true,
                             .notify = -3,
                             .audience = rooms,
                             .audience_n = 2,
                             .actions = actions,
                             .actions_n = 1};
    struct change *back;
    size_t n;
    log_batch_add(&b, &c);
    log_batch_add(&b, &(struct change){.kind = CHANGE_STATE, .room = 4});
    log_batch_end(&b);
    assert_true(log_batch_decode(a, buf_str(&b), 40, &back, &n));
    assert_int_equal(n, 2);
    assert_true(back[0].position == 40 && back[1].position == 41);
    assert_true(back[0].kind == c.kind && back[0].user == c.user && back[0].notify == -3);
    assert_string_equal(back[0].user_id, c.user_id);
    assert_true(str_eq(back[0].json, c.json) && back[0].private_to_user);
    assert_true(str_eq(back[0].event->json, event->json));
    assert_string_equal(back[0].event->event_id, "$e");
    assert_true(str_eq(back[0].redacted_event->json, event->json));
    assert_string_equal(back[0].device, "D");
    assert_string_equal(back[0].client_txn, "t");
    assert_true(!back[1].device && !back[1].event && !back[1].redacted_event);
    assert_true(back[0].audience_n == 2 && back[0].audience[1] == INT64_MAX);
    assert_true(back[0].actions_n == 1 && back[0].actions[0].notify == -1);
    assert_true(!back[0].resets_room && back[1].resets_room && back[1].room == 4);
}

/* Each byte must survive alone, whatever the field's meaning, except in pointers, which the test
 * above covers, and in the fields that every change has. */
static bool is_exposed_otherwise(size_t at)
{
#define OF(name) offsetof(struct change, name), sizeof((struct change *)0)->name
    static const size_t ranges[][2] = {{OF(kind)},       {OF(position)},  {OF(user_id)},
                                       {OF(device)},     {OF(event)},     {OF(json)},
                                       {OF(client_txn)}, {OF(audience)},  {OF(audience_n)},
                                       {OF(actions)},    {OF(actions_n)}, {OF(redacted_event)}};
#undef OF
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
        if (at >= ranges[i][0] && at < ranges[i][0] + ranges[i][1])
            return true;
    return false;
}

/* gcc can tell padding bytes; older clang cannot, and then no byte is checked. */
#if !__has_builtin(__builtin_clear_padding)
#define __builtin_clear_padding(p) memset(p, 0, sizeof *(p))
#endif

static void no_field_is_forgotten(void **state)
{
    struct change used;
    memset(&used, 0xff, sizeof used);
    __builtin_clear_padding(&used);
    for (size_t at = 0; at < sizeof used; at++) {
        arena_auto struct arena *a = arena_create();
        buf_auto struct buf b = {0};
        struct change c = {.kind = CHANGE_ACCOUNT}, *back;
        unsigned char *bytes = (unsigned char *)&c;
        size_t n;
        if (!((unsigned char *)&used)[at] || is_exposed_otherwise(at))
            continue;
        bytes[at] = 1;
        log_batch_add(&b, &c);
        log_batch_end(&b);
        assert_true(log_batch_decode(a, buf_str(&b), 1, &back, &n));
        if (!((const unsigned char *)back)[at])
            fail_msg("what stands at %zu in struct change is not in a batch", at);
    }
}

static void malformed_batches_are_refused(void **state)
{
    arena_auto struct arena *a = arena_create();
    static const char *const bad[] = {"",
                                      "{}",
                                      "[1]",
                                      "[{}]",
                                      "[{\"kind\":-1}]",
                                      "[{\"kind\":99}]",
                                      "[{\"kind\":0}]",
                                      "[{\"kind\":1,\"room\":\"x\"}]",
                                      "[{\"kind\":0,\"event\":{}}]",
                                      "[{\"kind\":7,\"user_id\":1}]"};
    struct change *back;
    size_t n;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(log_batch_decode(a, str_of(bad[i]), 1, &back, &n));
    assert_true(log_batch_decode(a, STR("[]"), 1, &back, &n));
    assert_int_equal(n, 0);
}

static int set_up(void **state)
{
    node_begin();
    return 0;
}

static int tear_down(void **state)
{
    node_end();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tokens_are_good_as_far_as_their_epoch_went),
        cmocka_unit_test(tokens_of_unknown_epochs_are_not_believed),
        cmocka_unit_test(fetched_history_is_given_out_again_too),
        cmocka_unit_test(numbers_for_other_servers_grow),
        cmocka_unit_test(tokens_are_read_as_they_are_written),
        cmocka_unit_test(a_change_is_read_back_unchanged),
        cmocka_unit_test(no_field_is_forgotten),
        cmocka_unit_test(malformed_batches_are_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
