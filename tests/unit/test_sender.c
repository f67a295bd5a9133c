/* The sender on a whole node, with other servers that are functions here instead of HTTP. */
#include "check.h"
#include "federation/federation.h"
#include "federation/out/sender_internal.h"
#include "federation/peer/answers.h"
#include "federation/peer/path.h"
#include "federation/peer/request.h"
#include "node_fixture.h"
#include "rooms/room_cache.h"
#include "storage/rooms/events.h"
#include "storage/servers/destinations.h"
#include "users/receipts.h"
#include "users/typing.h"
#include "waiting.h"

#include <stdatomic.h>
#include <unistd.h>

enum { TRANSACTIONS_MAX = 4000, PATIENCE_MS = 20000 };
#define LEASE_YEAR_MS (INT64_C(365) * 24 * 3600 * 1000) /* the tests move the clock */

/* ---- the other servers ---- */

struct seen {
    char server[32], id[32];
    char first[EVENT_KEY_MAX + 1]; /* the body of its first message */
    size_t pdus, edus;
    bool taken;
};

static struct {
    pthread_mutex_t mutex;
    struct seen seen[TRANSACTIONS_MAX];
    size_t n;
    _Atomic bool far_fails, far_hangs;
} world = {.mutex = PTHREAD_MUTEX_INITIALIZER};

bool federation_may_contact(const struct config *c, const char *server)
{
    return strcmp(server, "forbidden.example") != 0;
}

const char *federation_path(struct arena *a, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    const char *path = arena_vprintf(a, format, ap);
    va_end(ap);
    return path;
}

const struct err *federation_exchange(struct job *job, const struct fed_request *r,
                                      struct fed_reply *ret)
{
    json_t *body;
    bool is_far = strcmp(r->server, "far.example") == 0;
    while (is_far && world.far_hangs)
        wait_briefly();
    TRY(json_read(job->arena, r->raw_body, &body));
    const json_t *pdus = json_object_get(body, "pdus");
    const char *first = json_text(json_at(json_array_get(pdus, 0), "content", NULL), "body");
    pthread_mutex_lock(&world.mutex);
    struct seen *s = &world.seen[world.n++];
    snprintf(s->server, sizeof s->server, "%s", r->server);
    snprintf(s->id, sizeof s->id, "%s", strrchr(r->path, '/') + 1);
    snprintf(s->first, sizeof s->first, "%s", first ? first : "");
    s->pdus = json_array_size(pdus);
    s->edus = json_array_size(json_object_get(body, "edus"));
    s->taken = !is_far || !world.far_fails;
    bool taken = s->taken;
    pthread_mutex_unlock(&world.mutex);
    *ret = (struct fed_reply){.status = 200};
    return taken ? NULL : err(ERR_CONNECTION_FAILED, "No server listens");
}

const struct err *federation_request(struct job *job, const struct fed_request *r,
                                     struct fed_reply *ret)
{
    return federation_exchange(job, r, ret);
}

/* How many events the server has taken since the test began. */
static size_t taken(const char *server, size_t *ret_edus)
{
    size_t pdus = 0, edus = 0;
    pthread_mutex_lock(&world.mutex);
    for (size_t i = 0; i < world.n; i++)
        if (world.seen[i].taken && strcmp(world.seen[i].server, server) == 0) {
            pdus += world.seen[i].pdus;
            edus += world.seen[i].edus;
        }
    pthread_mutex_unlock(&world.mutex);
    if (ret_edus)
        *ret_edus = edus;
    return pdus;
}

static void await_events(const char *proves, const char *server, size_t wanted)
{
    for (int ms = 0; ms < PATIENCE_MS && taken(server, NULL) < wanted; ms++)
        wait_briefly();
    if (taken(server, NULL) != wanted)
        fail_msg("%s: %zu instead of %zu events", proves, taken(server, NULL), wanted);
}

static void await_edus(const char *proves, const char *server, size_t wanted)
{
    size_t edus = 0;
    for (int ms = 0; ms < PATIENCE_MS && (taken(server, &edus), edus < wanted); ms++)
        wait_briefly();
    if (edus != wanted)
        fail_msg("%s: %zu instead of %zu EDUs", proves, edus, wanted);
}

/* ---- the node ---- */

static struct federation federation;

static bool is_backed_off(const char *server)
{
    return federation.watch.is_backed_off(federation.watch.of, server);
}
static struct feed_listener listeners[LISTENERS_N + 1];
static struct sender *by_hand; /* a sender that is notified, and does nothing by itself */
static struct arena *arena;
static struct job job;
static struct author alice, bob, carol;
static const char *room_id;

static int begin(void **state)
{
    node_begin();
    federation.node = node_store();
    node_store()->federation = &federation;
    federation.answers = answers_create(node_store()->caches);
    by_hand = sender_create(node_store());
    for (int i = 0; i < LEASE_SLICES; i++)
        by_hand->slices[i] = (struct sender_slice){.fence = 1, .has_scanned = true};
    node_store()->storage->leases = leases_create(node_store());
    leases_set_node(node_store()->storage->leases,
                    &(struct lease_settings){.node = 1, .lease_ms = LEASE_YEAR_MS});
    federation.sender = sender_create(node_store()); /* the last one is notified of typing */
    size_t n = listeners_of(node_store(), listeners);
    listeners[n++] = (struct feed_listener){sender_on_changes, .ctx = by_hand};
    feed_set_listeners(node_store()->storage->feed, listeners, n);
    federation.watch = sender_watch(federation.sender);
    sender_start(federation.sender);
    leases_start(node_store()->storage->leases);
    return 0;
}

static int end(void **state)
{
    sender_stop(federation.sender);
    leases_give_back(node_store()->storage->leases);
    node_store()->federation = NULL;
    struct sender *s = federation.sender;
    answers_destroy(federation.answers);
    committer_stop(node_store()->storage->committer); /* the listener may be called until then */
    node_store()->storage->committer = NULL;
    sender_destroy(s);
    sender_destroy(by_hand);
    node_end();
    return 0;
}

/* A room with members of two other servers. */
/* Waits until it is saved that the server has been sent everything. */
static const struct destination_row *await_cursor(const char *server)
{
    const struct destination_row *rows;
    size_t n;
    int64_t head = feed_position(node_store()->storage->feed);
    for (int ms = 0; ms < PATIENCE_MS; ms++) {
        pg_must("list", destinations_list(job_tx(&job), server, &rows, &n));
        if (n && rows[0].sent_position >= head)
            return rows;
        wait_briefly();
    }
    fail_msg("%s has not been sent everything", server);
    return NULL;
}

static int set_up(void **state)
{
    world.far_fails = world.far_hangs = false;
    arena = arena_create();
    job_init(&job, node_store(), arena);
    alice = author_named("@alice:test.example");
    bob = author_named("@bob:far.example");
    carol = author_named("@carol:near.example");
    room_id = create_public_room(&job, &alice, "11");
    pg_must("join", set_membership(&job, room_id, &bob, "join"));
    pg_must("join", set_membership(&job, room_id, &carol, "join"));
    const char *id;
    pg_must("send", send_text(&job, room_id, &alice, "the first", &id));
    await_cursor("far.example"); /* all that is pending is sent */
    await_cursor("near.example");
    pthread_mutex_lock(&world.mutex);
    world.n = 0;
    pthread_mutex_unlock(&world.mutex);
    return 0;
}

static int tear_down(void **state)
{
    const char *id;
    world.far_fails = world.far_hangs = false;
    sender_heard_from(federation.sender, "far.example");
    pg_must("send", send_text(&job, room_id, &alice, "the last", &id));
    await_cursor("far.example");
    await_cursor("near.example");
    pg_must("leave", set_membership(&job, room_id, &bob, "leave"));
    pg_must("leave", set_membership(&job, room_id, &carol, "leave"));
    job_finish(&job);
    arena_destroy(arena);
    return 0;
}

static const char *say(int n)
{
    const char *id = NULL;
    for (int i = 0; i < n; i++)
        pg_must("send", send_text(&job, room_id, &alice, arena_printf(arena, "%d", i), &id));
    return id;
}

/* ---- tests ---- */

static int set_up_alone(void **state)
{
    arena = arena_create();
    job_init(&job, node_store(), arena);
    alice = author_named("@alice:test.example");
    bob = author_named("@bob:far.example");
    room_id = create_public_room(&job, &alice, "11");
    return 0;
}

static int tear_down_quietly(void **state)
{
    pg_must("leave", set_membership(&job, room_id, &bob, "leave"));
    job_finish(&job);
    arena_destroy(arena);
    return 0;
}

static struct destination *far_by_hand(void)
{
    return map_get(&by_hand->destinations, str_of("far.example"));
}

static struct change as_change(const char *event_id)
{
    const struct stored_event *e;
    pg_must("find", events_get_by_id(job_tx(&job), event_id, &e));
    return (struct change){
        .kind = CHANGE_EVENT, .position = e->position, .room = e->room, .event.event = e->event};
}

static bool is_queued(int64_t position)
{
    const struct destination *d = far_by_hand();
    for (size_t i = 0; d && i < d->n; i++)
        if (d->queue[d->first + i].position == position)
            return true;
    return false;
}

/* The room of an event is not in memory, and its servers have not been read when the other server
 * joins. */
static void test_nothing_from_before_it_joined(void **state)
{
    const char *id;
    pg_must("send", send_text(&job, room_id, &alice, "before", &id));
    const struct change before = as_change(id);
    room_forget(&job, room_named(&job, room_id));
    sender_on_changes(by_hand, &before, 1);
    assert_non_null(by_hand->unresolved);
    pg_must("join", set_membership(&job, room_id, &bob, "join"));
    int64_t joined = by_hand->heard;
    pg_must("send", send_text(&job, room_id, &alice, "since", &id));
    pg_must("resolve", sender_resolve(by_hand, &job));
    const struct destination *d = far_by_hand();
    assert_non_null(d);
    assert_int_equal(d->n, 1);
    assert_true(d->queue[d->first].position > joined);
}

/* A cached room already has all changes of a commit. */
static void test_a_join_in_the_same_commit(void **state)
{
    const char *before, *join, *after;
    struct room *room = room_named(&job, room_id);
    pg_must("send", send_text(&job, room_id, &alice, "before", &before));
    const struct new_event joining = {.type = "m.room.member",
                                      .state_key = bob.user_id,
                                      .content = STR("{\"membership\":\"join\"}")};
    pg_must("join", room_append(&job, room, &bob, &joining, 1, &join));
    pg_must("send", send_text(&job, room_id, &alice, "after", &after));
    const struct change together[] = {as_change(before), as_change(join), as_change(after)};
    if (far_by_hand())
        queue_clear_locked(far_by_hand());
    sender_on_changes(by_hand, together, 3);
    pg_must("resolve", sender_resolve(by_hand, &job));
    assert_false(is_queued(together[0].position));
    assert_true(is_queued(together[2].position));
}

/* A destination may be served between the marking of an event and the end of the changes of its
 * commit. */
static void test_skipped_events_are_caught_up(void **state)
{
    int64_t heard = by_hand->heard;
    struct destination *d = far_by_hand();
    assert_non_null(d);
    d->sent = heard;
    d->is_live = false;
    const char *id = say(1);
    by_hand->heard = heard;
    pg_must("catch up", sender_catch_up(by_hand, &job, d));
    assert_true(is_queued(as_change(id).position));
}

static void test_all_come_in_order_fifty_at_most(void **state)
{
    world.far_hangs = true;
    say(130);
    await_events("a server that hangs delays no other", "near.example", 130);
    assert_int_equal(taken("far.example", NULL), 0);
    world.far_hangs = false;
    await_events("all come", "far.example", 130);
    size_t before = 0;
    pthread_mutex_lock(&world.mutex);
    for (size_t i = 0; i < world.n; i++) {
        const struct seen *s = &world.seen[i];
        if (strcmp(s->server, "far.example") != 0)
            continue;
        assert_true(s->pdus <= 50);
        assert_int_equal(atol(s->first), before);
        before += s->pdus;
    }
    pthread_mutex_unlock(&world.mutex);
}

static void test_a_repetition_is_the_same_transaction(void **state)
{
    world.far_fails = true;
    say(3);
    await_events("the other gets it", "near.example", 3);
    WAIT_UNTIL(is_backed_off("far.example"));
    assert_false(is_backed_off("near.example"));
    say(1); /* is not added to the failed transaction */
    world.far_fails = false;
    await_events("after its time", "far.example", 4);
    const struct seen *first = NULL;
    size_t tries = 0;
    pthread_mutex_lock(&world.mutex);
    for (size_t i = 0; i < world.n; i++) {
        const struct seen *s = &world.seen[i];
        if (strcmp(s->server, "far.example") != 0 || strcmp(s->first, "0") != 0 || s->edus)
            continue;
        first = first ? first : s;
        if (s->pdus == first->pdus) {
            assert_string_equal(s->id, first->id);
            tries++;
        }
    }
    pthread_mutex_unlock(&world.mutex);
    assert_true(tries >= 2);
}

static size_t tries(const char *server)
{
    size_t n = 0;
    pthread_mutex_lock(&world.mutex);
    for (size_t i = 0; i < world.n; i++)
        n += strcmp(world.seen[i].server, server) == 0;
    pthread_mutex_unlock(&world.mutex);
    return n;
}

static void test_a_retry_is_due_when_the_back_off_ends(void **state)
{
    int64_t pause = node_store()->config->federation_retry_min_ms;
    world.far_fails = true;
    say(1);
    WAIT_UNTIL(is_backed_off("far.example"));
    for (int i = 0; i < 10; i++, pause *= 2) {
        size_t before = tries("far.example");
        clock_advance(pause);
        WAIT_UNTIL(tries("far.example") > before && is_backed_off("far.example"));
    }
    world.far_fails = false; /* its back-off lasts minutes now */
    say(1);
    await_events("the other gets both", "near.example", 2);
    wait_some_rounds();
    assert_int_equal(taken("far.example", NULL), 0);
    clock_advance(pause);
    await_events("both come", "far.example", 2);
    assert_false(is_backed_off("far.example"));
}

static void test_after_long_the_newest_is_enough(void **state)
{
    world.far_fails = true;
    say(1);
    WAIT_UNTIL(is_backed_off("far.example"));
    const char *last = say(600);
    assert_non_null(last);
    await_events("the other gets all", "near.example", 601);
    world.far_fails = false;
    sender_heard_from(federation.sender, "far.example");
    await_cursor("far.example");
    /* the newest event at the last attempt, and later ones */
    assert_in_range(taken("far.example", NULL), 1, 200);
    size_t before = taken("far.example", NULL);
    say(2);
    await_events("and then everything again", "far.example", before + 2);
}

static void test_typing_and_receipts(void **state)
{
    struct room *room = room_named(&job, room_id);
    NO_ERR(typing_set(&job, room->id, alice.user, alice.user_id, 60000));
    await_edus("typing", "far.example", 1);
    NO_ERR(typing_set(&job, room->id, bob.user, bob.user_id, 60000)); /* not our user */
    const char *id = say(1);
    pg_must("receipt", receipt_set(&job, room, &alice, RECEIPT_READ_PRIVATE, "", id));
    pg_must("receipt", receipt_set(&job, room, &bob, RECEIPT_READ, "", id));
    pg_must("receipt", receipt_set(&job, room, &alice, RECEIPT_READ, "", id));
    await_edus("typing and one receipt", "far.example", 2);
    NO_ERR(typing_set(&job, room->id, alice.user, alice.user_id, 0));
    await_edus("the end of typing", "far.example", 3);
    clock_advance(3000); /* presence and receipts would be sent each second */
    wait_some_rounds();
    await_edus("and nothing else", "far.example", 3);
}

static void test_nothing_for_denied_servers(void **state)
{
    struct author dora = author_named("@dora:forbidden.example");
    pg_must("join", set_membership(&job, room_id, &dora, "join"));
    say(2);
    await_events("others", "near.example", 2);
    assert_int_equal(taken("forbidden.example", NULL), 0);
}

static void test_the_cursor_is_saved(void **state)
{
    say(3);
    await_events("all come", "near.example", 3);
    const struct destination_row *row = await_cursor("near.example");
    assert_int_equal(row->failing_since_ts, 0);
    assert_true(row->last_success_ts > 0);
    assert_false(row->has_pending);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_nothing_from_before_it_joined, set_up_alone,
                                        tear_down_quietly),
        cmocka_unit_test_setup_teardown(test_a_join_in_the_same_commit, set_up_alone,
                                        tear_down_quietly),
        TEST(test_skipped_events_are_caught_up),
        TEST(test_all_come_in_order_fifty_at_most),
        TEST(test_a_repetition_is_the_same_transaction),
        TEST(test_a_retry_is_due_when_the_back_off_ends),
        TEST(test_after_long_the_newest_is_enough),
        TEST(test_typing_and_receipts),
        TEST(test_nothing_for_denied_servers),
        TEST(test_the_cursor_is_saved),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
