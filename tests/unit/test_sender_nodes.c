/* The senders of two nodes on one database: each destination is sent to by one of them. Other
 * servers are functions here. The nodes hear of each other's writes when the test says so. */
#include "check.h"
#include "federation/federation.h"
#include "federation/out/sender_internal.h"
#include "federation/peer/path.h"
#include "federation/peer/request.h"
#include "node_fixture.h"
#include "storage/servers/destinations.h"
#include "waiting.h"

#include <stdatomic.h>

enum { FIRST, SECOND, NODES, SERVERS = 12, MESSAGES_MAX = 1000 };
#define HOUR_MS (INT64_C(3600) * 1000)

/* ---- the other servers ---- */

struct received {
    int bodies[MESSAGES_MAX];
    size_t n;
    int senders[NODES]; /* transactions, by the node that sent them */
};

static struct {
    pthread_mutex_t mutex;
    struct received of[SERVERS];
    const struct node *_Atomic hangs; /* what this node sends is answered late */
    atomic_int hanging;
} world = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static int round_number; /* each test has servers of its own, of that name */

static const char *name_of(struct arena *a, int server)
{
    return arena_printf(a, "s%d.r%d.example", server, round_number);
}

static struct received *received_of(const char *name)
{
    static struct received others;
    int server = 0, round = 0;
    sscanf(name, "s%d.r%d.", &server, &round);
    return round == round_number ? &world.of[server] : &others;
}

bool federation_may_contact(const struct config *c, const char *server)
{
    return true;
}

const char *federation_path(struct arena *a, const char *format, ...)
{
    return "/";
}

const struct err *federation_exchange(struct job *job, const struct fed_request *r,
                                      struct fed_reply *ret)
{
    json_t *body, *pdu;
    size_t i;
    struct received *of = received_of(r->server);
    TRY(json_read(job->arena, r->raw_body, &body));
    pthread_mutex_lock(&world.mutex);
    of->senders[job->node != node_numbered(FIRST)]++;
    json_array_foreach (json_object_get(body, "pdus"), i, pdu) {
        const char *text = json_text(json_object_get(pdu, "content"), "body");
        if (text)
            of->bodies[of->n++] = atoi(text);
    }
    pthread_mutex_unlock(&world.mutex);
    atomic_fetch_add(&world.hanging, 1);
    while (world.hangs == job->node)
        wait_briefly();
    atomic_fetch_sub(&world.hanging, 1);
    *ret = (struct fed_reply){.status = 200};
    return NULL;
}

const struct err *federation_request(struct job *job, const struct fed_request *r,
                                     struct fed_reply *ret)
{
    return federation_exchange(job, r, ret);
}

/* ---- the nodes ---- */

static struct federation federations[NODES];
static struct feed_listener listeners[NODES][LISTENERS_N + 1];
static struct scope on[NODES];
static struct author alice[NODES];
static const char *room_id;
static int said;
static atomic_int live;

static int64_t live_nodes(void *of)
{
    return live;
}

static struct leases *leases_of(int number)
{
    return node_numbered(number)->storage->leases;
}

static void start_sender(int number)
{
    struct node *node = node_numbered(number);
    federations[number].node = node;
    node->federation = &federations[number];
    node->storage->leases = leases_create(node);
    leases_set_node(node->storage->leases, &(struct lease_settings){.node = 100 + number,
                                                                    .live_nodes = live_nodes,
                                                                    .lease_ms = HOUR_MS});
    federations[number].sender = sender_create(node);
    size_t n = listeners_of(node, listeners[number]);
    feed_set_listeners(node->storage->feed, listeners[number], n);
    sender_start(federations[number].sender);
}

static void renew(int number)
{
    NO_ERR(leases_renew(leases_of(number), job_tx(&on[number].job)));
}

/* As when the node does not renew in time. */
static void expire_leases_of(int number)
{
    char sql[128];
    snprintf(sql, sizeof sql, "UPDATE leases SET expires_at = '-infinity' WHERE node = %d",
             100 + number);
    NO_ERR(pg_command(pg_uri(), sql));
}

/* An empty write reads the head of the log, and publishes what the other node has written. */
static void catch_up(int number)
{
    NO_ERR(write_commit(&on[number].job, write_begin(&on[number].job), NULL));
}

static void say(int number)
{
    const char *id;
    char body[16];
    snprintf(body, sizeof body, "%d", said++);
    NO_ERR(send_text(&on[number].job, room_id, &alice[number], body, &id));
}

static int set_up(void **state)
{
    memset(world.of, 0, sizeof world.of);
    round_number++;
    said = 0;
    live = NODES;
    node_begin();
    node_run(SECOND);
    NO_ERR(pg_command(pg_uri(), "TRUNCATE leases"));
    for (int i = 0; i < NODES; i++) {
        scope_init(&on[i], node_numbered(i));
        alice[i] = author_named("@alice:test.example");
    }
    room_id = create_public_room(&on[FIRST].job, &alice[FIRST], "11");
    for (int i = 0; i < SERVERS; i++) {
        struct arena *a = on[FIRST].arena;
        struct author other = author_named(arena_printf(a, "@bob:%s", name_of(a, i)));
        NO_ERR(set_membership(&on[FIRST].job, room_id, &other, "join"));
    }
    catch_up(SECOND);
    for (int i = 0; i < NODES; i++)
        start_sender(i);
    return 0;
}

static int tear_down(void **state)
{
    world.hangs = NULL;
    for (int i = 0; i < NODES; i++) {
        struct node *node = node_numbered(i);
        sender_stop(federations[i].sender);
        leases_give_back(node->storage->leases);
        committer_stop(node->storage->committer); /* the listener may be called until then */
        node->storage->committer = NULL;
        node->federation = NULL;
        sender_destroy(federations[i].sender);
        scope_finish(&on[i]);
    }
    node_end();
    return 0;
}

/* ---- what has come ---- */

static bool has_all(int server)
{
    pthread_mutex_lock(&world.mutex);
    const struct received *r = &world.of[server];
    bool has = r->n && r->bodies[r->n - 1] == said - 1;
    pthread_mutex_unlock(&world.mutex);
    return has;
}

static bool all_have_all(void)
{
    for (int i = 0; i < SERVERS; i++)
        if (!has_all(i))
            return false;
    return true;
}

/* Each comes for the first time when all before it have come. */
static void check_none_is_missing(bool may_repeat)
{
    for (int i = 0; i < SERVERS; i++) {
        const struct received *r = &world.of[i];
        int next = 0;
        for (size_t k = 0; k < r->n; k++) {
            if (r->bodies[k] > next || (r->bodies[k] < next && !may_repeat))
                fail_msg("s%d: %d instead of %d", i, r->bodies[k], next);
            next += r->bodies[k] == next;
        }
        assert_int_equal(next, said);
    }
}

static bool holds(int number, int server)
{
    const char *name = name_of(on[FIRST].arena, server);
    struct sender *s = federations[number].sender;
    LOCKED(&s->lock);
    return s->slices[lease_slice_of_name(name)].fence != 0;
}

/* Each is stored as having been sent everything. */
static bool cursors_are_stored(void)
{
    const struct destination_row *rows;
    size_t n;
    int64_t head = feed_position(node_numbered(FIRST)->storage->feed);
    for (int i = 0; i < SERVERS; i++) {
        const char *name = name_of(on[FIRST].arena, i);
        NO_ERR(destinations_list(job_tx(&on[FIRST].job), name, &rows, &n));
        if (!n || rows[0].sent_position < head)
            return false;
    }
    return true;
}

/* ---- tests ---- */

static void each_destination_has_one_sender(void **state)
{
    renew(FIRST);
    renew(SECOND);
    for (int i = 0; i < 20; i++) {
        say(i % NODES);
        catch_up((i + 1) % NODES);
    }
    WAIT_UNTIL(all_have_all());
    check_none_is_missing(false);
    int by[NODES] = {0};
    for (int i = 0; i < SERVERS; i++)
        for (int n = 0; n < NODES; n++) {
            assert_int_equal(world.of[i].senders[n] > 0, holds(n, i));
            by[n] += world.of[i].senders[n] > 0;
        }
    assert_true(by[FIRST] && by[SECOND]); /* or there are too few servers */
}

static void nothing_is_sent_without_a_lease(void **state)
{
    say(FIRST);
    say(SECOND);
    catch_up(FIRST);
    wait_some_rounds();
    for (int i = 0; i < SERVERS; i++)
        assert_int_equal(world.of[i].n, 0);
    renew(FIRST);
    renew(SECOND);
    WAIT_UNTIL(all_have_all());
    check_none_is_missing(false);
}

/* The holder stands still in the middle of its transactions, and comes back after its time. */
static void another_takes_over(void **state)
{
    renew(FIRST);
    renew(SECOND);
    say(FIRST);
    catch_up(SECOND);
    WAIT_UNTIL(all_have_all());
    world.hangs = node_numbered(FIRST);
    for (int i = 0; i < 5; i++)
        say(FIRST);
    catch_up(SECOND);
    WAIT_UNTIL(world.hanging > 0);
    expire_leases_of(FIRST);
    renew(SECOND); /* takes no more than its share while two live ... */
    say(SECOND);
    WAIT_UNTIL(all_have_all()); /* ... but a node with expired leases does not live */
    for (int i = 0; i < SERVERS; i++)
        assert_true(holds(SECOND, i));
    world.hangs = NULL; /* what it was answered now is of no use */
    catch_up(FIRST);
    say(FIRST);
    catch_up(SECOND);
    WAIT_UNTIL(all_have_all());
    renew(FIRST); /* hears that it has lost them */
    for (int i = 0; i < SERVERS; i++)
        assert_false(holds(FIRST, i));
    say(SECOND);
    catch_up(FIRST);
    WAIT_UNTIL(all_have_all());
    check_none_is_missing(true);
    WAIT_UNTIL(cursors_are_stored());
}

static void what_is_handed_over_is_not_repeated(void **state)
{
    renew(FIRST);
    renew(SECOND);
    for (int i = 0; i < 10; i++) {
        say(i % NODES);
        catch_up((i + 1) % NODES);
    }
    WAIT_UNTIL(all_have_all());
    sender_hand_over(federations[FIRST].sender, HOUR_MS);
    leases_give_back(leases_of(FIRST));
    say(FIRST);
    live = 1;
    renew(SECOND);
    catch_up(SECOND);
    WAIT_UNTIL(all_have_all());
    check_none_is_missing(false);
}

static void a_slice_may_come_back(void **state)
{
    renew(FIRST);
    renew(SECOND);
    for (int round = 0; round < 6; round++) {
        expire_leases_of(round % NODES);
        renew((round + 1) % NODES);
        say(FIRST);
        say(SECOND);
        catch_up(FIRST);
        renew(round % NODES);
    }
    catch_up(SECOND);
    WAIT_UNTIL(all_have_all());
    check_none_is_missing(true);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_destination_has_one_sender),
        TEST(nothing_is_sent_without_a_lease),
        TEST(another_takes_over),
        TEST(what_is_handed_over_is_not_repeated),
        TEST(a_slice_may_come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
