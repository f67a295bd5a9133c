/* Push rules that change while a room is cached, loaded, made or joined: rooms/own_rules.h. The
 * functions that are wrapped (see the Makefile) let the change happen inside of them, while the
 * room's lock is held. */
#include "held_log.h"
#include "node_with_alice.h"

#include "rooms/own_rules.h"
#include "rooms/recent_rules.h"
#include "rooms/room_internal.h"
#include "rooms/rooms.h"

static struct author bob;

/* Whose rules no test has changed yet. */
static int new_bob(void **state)
{
    static int n;
    bob = author_named(arena_printf(node_fixture_.arena, "@bob%d:test.example", n++));
    return 0;
}

/* ---- changes ---- */

struct users_range {
    int64_t first;
    size_t n;
};

static void *publish_rules(void *arg)
{
    const struct users_range *users = arg;
    struct scope s;
    scope_init(&s, node_store());
    struct write *w = write_begin(&s.job);
    for (size_t i = 0; i < users->n; i++)
        write_change(w, &(struct change){.kind = CHANGE_ACCOUNT_DATA,
                                         .user = users->first + (int64_t)i,
                                         .account_data.is_push_rules = true});
    pg_must("rules", write_commit(&s.job, w, NULL));
    scope_finish(&s);
    return NULL;
}

/* In another thread, since a thread that has a room's lock must not commit. */
static void publish_rules_of(int64_t first, size_t n)
{
    struct users_range users = {first, n};
    pthread_t other;
    assert_int_equal(pthread_create(&other, NULL, publish_rules, &users), 0);
    assert_int_equal(pthread_join(other, NULL), 0);
}

static void store_rules_of(const struct author *who)
{
    char sql[256];
    snprintf(sql, sizeof sql,
             "INSERT INTO account_data (\"user\", room, type, content, position) VALUES "
             "(%lld, 0, 'm.push_rules', '{}', 1)",
             (long long)who->user);
    pg_must("rules", pg_command(pg_uri(), sql));
}

static void change_bobs_rules(void)
{
    store_rules_of(&bob);
    publish_rules_of(bob.user, 1);
}

static PGconn *log_after_change;

static void change_bobs_rules_and_hold_the_log(void)
{
    change_bobs_rules();
    log_after_change = hold_log();
}

static void forget_all_rules(void)
{
    publish_rules_of(1000000, RECENT_RULES_MAX);
}

static void change_bobs_rules_and_forget(void)
{
    change_bobs_rules();
    forget_all_rules();
}

static void (*happens_meanwhile)(void);

static void let_happen(void)
{
    void (*happens)(void) = happens_meanwhile;
    happens_meanwhile = NULL;
    if (happens)
        happens();
}

void __real_room_cache_list_new(struct job *job, struct room *r);
void __wrap_room_cache_list_new(struct job *job, struct room *r);
void __wrap_room_cache_list_new(struct job *job, struct room *r)
{
    let_happen();
    __real_room_cache_list_new(job, r);
}

const struct err *__real_room_load(struct job *job, int64_t id, struct room **ret);
const struct err *__wrap_room_load(struct job *job, int64_t id, struct room **ret);
const struct err *__wrap_room_load(struct job *job, int64_t id, struct room **ret)
{
    const struct err *e = __real_room_load(job, id, ret);
    let_happen();
    return e;
}

const struct err *__real_members_have_own_rules(struct tx *tx, int64_t user, bool *ret);
const struct err *__wrap_members_have_own_rules(struct tx *tx, int64_t user, bool *ret);
const struct err *__wrap_members_have_own_rules(struct tx *tx, int64_t user, bool *ret)
{
    const struct err *e = __real_members_have_own_rules(tx, user, ret);
    let_happen();
    return e;
}

/* ---- the tests ---- */

static bool room_counts_bob(struct job *job, struct room *r)
{
    bool has = member_has_own_rules(job, r, bob.user);
    assert_int_equal(r->own_rules_n, has);
    return has;
}

/* A room that bob has joined, and that followed all changes. */
static struct room *bobs_room(struct job *job)
{
    const char *room_id = create_public_room(job, &alice, "12");
    NO_ERR(set_membership(job, room_id, &bob, "join"));
    struct room *r = room_named(job, room_id);
    assert_false(room_counts_bob(job, r));
    return r;
}

static void a_cached_room_follows_when_it_is_asked(void **state)
{
    struct scope s;
    scope_init(&s, node_store());
    struct room *r = bobs_room(&s.job);
    lock_take(&r->lock); /* the change does not wait for it */
    change_bobs_rules();
    assert_int_equal(r->own_rules_n, 0);
    lock_release(&r->lock);
    assert_true(room_counts_bob(&s.job, r));
    scope_finish(&s);
}

static void what_is_forgotten_is_read(void **state)
{
    struct scope s;
    scope_init(&s, node_store());
    struct room *r = bobs_room(&s.job);
    change_bobs_rules_and_forget();
    assert_true(room_counts_bob(&s.job, r));
    scope_finish(&s);
}

static void what_was_missed_is_read(void **state)
{
    struct scope s;
    scope_init(&s, node_store());
    struct room *r = bobs_room(&s.job);
    store_rules_of(&bob);
    feed_reset(node_store()->storage->feed, feed_position(node_store()->storage->feed) + 1);
    assert_true(room_counts_bob(&s.job, r));
    scope_finish(&s);
}

static void a_room_that_is_loaded_meanwhile_follows(void **state)
{
    static void (*const changes[])(void) = {change_bobs_rules, change_bobs_rules_and_forget};
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        struct scope s;
        scope_init(&s, node_store());
        new_bob(NULL);
        struct room *r = bobs_room(&s.job);
        const char *room_id = arena_strdup(s.arena, r->room_id);
        room_forget(&s.job, r);
        happens_meanwhile = changes[i];
        assert_true(room_counts_bob(&s.job, room_named(&s.job, room_id)));
        scope_finish(&s);
    }
}

static void a_room_that_is_made_meanwhile_follows(void **state)
{
    static void (*const changes[])(void) = {change_bobs_rules, change_bobs_rules_and_forget};
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        struct scope s;
        scope_init(&s, node_store());
        new_bob(NULL);
        happens_meanwhile = changes[i];
        const char *room_id = create_public_room(&s.job, &bob, "12");
        assert_null(happens_meanwhile);
        assert_true(room_counts_bob(&s.job, room_named(&s.job, room_id)));
        scope_finish(&s);
    }
}

/* The message is built after the change, and so the room has followed it before bob is in it. */
static const struct err *join_and_speak(struct job *job, struct room *r, struct sender *who,
                                        const char **ret_id)
{
    const struct new_event events[] = {member_event(bob.user_id, "join"),
                                       text_event("{\"body\":\"here I am\"}")};
    const char *ids[2];
    TRY(room_append(job, r, &bob, events, 2, ids));
    *ret_id = ids[1];
    return NULL;
}

static void a_member_who_joins_meanwhile_counts(void **state)
{
    static const char *const versions[] = {"1", "12"};
    static void (*const changes[])(void) = {change_bobs_rules, change_bobs_rules_and_forget};
    for (size_t i = 0; i < 4; i++) {
        struct scope s;
        const char *id;
        scope_init(&s, node_store());
        new_bob(NULL);
        struct room *r = room_named(&s.job, create_public_room(&s.job, &alice, versions[i % 2]));
        happens_meanwhile = changes[i / 2];
        NO_ERR(join_and_speak(&s.job, r, NULL, &id));
        assert_null(happens_meanwhile);
        assert_true(room_counts_bob(&s.job, r));
        scope_finish(&s);
    }
}

static void a_member_whose_join_waits_counts(void **state)
{
    struct scope s;
    scope_init(&s, node_store());
    const char *room_id = create_public_room(&s.job, &alice, "12");
    struct room *r = room_named(&s.job, room_id);
    int64_t before = depth_of(room_id);
    happens_meanwhile = change_bobs_rules_and_hold_the_log;
    start_asking(room_id, bob, join_and_speak, NULL);
    WAIT_UNTIL(depth_of(room_id) != before);
    assert_true(member_has_own_rules(&s.job, r, bob.user));
    assert_int_equal(room_membership(r, bob.user), MEMBERSHIP_NONE);
    let_log_go(log_after_change);
    join_senders();
    assert_true(room_counts_bob(&s.job, r));
    scope_finish(&s);
}

/* ---- the list ---- */

static void count_user(void *n, int64_t user)
{
    ++*(size_t *)n;
}

static int64_t changed_since(struct recent_rules *r, int64_t since)
{
    size_t n = 0;
    int64_t until;
    if (!recent_rules_each(r, since, count_user, &n, &until))
        return -1;
    assert_int_equal(until, recent_rules_newest(r));
    return (int64_t)n;
}

static void the_newest_changes_are_remembered(void **state)
{
    enum { START = 10, END = START + RECENT_RULES_MAX };
    struct recent_rules r;
    recent_rules_init(&r, START);
    assert_int_equal(recent_rules_newest(&r), START);
    assert_int_equal(changed_since(&r, START), 0);
    assert_int_equal(changed_since(&r, START - 1), -1); /* before it was made */
    for (int64_t user = 1; user <= RECENT_RULES_MAX; user++)
        recent_rules_add(&r, user, START + user);
    assert_int_equal(changed_since(&r, START), RECENT_RULES_MAX);
    assert_int_equal(changed_since(&r, END - 5), 5);
    recent_rules_add(&r, 1, END + 1); /* one entry a user, at the newest place */
    assert_int_equal(changed_since(&r, START), RECENT_RULES_MAX);
    assert_int_equal(changed_since(&r, END), 1);
    recent_rules_add(&r, RECENT_RULES_MAX + 1, END + 2); /* user 2 is dropped */
    assert_int_equal(changed_since(&r, START + 1), -1);
    assert_int_equal(changed_since(&r, START + 2), RECENT_RULES_MAX);
    recent_rules_miss(&r, END + 9);
    assert_int_equal(recent_rules_newest(&r), END + 9);
    assert_int_equal(changed_since(&r, END + 8), -1);
    assert_int_equal(changed_since(&r, END + 9), 0);
    recent_rules_finish(&r);
}

int main(void)
{
#define FOR_BOB(f) cmocka_unit_test_setup(f, new_bob)
    const struct CMUnitTest tests[] = {
        FOR_BOB(a_cached_room_follows_when_it_is_asked),
        FOR_BOB(what_is_forgotten_is_read),
        FOR_BOB(what_was_missed_is_read),
        FOR_BOB(a_room_that_is_loaded_meanwhile_follows),
        FOR_BOB(a_room_that_is_made_meanwhile_follows),
        FOR_BOB(a_member_who_joins_meanwhile_counts),
        FOR_BOB(a_member_whose_join_waits_counts),
        cmocka_unit_test(the_newest_changes_are_remembered),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
