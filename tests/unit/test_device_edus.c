/* Device lists and to-device messages across servers, below the network: EDUs sent about our
 * users, and EDUs received about others'. */
#include "node_fixture.h"
#include "storage/db/epochs.h"

#include "federation/federation.h"
#include "federation/in/edu_in.h"
#include "federation/out/edu_out.h"
#include "federation/users/device_watch.h"
#include "storage/devices/devices.h"
#include "storage/devices/e2ee_keys.h"
#include "storage/devices/key_changes.h"
#include "storage/devices/remote_devices.h"
#include "storage/devices/to_device.h"
#include "storage/rooms/members.h"
#include "users/device_changes.h"

#define OTHER "other.example"

static struct author alice, bob, carol; /* bob and carol are of other servers */
static struct federation federation;

static int set_up(void **state)
{
    node_begin();
    if (!node_store()->federation) {
        federation.node = node_store();
        federation.device_watch = device_watch_create(node_store());
        node_store()->federation = &federation;
    }
    alice = author_named("@alice:test.example");
    bob = author_named("@bob:" OTHER);
    carol = author_named("@carol:" OTHER);
    return 0;
}

static int tear_down(void **state)
{
    if (node_store()->federation == &federation) {
        device_watch_destroy(federation.device_watch);
        node_store()->federation = NULL;
    }
    node_end();
    return 0;
}

/* ---- EDUs sent about our users ---- */

/* Joins a user to a room of alice's, as if their server had done it. */
static void put_into_room(struct job *job, const char *room_id, const struct author *who)
{
    struct write *w = write_begin(job);
    int at = write_change(w, &(struct change){.kind = CHANGE_PROFILE, .user = who->user});
    members_write(w, room_named(job, room_id)->id, who->user, MEMBERSHIP_JOIN, at, 0,
                  who->user == alice.user, (struct str){0});
    NO_ERR(write_commit(job, w, NULL));
}

static int64_t change_device(struct job *job, const char *device_id, const char *key)
{
    int64_t position;
    struct write *w = write_begin(job);
    if (key)
        device_keys_write(
            w, alice.user, device_id, NULL,
            str_of(arena_printf(job->arena,
                                "{\"device_id\":\"%s\",\"keys\":{\"k\":\"%s\"},\"user_id\":\"%s\"}",
                                device_id, key, alice.user_id)));
    else if (*device_id)
        device_keys_delete(w, alice.user, device_id);
    NO_ERR(device_changes_add(job, w, alice.user, alice.user_id, &device_id, 1));
    NO_ERR(write_commit(job, w, &position));
    return position;
}

static json_t *edu(struct job *job, const struct edu_list *l, size_t i)
{
    json_t *o;
    assert_true(i < l->n);
    NO_ERR(json_read(job->arena, l->edus[i], &o));
    return o;
}

static void check_device_edu(json_t *o, const char *device_id, int64_t stream, int64_t before)
{
    const json_t *content = json_object_get(o, "content");
    assert_string_equal(json_text(o, "edu_type"), "m.device_list_update");
    assert_string_equal(json_text(content, "user_id"), alice.user_id);
    assert_string_equal(json_text(content, "device_id"), device_id);
    assert_int_equal(json_integer_value(json_object_get(content, "stream_id")),
                     epochs_stream_id(node_store()->storage->epochs, stream));
    const json_t *prev = json_object_get(content, "prev_id");
    assert_int_equal(json_array_size(prev), before ? 1 : 0);
    if (before)
        assert_int_equal(json_integer_value(json_array_get(prev, 0)),
                         epochs_stream_id(node_store()->storage->epochs, before));
}

static struct edu_list devices_sent(struct job *job, const char *server, int64_t from,
                                    int64_t *until)
{
    struct edu_list l = {0};
    NO_ERR(edu_out_device_lists(job, server, from, until, &l));
    return l;
}

static bool is_in(const char *text, const char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(list[i], text) == 0)
            return true;
    return false;
}

static void change_of(struct job *job, const struct author *who)
{
    struct write *w = write_begin(job);
    NO_ERR(remote_devices_change_add(job, w, who->user, who->user_id));
    NO_ERR(write_commit(job, w, NULL));
}

/* Changed users are queried in two ways, depending on the length of the range. */
static void long_ranges_have_the_same_changes(void **state)
{
    struct scope s;
    const char *const *changed[2], *const *left[2];
    size_t changed_n[2], left_n[2];
    scope_init(&s, node_store());
    struct author dave = author_named("@dave:" OTHER), erin = author_named("@erin:" OTHER);
    put_into_room(&s.job, create_public_room(&s.job, &alice, "12"), &bob);
    const struct author *all[] = {&alice, &bob, &carol, &dave};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        change_of(&s.job, all[i]);
    struct write *w = write_begin(&s.job);
    user_signature_change_write(w, alice.user, erin.user, erin.user_id);
    int64_t until;
    NO_ERR(write_commit(&s.job, w, &until));
    for (int i = 0; i < 2; i++)
        NO_ERR(key_changes_read(job_tx(&s.job), alice.user, alice.user_id, until - LONG_RANGE + i,
                                until, false, &changed[i], &changed_n[i], &left[i], &left_n[i]));
    assert_int_equal(changed_n[0], changed_n[1]);
    for (int i = 0; i < 2; i++) {
        assert_true(is_in(alice.user_id, changed[i], changed_n[i]));
        assert_true(is_in(bob.user_id, changed[i], changed_n[i]));
        assert_true(is_in(erin.user_id, changed[i], changed_n[i]));
        assert_false(is_in(dave.user_id, changed[i], changed_n[i]));
    }
    scope_finish(&s);
}

static void changes_are_a_chain_for_each_server(void **state)
{
    struct scope s;
    scope_init(&s, node_store());
    const char *room = create_public_room(&s.job, &alice, "12");
    put_into_room(&s.job, room, &bob);
    int64_t first = change_device(&s.job, "D1", "one");
    int64_t second = change_device(&s.job, "D2", "two");
    int64_t until = second;
    struct edu_list l = devices_sent(&s.job, OTHER, first - 1, &until);
    assert_int_equal(l.n, 2);
    check_device_edu(edu(&s.job, &l, 0), "D1", first, 0);
    check_device_edu(edu(&s.job, &l, 1), "D2", second, first);

    /* A device that changed twice is sent once, and the prev_id chain skips the omitted update. */
    int64_t third = change_device(&s.job, "D1", "three");
    int64_t fourth = change_device(&s.job, "D1", NULL);
    until = fourth;
    l = devices_sent(&s.job, OTHER, second, &until);
    assert_int_equal(l.n, 1);
    check_device_edu(edu(&s.job, &l, 0), "D1", fourth, second);
    assert_true(json_is_true(json_at(edu(&s.job, &l, 0), "content", "deleted", NULL)));
    l = devices_sent(&s.job, OTHER, first - 1, &until);
    assert_int_equal(l.n, 2);
    check_device_edu(edu(&s.job, &l, 0), "D2", second, 0);
    check_device_edu(edu(&s.job, &l, 1), "D1", fourth, second);
    assert_true(third < fourth && until == fourth);
    assert_int_equal(devices_sent(&s.job, "elsewhere.example", 0, &until).n, 0);
    scope_finish(&s);
}

static void cross_signing_keys_stand_beside_the_chain(void **state)
{
    struct scope s;
    scope_init(&s, node_store());
    const char *room = create_public_room(&s.job, &alice, "12");
    put_into_room(&s.job, room, &bob);
    int64_t first = change_device(&s.job, "X1", "one");
    int64_t keys = change_device(&s.job, CROSS_SIGNING_KEYS, NULL);
    int64_t last = change_device(&s.job, "X2", "two");
    struct edu_list l = devices_sent(&s.job, OTHER, first - 1, &last);
    assert_int_equal(l.n, 3);
    assert_string_equal(json_text(edu(&s.job, &l, 1), "edu_type"), "m.signing_key_update");
    check_device_edu(edu(&s.job, &l, 2), "X2", last, first);
    l = devices_sent(&s.job, OTHER, keys, &last);
    check_device_edu(edu(&s.job, &l, 0), "X2", last, first);
    scope_finish(&s);
}

static void a_full_transaction_ends_where_it_says(void **state)
{
    enum { CHANGES = 130 };
    struct scope s;
    int64_t at[CHANGES];
    scope_init(&s, node_store());
    const char *room = create_public_room(&s.job, &alice, "12");
    put_into_room(&s.job, room, &bob);
    for (int i = 0; i < CHANGES; i++)
        at[i] = change_device(&s.job, arena_printf(s.job.arena, "F%d", i % 120), "k");
    int64_t until = at[CHANGES - 1];
    struct edu_list l = devices_sent(&s.job, OTHER, at[0] - 1, &until);
    assert_int_equal(l.n, 100);
    assert_int_equal(until, at[100] - 1);
    int64_t from = until;
    until = at[CHANGES - 1];
    l = devices_sent(&s.job, OTHER, from, &until);
    assert_int_equal(l.n, 30);
    check_device_edu(edu(&s.job, &l, 0), "F100", at[100], at[99]);
    check_device_edu(edu(&s.job, &l, 20), "F0", at[120], at[119]);
    assert_int_equal(until, at[CHANGES - 1]);
    scope_finish(&s);
}

static void messages_come_in_order_until_acknowledged(void **state)
{
    struct scope s;
    int64_t at[3];
    scope_init(&s, node_store());
    for (int i = 0; i < 3; i++) {
        struct write *w = write_begin(&s.job);
        to_device_outbound_write(w, OTHER, str_of(arena_printf(s.job.arena, "{\"n\":%d}", i)), 1);
        NO_ERR(write_commit(&s.job, w, &at[i]));
    }
    int64_t until = at[1];
    struct edu_list l = {0};
    NO_ERR(edu_out_to_device(&s.job, OTHER, at[0] - 1, &until, &l));
    assert_int_equal(l.n, 2);
    assert_int_equal(until, at[1]);
    assert_int_equal(json_integer_value(json_at(edu(&s.job, &l, 1), "content", "n", NULL)), 1);

    struct edu_list nearly_full = {.n = 98};
    until = at[2];
    NO_ERR(edu_out_to_device(&s.job, OTHER, at[0] - 1, &until, &nearly_full));
    assert_int_equal(nearly_full.n, 100);
    assert_int_equal(until, at[2] - 1);

    NO_ERR(to_device_outbound_delete(job_tx(&s.job), OTHER, at[1]));
    l.n = 0;
    until = at[2];
    NO_ERR(edu_out_to_device(&s.job, OTHER, 0, &until, &l));
    assert_int_equal(l.n, 1);
    scope_finish(&s);
}

/* ---- EDUs received about others ---- */

static const char *device_json(struct job *job, const struct author *who, const char *device_id)
{
    return arena_printf(job->arena,
                        "{\"algorithms\":[],\"device_id\":\"%s\",\"keys\":{\"ed25519:%s\":\"x\"},"
                        "\"user_id\":\"%s\"}",
                        device_id, device_id, who->user_id);
}

static const struct err *update(struct job *job, const char *origin, const char *device_id,
                                int64_t stream, int64_t before)
{
    json_t *content;
    const char *text = arena_printf(job->arena,
                                    "{\"user_id\":\"%s\",\"device_id\":\"%s\",\"stream_id\":%lld,"
                                    "\"prev_id\":[%lld],\"keys\":%s}",
                                    carol.user_id, device_id, (long long)stream, (long long)before,
                                    device_json(job, &carol, device_id));
    NO_ERR(json_read(job->arena, str_of(text), &content));
    return edu_in_device_list_update(job, origin, content);
}

/* The list as carol's server sent it: no device, at this stream id. */
static void receive_list(struct job *job, int64_t stream)
{
    struct remote_list l;
    NO_ERR(remote_lists_open(job_tx(job), &carol.user, 1));
    NO_ERR(remote_list_get(job_tx(job), carol.user_id, &l));
    struct write *w = write_begin(job);
    remote_list_write_whole(w, &l, feed_position(job->storage->feed), stream);
    NO_ERR(write_commit(job, w, NULL));
}

static struct remote_list list_of_carol(struct job *job)
{
    struct remote_list l;
    NO_ERR(remote_list_get(job_tx(job), carol.user_id, &l));
    return l;
}

static bool has_device(struct job *job, const char *device_id)
{
    struct public_key key;
    NO_ERR(device_keys_get(job_tx(job), carol.user, device_id, &key));
    return key.json.p != NULL;
}

static void updates_that_follow_are_applied(void **state)
{
    struct scope s;
    scope_init(&s, node_store());
    put_into_room(&s.job, create_public_room(&s.job, &alice, "12"), &carol);
    receive_list(&s.job, 5);
    NO_ERR(update(&s.job, OTHER, "C1", 7, 5));
    NO_ERR(update(&s.job, OTHER, "C2", 9, 7));
    assert_true(has_device(&s.job, "C1") && has_device(&s.job, "C2"));
    struct remote_list l = list_of_carol(&s.job);
    assert_int_equal(l.state, REMOTE_LIST_FRESH);
    assert_int_equal(l.stream_id, 9);
    int64_t head = feed_position(node_store()->storage->feed);
    NO_ERR(update(&s.job, OTHER, "C2", 9, 7)); /* again: no change is notified */
    assert_int_equal(feed_position(node_store()->storage->feed), head);
    bool usable;
    NO_ERR(remote_lists_usable(job_tx(&s.job), alice.user, &carol.user_id, 1, &usable));
    assert_true(usable);
    scope_finish(&s);
}

static void a_gap_makes_the_list_stale(void **state)
{
    struct scope s;
    struct remote_list l;
    scope_init(&s, node_store());
    receive_list(&s.job, 20);
    NO_ERR(update(&s.job, OTHER, "G1", 24, 22));
    assert_false(has_device(&s.job, "G1"));
    l = list_of_carol(&s.job);
    assert_int_equal(l.state, REMOTE_LIST_STALE);
    bool usable;
    NO_ERR(remote_lists_usable(job_tx(&s.job), alice.user, &carol.user_id, 1, &usable));
    assert_false(usable);

    /* The answer to a query from before the update leaves the list stale. */
    struct write *w = write_begin(&s.job);
    struct remote_list older = l;
    older.touched--;
    remote_list_write_whole(w, &older, feed_position(node_store()->storage->feed), 22);
    NO_ERR(write_commit(&s.job, w, NULL));
    assert_int_equal(list_of_carol(&s.job).state, REMOTE_LIST_STALE);

    const char *const busy[] = {OTHER};
    NO_ERR(remote_list_take_stale(job_tx(&s.job), 1000, 2000, busy, 1, &l));
    assert_int_equal(l.user, 0);
    NO_ERR(remote_list_take_stale(job_tx(&s.job), 1000, 2000, NULL, 0, &l));
    assert_int_equal(l.user, carol.user);
    assert_string_equal(l.server, OTHER);
    NO_ERR(remote_list_take_stale(job_tx(&s.job), 1500, 2500, NULL, 0, &l));
    assert_int_equal(l.user, 0); /* it is taken */
    receive_list(&s.job, 24);
    assert_int_equal(list_of_carol(&s.job).state, REMOTE_LIST_FRESH);
    scope_finish(&s);
}

static void servers_without_a_shared_room_are_ignored(void **state)
{
    struct scope s;
    scope_init(&s, node_store());
    receive_list(&s.job, 30);
    const struct err *e = update(&s.job, "evil.example", "E1", 31, 30);
    assert_true(e && e->code == ERR_FORBIDDEN);
    assert_false(has_device(&s.job, "E1"));
    assert_int_equal(list_of_carol(&s.job).stream_id, 30);
    scope_finish(&s);
}

static void without_a_shared_room_nothing_is_kept(void **state)
{
    struct scope s;
    int64_t n;
    scope_init(&s, node_store());
    struct write *w = write_begin(&s.job);
    const struct member_row *rows;
    size_t rows_n;
    NO_ERR(members_of_user(job_tx(&s.job), carol.user, &rows, &rows_n));
    for (size_t i = 0; i < rows_n; i++) {
        int at = write_change(w, &(struct change){.kind = CHANGE_PROFILE, .user = carol.user});
        members_write(w, rows[i].room, carol.user, MEMBERSHIP_LEAVE, at, 0, false, (struct str){0});
    }
    NO_ERR(write_commit(&s.job, w, NULL));
    int64_t head = feed_position(node_store()->storage->feed);
    NO_ERR(update(&s.job, OTHER, "S1", 31, 30));
    assert_false(has_device(&s.job, "S1"));
    assert_int_equal(feed_position(node_store()->storage->feed), head);
    receive_list(&s.job, 31);
    assert_int_equal(list_of_carol(&s.job).state, REMOTE_LIST_UNTRACKED);
    assert_true(has_device(&s.job, "C1"));
    NO_ERR(remote_lists_forget(job_tx(&s.job), head - 1, 10, &n));
    assert_int_equal(n, 0); /* just requested */
    NO_ERR(remote_lists_forget(job_tx(&s.job), head, 10, &n));
    assert_int_equal(n, 1);
    assert_false(has_device(&s.job, "C1"));
    assert_false(list_of_carol(&s.job).exists);
    scope_finish(&s);
}

/* ---- messages ---- */

static const struct err *deliver(struct job *job, const char *origin, const char *id, int n)
{
    json_t *content = json_keep(
        job->arena, json_pack("{s:s, s:s, s:s, s:{s:{s:{s:i}}, s:{s:{s:i}}}}", "sender",
                              carol.user_id, "type", "m.test", "message_id", id, "messages",
                              alice.user_id, "*", "n", n, bob.user_id, "*", "n", n));
    return edu_in_direct_to_device(job, origin, str_of(json_write(job->arena, content)));
}

static size_t waiting(struct job *job, int64_t device)
{
    const struct to_device_message *messages;
    size_t n;
    bool more;
    NO_ERR(to_device_read(job_tx(job), device, 0, INT64_MAX, 100, &messages, &n, &more));
    return n;
}

static void a_message_counts_once(void **state)
{
    struct scope s;
    int64_t first, second;
    bool is_new;
    scope_init(&s, node_store());
    NO_ERR(devices_open(job_tx(&s.job), alice.user, "A1", NULL, &first, &is_new));
    NO_ERR(devices_open(job_tx(&s.job), alice.user, "A2", NULL, &second, &is_new));
    NO_ERR(deliver(&s.job, OTHER, "one", 1));
    NO_ERR(deliver(&s.job, OTHER, "one", 1));
    assert_int_equal(waiting(&s.job, first), 1);
    assert_int_equal(waiting(&s.job, second), 1);
    NO_ERR(deliver(&s.job, OTHER, "two", 2));
    assert_int_equal(waiting(&s.job, first), 2);
    const struct err *e = deliver(&s.job, "evil.example", "three", 3);
    assert_true(e && e->code == ERR_FORBIDDEN);
    assert_int_equal(waiting(&s.job, first), 2);
    scope_finish(&s);
}

SQL(contents_count_sql, "SELECT count(*) FROM to_device_contents WHERE source = $1")
SQL(gone_note_sql, "INSERT INTO to_device_gone (device) VALUES ($1)")

static int64_t contents_of(struct job *job, int64_t source)
{
    int64_t n;
    NO_ERR(db_one(job_tx(job), &contents_count_sql, P(INT(source)), NULL, R(INT_OUT(&n))));
    return n;
}

/* One content for two devices is deleted with the last message, also when a device is deleted. */
static void a_shared_content_is_deleted_with_the_last(void **state)
{
    enum { SOURCE = 987654 };
    struct scope s;
    struct to_device_address to[2] = {{alice.user, 0, "S1"}, {alice.user, 0, "S2"}};
    bool is_new;
    int64_t place = 0;
    scope_init(&s, node_store());
    for (int i = 0; i < 2; i++)
        NO_ERR(devices_open(job_tx(&s.job), alice.user, to[i].device_id, NULL, &to[i].device,
                            &is_new));
    struct write *w = write_begin(&s.job);
    to_device_write_shared(w, to, 2, STR("{\"shared\":1}"), SOURCE);
    NO_ERR(write_commit(&s.job, w, NULL));
    assert_int_equal(contents_of(&s.job, SOURCE), 1);
    assert_int_equal(waiting(&s.job, to[1].device), 1);
    NO_ERR(to_device_delete(job_tx(&s.job), to[0].device, INT64_MAX));
    NO_ERR(to_device_sweep(job_tx(&s.job), &place));
    assert_int_equal(contents_of(&s.job, SOURCE), 1);
    NO_ERR(db_exec(job_tx(&s.job), &gone_note_sql, P(INT(to[1].device)), NULL));
    NO_ERR(to_device_sweep(job_tx(&s.job), &place));
    assert_int_equal(contents_of(&s.job, SOURCE), 0);
    assert_int_equal(waiting(&s.job, to[1].device), 0);
    scope_finish(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(long_ranges_have_the_same_changes),
        cmocka_unit_test(changes_are_a_chain_for_each_server),
        cmocka_unit_test(cross_signing_keys_stand_beside_the_chain),
        cmocka_unit_test(a_full_transaction_ends_where_it_says),
        cmocka_unit_test(messages_come_in_order_until_acknowledged),
        cmocka_unit_test(updates_that_follow_are_applied),
        cmocka_unit_test(a_gap_makes_the_list_stale),
        cmocka_unit_test(servers_without_a_shared_room_are_ignored),
        cmocka_unit_test(without_a_shared_room_nothing_is_kept),
        cmocka_unit_test(a_message_counts_once),
        cmocka_unit_test(a_shared_content_is_deleted_with_the_last),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
