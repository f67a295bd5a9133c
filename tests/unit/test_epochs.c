/* The position of tokens after the database was restored from a backup, and batches of changes as
 * rows. */
#include "node_fixture.h"

#include "event_maker.h"
#include "matrix/json_scan.h"
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
    sync_token_add(&b, node->storage, 5, 7);
    NO_ERR(sync_token_parse(node->storage, buf_str(&b).p, &t));
    assert_true(t.position == 5 && t.serial == 7 && !t.is_lost);
    NO_ERR(sync_token_parse_since(node->storage, "s0", &t));
    NO_ERR(sync_token_parse_since(node->storage, "s0_12", &t));
    assert_true(!t.is_lost && t.serial == 12);
    NO_ERR(sync_token_parse_since(node->storage, "s5_12_abc", &t));
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
        assert_int_equal(sync_token_parse(node->storage, bad[i], &t)->code, ERR_INVALID_PARAM);
    assert_int_equal(sync_token_parse_since(node->storage, "s-1", &t)->code, ERR_INVALID_PARAM);
}

/* ---- batches of other processes ---- */

static void a_change_is_read_back_unchanged(void **state)
{
    arena_auto struct arena *a = arena_create();
    buf_auto struct buf b = {0};
    const int64_t rooms[] = {3, INT64_MAX};
    const char *const extremities[] = {"$e", "$\"f"};
    const struct change_head head = {
        .version = INT64_MAX, .depth = 3, .extremities = extremities, .extremities_n = 2};
    const struct push_action actions[] = {{9, -1, 1}};
    const struct event *event = make_event(a, room_version_find("11"),
                                           &(struct event_words){.id = "$e",
                                                                 .room_id = "!r:x",
                                                                 .type = "t",
                                                                 .sender = "@a:x",
                                                                 .content = "{'a':'\\u0000'}"});
    const struct change list[] = {
        {.kind = CHANGE_EVENT,
         .user = INT64_MIN,
         .event = {event, .client_txn = "t", .notify = -3},
         .local = {.redacted_event = event, .actions = actions, .actions_n = 1}},
        {.kind = CHANGE_RECEIPT,
         .receipt = {"@ä\"\\:x", .json = STR("{\"a\":\"\\u0000\"}"), .is_private = true}},
        {.kind = CHANGE_DEVICE_LIST,
         .device_list = {"@a:x", .is_private = true},
         .local = {.audience = rooms, .audience_n = 2}},
        {.kind = CHANGE_TO_DEVICE, .device.device_id = "D"},
        {.kind = CHANGE_STATE, .room = 4, .local.resets_room = true},
        {.kind = CHANGE_STATE, .state.event = event, .local.head = &head},
        {.kind = CHANGE_ACCOUNT, .account = {"@b:x", .is_erasure = true}},
        {.kind = CHANGE_TO_SERVER, .to_server.server = "s"},
        {.kind = CHANGE_TYPING, .typing = {"@t:x", INT64_MAX, .is_repeated = true}},
    };
    enum { N = sizeof list / sizeof *list };
    struct change back[N];
    for (size_t i = 0; i < N; i++)
        log_batch_add(&b, &list[i]);
    log_batch_end(&b);
    assert_null(json_scan_check(buf_str(&b)));
    assert_false(log_batch_decode(a, buf_str(&b), 40, back, N - 1));
    assert_true(log_batch_decode(a, buf_str(&b), 40, back, N));
    for (int i = 0; i < N; i++)
        assert_true(back[i].position == 40 + i && back[i].kind == list[i].kind);
    assert_true(back[0].user == INT64_MIN && back[0].event.notify == -3);
    assert_true(str_eq(back[0].event.event->json, event->json));
    assert_string_equal(back[0].event.event->event_id, "$e");
    assert_string_equal(back[0].event.client_txn, "t");
    assert_true(str_eq(back[0].local.redacted_event->json, event->json));
    assert_true(back[0].local.actions_n == 1 && back[0].local.actions[0].notify == -1);
    assert_string_equal(back[1].receipt.user_id, list[1].receipt.user_id);
    assert_true(str_eq(back[1].receipt.json, list[1].receipt.json) && back[1].receipt.is_private);
    assert_true(!back[1].local.redacted_event && !back[1].local.resets_room);
    assert_string_equal(back[2].device_list.user_id, "@a:x");
    assert_true(back[2].device_list.is_private && !back[2].local.resets_room);
    assert_true(back[2].local.audience_n == 2 && back[2].local.audience[1] == INT64_MAX);
    assert_string_equal(back[3].device.device_id, "D");
    assert_true(!back[4].state.event && back[4].local.resets_room && back[4].room == 4);
    assert_true(str_eq(back[5].state.event->json, event->json));
    assert_true(back[5].local.head->version == INT64_MAX && back[5].local.head->depth == 3);
    assert_int_equal(back[5].local.head->extremities_n, 2);
    assert_string_equal(back[5].local.head->extremities[1], "$\"f");
    assert_string_equal(back[6].account.user_id, "@b:x");
    assert_string_equal(back[7].to_server.server, "s");
    assert_string_equal(back[8].typing.user_id, "@t:x");
    assert_true(back[8].typing.until_ms == INT64_MAX && back[8].typing.is_repeated);
}

/* What each kind has, without its pointers, which the test above covers. */
#define PART(kind, member, pointers)                                                               \
    {                                                                                              \
        CHANGE_##kind, offsetof(struct change, member), sizeof((struct change *)0)->member,        \
            (pointers) * sizeof(void *)                                                            \
    }
static const struct part {
    enum change_kind kind;
    size_t at, n, pointers; /* in bytes; pointers come first */
} parts[] = {
    PART(EVENT, event, 2),
    PART(STATE, state, 1),
    PART(RECEIPT, receipt, 3), /* with the length of the text */
    PART(ACCOUNT_DATA, account_data, 0),
    PART(TO_DEVICE, device, 1),
    PART(DEVICE_LIST, device_list, 1),
    PART(PRESENCE, presence, 2),
    PART(PRESENCE, local, 6), /* as of any kind */
    PART(PROFILE, room, 0),
    PART(PROFILE, user, 0),
    PART(DEVICE_KEYS, device, 1),
    PART(ACCOUNT, account, 1),
    PART(TO_SERVER, to_server, 1),
    PART(TYPING, typing, 1),
    PART(FORGET, room, 0),
    PART(FORGET, user, 0),
};

/* gcc can tell padding bytes; older clang cannot, and then no byte is checked. */
#if !__has_builtin(__builtin_clear_padding)
#define __builtin_clear_padding(p) memset(p, 0, sizeof *(p))
#endif

/* The bytes of a part that are no padding are not zero. */
static void fill_without_padding(const struct part *p, struct change *ret)
{
    memset(ret, 0xff, sizeof *ret);
    switch (p->kind) {
    case CHANGE_EVENT:
        __builtin_clear_padding(&ret->event);
        break;
    case CHANGE_STATE:
        __builtin_clear_padding(&ret->state);
        break;
    case CHANGE_RECEIPT:
        __builtin_clear_padding(&ret->receipt);
        break;
    case CHANGE_DEVICE_LIST:
        __builtin_clear_padding(&ret->device_list);
        break;
    case CHANGE_ACCOUNT:
        __builtin_clear_padding(&ret->account);
        break;
    case CHANGE_TYPING:
        __builtin_clear_padding(&ret->typing);
        break;
    case CHANGE_PRESENCE:
        __builtin_clear_padding(&ret->presence);
        __builtin_clear_padding(&ret->local);
        break;
    default:
        break;
    }
}

/* Each byte must survive alone, whatever the field's meaning. */
static void check_part(const struct part *p, const struct event *event)
{
    struct change used;
    fill_without_padding(p, &used);
    for (size_t at = p->at + p->pointers; at < p->at + p->n; at++) {
        arena_auto struct arena *a = arena_create();
        buf_auto struct buf b = {0};
        struct change c = {.kind = p->kind}, back;
        if (!((unsigned char *)&used)[at])
            continue;
        if (p->kind == CHANGE_PRESENCE)
            c.presence.user_id = "x";
        if (p->pointers && p->kind != CHANGE_PRESENCE)
            *(const void **)((char *)&c + p->at) =
                p->kind == CHANGE_EVENT || p->kind == CHANGE_STATE ? (const void *)event : "x";
        ((unsigned char *)&c)[at] = 1;
        log_batch_add(&b, &c);
        log_batch_end(&b);
        assert_true(log_batch_decode(a, buf_str(&b), 1, &back, 1));
        if (!((const unsigned char *)&back)[at])
            fail_msg("what stands at %zu in a change of kind %d is not in a batch", at, p->kind);
    }
}

static void no_field_is_forgotten(void **state)
{
    arena_auto struct arena *a = arena_create();
    const struct event *event = make_event(
        a, room_version_find("11"),
        &(struct event_words){.id = "$e", .room_id = "!r:x", .type = "t", .sender = "@a:x"});
    unsigned seen = 0;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        check_part(&parts[i], event);
        seen |= 1u << parts[i].kind;
    }
    assert_int_equal(seen, (1u << CHANGE_KIND_COUNT) - 1);
}

/* As rows were written before. */
static void json_in_a_string_is_read(void **state)
{
    arena_auto struct arena *a = arena_create();
    struct change back[2];
    struct str row = STR("[{\"kind\":0,\"event\":{\"version\":\"11\",\"id\":\"$e\",\"json\":"
                         "\"{\\\"content\\\":{},\\\"depth\\\":1,\\\"origin_server_ts\\\":1,"
                         "\\\"room_id\\\":\\\"!r\\\",\\\"sender\\\":\\\"@a:x\\\","
                         "\\\"type\\\":\\\"t\\\"}\"}},"
                         "{\"kind\":2,\"json\":\"{\\\"a\\\":1}\",\"of later versions\":1}]");
    assert_true(log_batch_decode(a, row, 1, back, 2));
    assert_string_equal(back[0].event.event->room_id, "!r");
    assert_true(str_is(back[1].receipt.json, "{\"a\":1}"));
}

/* A node of this version beside one of the next. */
static void what_newer_versions_write_is_skipped(void **state)
{
    arena_auto struct arena *a = arena_create();
    static const char *const newer[] = {
        "{\"kind\":99,\"room\":5,\"user\":6,\"head\":[1,2,3,4,[\"$e\"]],\"new\":{\"a\":[1]}}",
        "{\"kind\":0,\"room\":5,\"user\":6,\"event\":{\"version\":\"of later\",\"id\":\"$e\","
        "\"json\":{}},\"client_txn\":\"t\",\"head\":[1,2,3,4,[\"$e\"]]}",
        "{\"kind\":1,\"room\":5,\"user\":6,\"event\":{\"version\":\"of later\"},"
        "\"state_event\":7,\"head\":[1,2,3,4,[\"$e\"]]}"};
    for (size_t i = 0; i < sizeof newer / sizeof *newer; i++) {
        struct feed *f = feed_create(4, 1000, 0);
        struct change back[2];
        buf_auto struct buf b = {0};
        buf_printf(&b, "[%s,{\"kind\":3,\"user\":6}]", newer[i]);
        assert_true(log_batch_decode(a, buf_str(&b), 1, back, 2));
        assert_int_equal(back[0].kind, CHANGE_UNKNOWN);
        assert_int_equal(back[0].room, 5);
        assert_int_equal(back[0].local.head->version, 1);
        assert_null(change_any_event(&back[0]));
        assert_int_equal(back[1].kind, CHANGE_ACCOUNT_DATA);
        feed_publish(f, back, 2);
        assert_int_equal(feed_position(f), 2);
        assert_int_equal(feed_kind_position(f, CHANGE_EVENT), 0);
        feed_destroy(f);
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
                                      "[{\"kind\":99,\"room\":\"x\"}]",
                                      "[{\"kind\":0}]",
                                      "[{\"kind\":1,\"room\":\"x\"}]",
                                      "[{\"kind\":0,\"event\":{}}]",
                                      "[{\"kind\":9,\"user_id\":1}]",
                                      "[{\"kind\":9,\"is_erasure\":1}]",
                                      "[{\"kind\":1,\"head\":[1,2,3,4]}]",
                                      "[{\"kind\":1,\"head\":[1,2,3,4,[5]]}]",
                                      "[{\"kind\":1,\"audience\":[1,\"2\"]}]",
                                      "[{\"kind\":1,\"actions\":[[1,2]]}]",
                                      "[{\"room\":1,\"kind\":1}]",
                                      "[{\"kind\":4}]",
                                      "[{\"kind\":8}]",
                                      "[{\"kind\":10}]"};
    struct change back;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_false(log_batch_decode(a, str_of(bad[i]), 1, &back, 1));
        assert_false(log_batch_decode(a, str_of(bad[i]), 1, &back, 0));
    }
    assert_true(log_batch_decode(a, STR("[]"), 1, &back, 0));
    assert_false(log_batch_decode(a, STR("[]"), 1, &back, 1));
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
        cmocka_unit_test(json_in_a_string_is_read),
        cmocka_unit_test(what_newer_versions_write_is_skipped),
        cmocka_unit_test(malformed_batches_are_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
