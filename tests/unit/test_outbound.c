/* Pending data for other servers, in SQL: storage/servers/outbound.h and
 * storage/servers/destinations.h. */
#include "check.h"
#include "node_fixture.h"
#include "storage/db/log.h"
#include "storage/nodes/lease.h"
#include "storage/servers/destinations.h"
#include "storage/servers/outbound.h"

#define OWN "test.example"

static struct arena *arena;
static struct job job;
static struct author alice, bob;
static const char *room_id;

static int set_up(void **state)
{
    arena = arena_create();
    job_init(&job, node_store(), arena);
    alice = author_named("@alice:" OWN);
    bob = author_named("@bob:far.example");
    room_id = create_public_room(&job, &alice, "11");
    return 0;
}

static int tear_down(void **state)
{
    job_finish(&job);
    arena_destroy(arena);
    return 0;
}

static int64_t head(void)
{
    int64_t position;
    pg_must("log_position", log_position(job_tx(&job), &position));
    return position;
}

static int64_t send(const struct author *who, const char *body)
{
    const char *id;
    pg_must("send", send_text(&job, room_id, who, body, &id));
    return head();
}

static int64_t member(const struct author *who, const char *membership)
{
    pg_must("membership", set_membership(&job, room_id, who, membership));
    return head();
}

static int64_t member_by(const struct author *who, const struct author *target, struct str content)
{
    const char *id;
    const struct new_event e = {
        .type = "m.room.member", .state_key = target->user_id, .content = content};
    pg_must("append", room_append(&job, room_named(&job, room_id), who, &e, 1, &id));
    return head();
}

typedef const struct err *reader(struct tx *tx, const struct outbound_range *r, const int64_t **ret,
                                 size_t *ret_n);

/* wanted ends with 0. */
static void check_owed(const char *proves, reader *read, int64_t from, const int64_t *wanted)
{
    const struct outbound_range r = {"far.example", OWN, from, head(), 100};
    const int64_t *got;
    size_t n, wanted_n = 0;
    pg_must(proves, read(job_tx(&job), &r, &got, &n));
    while (wanted[wanted_n])
        wanted_n++;
    if (n != wanted_n || memcmp(got, wanted, n * sizeof *got) != 0) {
        for (size_t i = 0; i < n; i++)
            print_error("got %lld\n", (long long)got[i]);
        for (size_t i = 0; i < wanted_n; i++)
            print_error("wanted %lld\n", (long long)wanted[i]);
        fail_msg("%s", proves);
    }
}

#define OWED(...)                                                                                  \
    (const int64_t[])                                                                              \
    {                                                                                              \
        __VA_ARGS__, 0                                                                             \
    }
#define NOTHING                                                                                    \
    (const int64_t[])                                                                              \
    {                                                                                              \
        0                                                                                          \
    }

static void test_only_events_during_membership(void **state)
{
    int64_t start = head();
    send(&alice, "before it joined");
    member(&bob, "join");
    int64_t one = send(&alice, "one");
    send(&bob, "its own");
    int64_t two = send(&alice, "two");
    check_owed("ours, since it joined", outbound_events, start, OWED(one, two));
    check_owed("beyond the cursor", outbound_events, one, OWED(two));
    check_owed("of each room the newest", outbound_newest, start, OWED(two));
    int64_t left = member(&bob, "leave");
    send(&alice, "it does not see this");
    check_owed("nothing after it left", outbound_events, start, OWED(one, two));
    check_owed("and no newest of a room that it left", outbound_newest, start, NOTHING);
    check_owed("nothing at all since", outbound_events, left, NOTHING);
    member(&bob, "join");
    int64_t three = send(&alice, "three");
    check_owed("not what it missed between two stays", outbound_events, start,
               OWED(one, two, three));
    check_owed("the newest of the second stay", outbound_newest, start, OWED(three));
}

static void test_events_about_its_users_reach_it_anyway(void **state)
{
    int64_t start = head();
    member_by(&alice, &bob, STR("{\"membership\":\"invite\"}"));
    send(&alice, "it is not there yet");
    check_owed("an invite it has signed itself", outbound_events, start, NOTHING);
    int64_t undone = member_by(&alice, &bob, STR("{\"membership\":\"leave\"}"));
    check_owed("but not that it was taken back", outbound_events, start, OWED(undone));
    check_owed("also after long", outbound_newest, start, OWED(undone));
    member(&bob, "join");
    int64_t said = send(&alice, "hello");
    int64_t banned = member_by(&alice, &bob, STR("{\"membership\":\"ban\"}"));
    send(&alice, "not for banned ears");
    check_owed("a ban that ends its stay", outbound_events, undone, OWED(said, banned));
    check_owed("also after long", outbound_newest, undone, OWED(banned));
}

static const struct destination_row *find_busy(const char *server)
{
    const struct destination_row *rows;
    size_t n;
    const int64_t slice = lease_slice_of_name(server);
    pg_must("busy", destinations_busy(job_tx(&job), OWN, &slice, 1, &rows, &n));
    for (size_t i = 0; i < n; i++)
        if (strcmp(rows[i].server, server) == 0)
            return &rows[i];
    return NULL;
}

static void save(int64_t position, int64_t failing_since)
{
    struct write *w = write_begin(&job);
    destinations_write(w, &(struct destination_row){.server = "near.example",
                                                    .sent_position = position,
                                                    .failing_since_ts = failing_since,
                                                    .last_error = failing_since ? "gone" : NULL});
    pg_must("write", write_commit(&job, w, NULL));
}

static void test_busy_destinations(void **state)
{
    struct author carol = author_named("@carol:near.example");
    member(&carol, "join");
    assert_null(find_busy("near.example")); /* no event was sent since */
    int64_t said = send(&alice, "hello");
    const struct destination_row *d = find_busy("near.example");
    assert_non_null(d); /* although it had no row */
    assert_true(d->sent_position < said);
    check_owed("(another server)", outbound_events, said, NOTHING);
    save(said, 0);
    assert_null(find_busy("near.example"));
    send(&alice, "more");
    assert_non_null(find_busy("near.example"));
    save(head(), 17);
    assert_non_null(d = find_busy("near.example")); /* it fails */
    assert_string_equal(d->last_error, "gone");
    assert_false(d->has_pending);
    save(said, 0); /* the cursor never goes back */
    assert_null(find_busy("near.example"));
}

static void test_the_operators_wishes(void **state)
{
    const struct destination_wish *wishes;
    size_t n;
    pg_must("add", destinations_add(job_tx(&job), "asked.example", 5));
    struct write *w = write_begin(&job);
    destinations_write_asked(w, "asked.example", ASKED_RESET);
    pg_must("ask", write_commit(&job, w, NULL));
    const int64_t slice = lease_slice_of_name("asked.example"), other = (slice + 1) % LEASE_SLICES;
    pg_must("take", destinations_take_asked(job_tx(&job), &other, 1, &wishes, &n));
    assert_int_equal(n, 0);
    pg_must("take", destinations_take_asked(job_tx(&job), &slice, 1, &wishes, &n));
    assert_int_equal(n, 1);
    assert_string_equal(wishes[0].server, "asked.example");
    assert_int_equal(wishes[0].what, ASKED_RESET);
    pg_must("take", destinations_take_asked(job_tx(&job), &slice, 1, &wishes, &n));
    assert_int_equal(n, 0);
    w = write_begin(&job);
    destinations_write_asked(w, "unknown.example", ASKED_RETRY);
    assert_int_equal(write_commit(&job, w, NULL)->code, ERR_CONFLICT);
}

static int begin(void **state)
{
    node_begin();
    return 0;
}

static int end(void **state)
{
    node_end();
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_only_events_during_membership),
        TEST(test_events_about_its_users_reach_it_anyway),
        TEST(test_busy_destinations),
        TEST(test_the_operators_wishes),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
