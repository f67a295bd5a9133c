#include "storage/db/feed.h"

#include "check.h"
#include "event_maker.h"

#include <pthread.h>
#include <stdatomic.h>

enum { EVENTS = 1u << CHANGE_EVENT, RECEIPTS = 1u << CHANGE_RECEIPT, ALL = ~0u };
enum { ROOMY = 1 << 20 };

static const struct event *message(struct arena *a, const char *id, const char *content)
{
    return make_event(a, room_version_find("10"),
                      &(struct event_words){.id = id,
                                            .room_id = "!r:x",
                                            .type = "m.room.message",
                                            .sender = "@a:x",
                                            .content = content});
}

static void publish(struct feed *f, int64_t position, int64_t room, int64_t user)
{
    feed_publish(f,
                 &(struct change){.kind = CHANGE_RECEIPT,
                                  .position = position,
                                  .room = room,
                                  .user = user,
                                  .receipt = {"@someone:x", .json = STR("{}")}},
                 1);
}

/* The positions as text, "+" in front when there were more. */
static const char *text_of(struct arena *a, const struct change *list, size_t n, bool more)
{
    buf_auto struct buf b = {0};
    buf_add_text(&b, more ? "+" : "");
    for (size_t i = 0; i < n; i++)
        buf_printf(&b, "%s%lld", i ? " " : "", (long long)list[i].position);
    buf_add_char(&b, '\0');
    return arena_strdup(a, b.p);
}

static const char *room_text(struct arena *a, struct feed *f, int64_t room, int64_t since,
                             int64_t until, size_t max)
{
    const struct change *list;
    size_t n;
    bool more;
    feed_read_room(f, a, room, since, until, ALL, max, &list, &n, &more);
    return text_of(a, list, n, more);
}

static const char *user_text(struct arena *a, struct feed *f, int64_t user, int64_t since)
{
    const struct change *list;
    size_t n;
    bool more;
    feed_read_user(f, a, user, since, INT64_MAX, ALL, 100, &list, &n, &more);
    return text_of(a, list, n, more);
}

static void changes_are_chained_by_room_user_and_kind(void **state)
{
    arena_auto struct arena *a = arena_create();
    struct feed *f = feed_create(100, ROOMY, 10);
    for (int64_t p = 11; p <= 22; p++)
        publish(f, p, p % 3, p % 4);
    assert_string_equal(room_text(a, f, 1, 10, 100, 9), "13 16 19 22");
    assert_string_equal(room_text(a, f, 1, 13, 100, 9), "16 19 22");
    assert_string_equal(room_text(a, f, 1, 10, 19, 9), "13 16 19");
    assert_string_equal(room_text(a, f, 1, 10, 100, 2), "+19 22"); /* the newest of them */
    assert_string_equal(room_text(a, f, 1, 10, 19, 2), "+16 19");
    assert_string_equal(room_text(a, f, 1, 10, 100, 0), "+");
    assert_string_equal(room_text(a, f, 1, 22, 100, 0), "");
    assert_string_equal(room_text(a, f, 7, 10, 100, 9), "");
    assert_string_equal(user_text(a, f, 2, 10), "14 18 22");
    assert_string_equal(user_text(a, f, 2, 18), "22");
    /* 0 is no room and no user */
    assert_string_equal(room_text(a, f, 0, 10, 100, 9), "");
    assert_int_equal(feed_room_position(f, 1), 22);
    assert_int_equal(feed_room_position(f, 7), 0);
    assert_int_equal(feed_user_position(f, 1), 21);
    assert_int_equal(feed_kind_position(f, CHANGE_RECEIPT), 22);
    assert_int_equal(feed_kind_position(f, CHANGE_PRESENCE), 0);
    feed_destroy(f);
}

static void kinds_are_distinguished(void **state)
{
    arena_auto struct arena *a = arena_create();
    struct feed *f = feed_create(100, ROOMY, 0);
    const struct change list[] = {
        {.kind = CHANGE_EVENT, .position = 1, .room = 5, .event.event = message(a, "$1", "{}")},
        {.kind = CHANGE_RECEIPT, .position = 2, .room = 5},
        {.kind = CHANGE_PRESENCE, .position = 3, .user = 6},
        {.kind = CHANGE_EVENT, .position = 4, .room = 5, .event.event = message(a, "$4", "{}")},
    };
    feed_publish(f, list, 4);
    const struct change *got;
    size_t n;
    bool more;
    feed_read_room(f, a, 5, 0, 9, EVENTS, 9, &got, &n, &more);
    assert_string_equal(text_of(a, got, n, more), "1 4");
    feed_read_room(f, a, 5, 0, 9, RECEIPTS, 9, &got, &n, &more);
    assert_string_equal(text_of(a, got, n, more), "2");
    feed_destroy(f);
}

static void the_oldest_give_way(void **state)
{
    arena_auto struct arena *a = arena_create();
    struct feed *f = feed_create(4, ROOMY, 0);
    assert_true(feed_covers(f, 0));
    for (int64_t p = 1; p <= 6; p++)
        publish(f, p, 1 + p % 2, 1);
    assert_false(feed_covers(f, 1)); /* 2 is gone */
    assert_true(feed_covers(f, 2) && feed_covers(f, 6));
    assert_string_equal(room_text(a, f, 1, 0, 100, 9), "4 6"); /* ends where the ring ends */
    assert_string_equal(user_text(a, f, 1, 2), "3 4 5 6");
    feed_destroy(f);
}

static void bytes_are_bounded(void **state)
{
    arena_auto struct arena *a = arena_create();
    char *big = arena_alloc(a, 5000);
    memset(big, 'x', 5000);
    struct feed *f = feed_create(1000, 30000, 0);
    for (int64_t p = 1; p <= 20; p++)
        feed_publish(
            f,
            &(struct change){
                .kind = CHANGE_RECEIPT, .position = p, .room = 1, .receipt.json = {big, 5000}},
            1);
    assert_false(feed_covers(f, 10));
    assert_true(feed_covers(f, 18));
    /* one larger than the whole budget is kept alone */
    struct str huge = {arena_alloc(a, 100000), 100000};
    memset((char *)huge.p, 'y', huge.n);
    feed_publish(
        f,
        &(struct change){.kind = CHANGE_RECEIPT, .position = 21, .room = 1, .receipt.json = huge},
        1);
    assert_true(feed_covers(f, 20));
    assert_false(feed_covers(f, 19));
    assert_string_equal(room_text(a, f, 1, 20, 99, 9), "21");
    feed_destroy(f);
}

/* A few bytes of JSON may use much memory once they are parsed. */
static void trees_of_contents_count(void **state)
{
    arena_auto struct arena *a = arena_create();
    struct buf b = {0};
    BUF_LIT(&b, "{\"membership\":\"join\",\"x\":[{}");
    while (b.n < 30000)
        BUF_LIT(&b, ",{}");
    BUF_LIT(&b, "]}");
    buf_add_char(&b, '\0');
    const struct event *e = message(a, "$large", b.p);
    size_t before = event_memory(e);
    assert_true(before < 40000);
    assert_non_null(event_content(e));
    assert_true(event_memory(e) > 40 * before);
    struct feed *f = feed_create(1000, 3 << 20, 0);
    for (int64_t p = 1; p <= 10; p++)
        feed_publish(
            f, &(struct change){.kind = CHANGE_EVENT, .position = p, .room = 1, .event.event = e},
            1);
    assert_true(feed_covers(f, 9));
    assert_false(feed_covers(f, 7));
    feed_destroy(f);
    buf_finish(&b);
}

static void a_reset_starts_anew(void **state)
{
    arena_auto struct arena *a = arena_create();
    struct feed *f = feed_create(8, ROOMY, 0);
    for (int64_t p = 1; p <= 3; p++)
        publish(f, p, 1, 1);
    feed_reset(f, 10);
    assert_int_equal(feed_position(f), 10);
    assert_int_equal(feed_newest(f), 10);
    assert_false(feed_covers(f, 9));
    assert_true(feed_covers(f, 10));
    assert_int_equal(feed_room_position(f, 1), 0);
    assert_int_equal(feed_kind_position(f, CHANGE_RECEIPT), 0);
    publish(f, 11, 1, 1);
    assert_string_equal(room_text(a, f, 1, 0, 99, 9), "11"); /* no chain leads behind the reset */
    feed_destroy(f);
}

static void read_changes_belong_to_the_reader(void **state)
{
    arena_auto struct arena *a = arena_create();
    struct feed *f = feed_create(5, ROOMY, 0);
    char user_id[] = "@someone:x", device[] = "DEVICE", txn[] = "txn", json[] = "{\"a\":1}";
    {
        arena_auto struct arena *writers = arena_create();
        const struct change list[] = {
            {.kind = CHANGE_EVENT,
             .position = 1,
             .room = 1,
             .event = {message(writers, "$1", "{'n':1}"), .client_txn = txn}},
            {.kind = CHANGE_RECEIPT,
             .position = 2,
             .room = 1,
             .receipt = {user_id, .json = {json, sizeof json - 1}}},
            {.kind = CHANGE_TO_DEVICE, .position = 3, .room = 1, .device.device_id = device},
            {.kind = CHANGE_TO_SERVER, .position = 4, .room = 1, .to_server.server = user_id},
            {.kind = CHANGE_TYPING, .position = 5, .room = 1, .typing.user_id = user_id},
        };
        feed_publish(f, list, 5);
    }
    memset(user_id, 'x', sizeof user_id - 1);
    memset(json, 'x', sizeof json - 1);
    memset(device, 'x', sizeof device - 1);
    memset(txn, 'x', sizeof txn - 1);
    const struct change *got;
    size_t n;
    bool more;
    feed_read_room(f, a, 1, 0, 9, ALL, 9, &got, &n, &more);
    for (int64_t p = 6; p <= 10; p++)
        publish(f, p, 1, 1);
    feed_destroy(f);
    assert_int_equal(n, 5);
    assert_string_equal(got[0].event.client_txn, "txn");
    check_text("event", got[0].event.event->content, "{\"n\":1}");
    assert_string_equal(got[1].receipt.user_id, "@someone:x");
    check_text("json", got[1].receipt.json, "{\"a\":1}");
    assert_string_equal(got[2].device.device_id, "DEVICE");
    assert_string_equal(got[3].to_server.server, "@someone:x");
    assert_string_equal(got[4].typing.user_id, "@someone:x");
}

static void a_redaction_reaches_into_the_ring(void **state)
{
    arena_auto struct arena *a = arena_create();
    struct feed *f = feed_create(8, ROOMY, 0);
    const struct change list[] = {
        {.kind = CHANGE_EVENT,
         .position = 1,
         .room = 1,
         .event.event = message(a, "$1", "{'s':1}")},
        {.kind = CHANGE_EVENT,
         .position = 2,
         .room = 1,
         .event.event = message(a, "$2", "{}"),
         .event.redacts_position = 1,
         .local.redacted_event = message(a, "$1", "{}")},
        /* of one that was never in the ring */
        {.kind = CHANGE_EVENT,
         .position = 3,
         .room = 1,
         .event.event = message(a, "$3", "{}"),
         .event.redacts_position = -5,
         .local.redacted_event = message(a, "$0", "{}")},
        {.kind = CHANGE_EVENT,
         .position = 4,
         .room = 1,
         .event.event = message(a, "$4", "{}"),
         .event.parent = 2},
    };
    feed_publish(f, list, 4);
    const struct change *got;
    size_t n;
    bool more;
    feed_read_room(f, a, 1, 0, 9, EVENTS, 9, &got, &n, &more);
    assert_int_equal(n, 4);
    check_text("redacted", got[0].event.event->content, "{}");
    assert_int_equal(got[0].event.redacted_by, 2);
    assert_int_equal(got[2].event.redacted_by, 0);
    assert_true(got[1].event.has_children && !got[0].event.has_children);
    feed_destroy(f);
}

/* ---- listeners ---- */

struct heard {
    struct feed *feed;
    int64_t last, settled_at_listen, settled_at_settled;
    int batches, resets, settled;
};

static void listen(void *ctx, const struct change *changes, size_t n)
{
    struct heard *h = ctx;
    h->batches += n > 0;
    h->resets += n == 0;
    if (n)
        h->last = changes[n - 1].position;
    h->settled_at_listen = feed_position(h->feed);
    assert_true(feed_newest(h->feed) >= h->last);
}

static void settle(void *ctx)
{
    struct heard *h = ctx;
    h->settled++;
    h->settled_at_settled = feed_position(h->feed);
}

static void readers_see_what_listeners_have_seen(void **state)
{
    struct feed *f = feed_create(8, ROOMY, 0);
    struct heard h = {.feed = f};
    const struct feed_listener list[] = {{listen, settle, &h}};
    feed_set_listeners(f, list, 1);
    const struct change two[] = {{.kind = CHANGE_PROFILE, .position = 1, .user = 1},
                                 {.kind = CHANGE_PROFILE, .position = 2, .user = 1}};
    feed_publish(f, two, 2);
    assert_true(h.batches == 1 && h.last == 2 && h.settled == 1);
    assert_int_equal(h.settled_at_listen, 0);
    assert_int_equal(h.settled_at_settled, 2);
    feed_publish(f, NULL, 0);
    assert_int_equal(h.settled, 1);
    feed_reset(f, 9);
    assert_true(h.resets == 1 && h.settled == 2 && h.settled_at_settled == 9);
    feed_destroy(f);
}

/* Each adds its letter: a small one when it hears, a capital one when all have heard. */
struct singer {
    struct buf *song;
    char letter;
};

static void sing(void *ctx, const struct change *changes, size_t n)
{
    const struct singer *s = ctx;
    buf_add_char(s->song, s->letter);
}

static void sing_settled(void *ctx)
{
    const struct singer *s = ctx;
    buf_add_char(s->song, (char)(s->letter - 'a' + 'A'));
}

static void listeners_are_called_in_their_order(void **state)
{
    buf_auto struct buf song = {0};
    struct singer a = {&song, 'a'}, b = {&song, 'b'}, c = {&song, 'c'};
    const struct feed_listener list[] = {
        {sing, sing_settled, &c}, {sing, NULL, &a}, {sing, sing_settled, &b}};
    struct feed *f = feed_create(8, ROOMY, 0);
    feed_set_listeners(f, list, 3);
    publish(f, 1, 1, 1);
    check_text("a batch", buf_str(&song), "cabCB");
    feed_reset(f, 9);
    check_text("and a reset", buf_str(&song), "cabCBcabCB");
    feed_destroy(f);
}

/* ---- readers beside a writer ---- */

struct race {
    struct feed *feed;
    _Atomic bool done;
    _Atomic int64_t holes;
};

/* A reader's result is complete when the ring still covers it afterwards. */
static void *read_on(void *arg)
{
    struct race *r = arg;
    while (!r->done) {
        arena_auto struct arena *a = arena_create();
        int64_t until = feed_position(r->feed), since = until > 40 ? until - 40 : 0;
        const struct change *list;
        size_t n;
        bool more;
        feed_read_user(r->feed, a, 1, since, until, ALL, 1000, &list, &n, &more);
        if (!feed_covers(r->feed, since))
            continue;
        if ((int64_t)n != until - since)
            r->holes++;
        for (size_t i = 0; i < n; i++)
            if (list[i].position != since + 1 + (int64_t)i ||
                strcmp(list[i].receipt.user_id, "@someone:x") != 0)
                r->holes++;
    }
    return NULL;
}

static void readers_beside_a_writer(void **state)
{
    struct race r = {.feed = feed_create(64, ROOMY, 0)};
    pthread_t readers[3];
    for (int i = 0; i < 3; i++)
        pthread_create(&readers[i], NULL, read_on, &r);
    for (int64_t p = 1; p <= 20000; p++)
        publish(r.feed, p, 1 + p % 5, 1);
    r.done = true;
    for (int i = 0; i < 3; i++)
        pthread_join(readers[i], NULL);
    assert_int_equal(r.holes, 0);
    feed_destroy(r.feed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(changes_are_chained_by_room_user_and_kind),
        cmocka_unit_test(kinds_are_distinguished),
        cmocka_unit_test(the_oldest_give_way),
        cmocka_unit_test(bytes_are_bounded),
        cmocka_unit_test(trees_of_contents_count),
        cmocka_unit_test(a_reset_starts_anew),
        cmocka_unit_test(read_changes_belong_to_the_reader),
        cmocka_unit_test(a_redaction_reaches_into_the_ring),
        cmocka_unit_test(readers_see_what_listeners_have_seen),
        cmocka_unit_test(listeners_are_called_in_their_order),
        cmocka_unit_test(readers_beside_a_writer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
