#include "rooms/account_cache.h"
#include "users/unread_sums.h"

#include "check.h"

/* Random histories of a room with threads, mentions and receipts: the sums must equal the
 * result of counting every event. */
enum { USERS = 4, EVENTS = 400, ROOTS = 3, HISTORIES = 60 };

struct said {
    int64_t thread;
    struct unread_tally adds, exception[USERS]; /* per user, beyond what it adds for all */
};

struct marks {
    int64_t everything, main, threads[ROOTS + 1]; /* a thread is named by its root's position */
};

static const char *const names[USERS] = {"@0:x", "@1:x", "@2:x", "@3:x"};
/* The ignored users of each user. */
static const char *const ignored_texts[USERS] = {"{}", "{\"ignored_users\":{\"@0:x\":{}}}",
                                                 "{\"ignored_users\":{\"@0:x\":{},\"@3:x\":{}}}",
                                                 "{}"};
static struct ignored_list *ignored[USERS];
static struct said said[EVENTS + 1]; /* by position */
static struct marks marks[USERS];
static int64_t newest;
static uint64_t seed;

static int64_t random_below(int64_t n)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (int64_t)(seed >> 33) % n;
}

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t read_up_to(int user, int64_t thread)
{
    const struct marks *m = &marks[user];
    return later(m->everything, thread ? m->threads[thread] : m->main);
}

/* The counts of one user at a position, by counting. */
static struct unread_tally count(int user, int64_t thread, int64_t until)
{
    struct unread_tally t = {0};
    for (int64_t p = read_up_to(user, thread) + 1; p <= until; p++) {
        if (said[p].thread != thread)
            continue;
        t.notify += said[p].adds.notify + said[p].exception[user].notify;
        t.highlight += said[p].adds.highlight + said[p].exception[user].highlight;
    }
    return t;
}

static struct standing standing_of(struct arena *a, int user, int64_t until)
{
    struct standing s = {.read_up_to = marks[user].everything,
                         .main_read_up_to = read_up_to(user, 0),
                         .main = count(user, 0, until)};
    s.threads = arena_alloc_array(a, ROOTS, sizeof *s.threads);
    for (int64_t root = 1; root <= ROOTS; root++)
        s.threads[s.threads_n++] = (struct thread_standing){.root = root,
                                                            .root_id = "$root",
                                                            .read_up_to = read_up_to(user, root),
                                                            .unread = count(user, root, until)};
    return s;
}

static struct unread_tally thread_of(const struct standing *s, int64_t root)
{
    for (size_t i = 0; i < s->threads_n; i++)
        if (s->threads[i].root == root)
            return s->threads[i].unread;
    return (struct unread_tally){0};
}

static void same(const char *what, int user, struct unread_tally got, struct unread_tally wanted)
{
    if (got.notify != wanted.notify || got.highlight != wanted.highlight)
        fail_msg("%s of user %d after event %lld: %lld/%lld instead of %lld/%lld", what, user,
                 (long long)newest, (long long)got.notify, (long long)got.highlight,
                 (long long)wanted.notify, (long long)wanted.highlight);
}

static void check(struct arena *a, struct room_sums *r)
{
    for (int u = 0; u < USERS; u++) {
        struct reader_sums *x = map_get_int(&r->readers, u + 1);
        struct standing s;
        if (!x || !x->loaded || random_below(3) == 0 || !reader_catch_up(x))
            continue; /* not every event is evaluated at once */
        reader_standing(a, x, &s);
        same("the main timeline", u, s.main, count(u, 0, newest));
        for (int64_t root = 1; root <= ROOTS; root++)
            same("a thread", u, thread_of(&s, root), count(u, root, newest));
    }
}

/* Read from the database a few events ago, and installed now. */
static void load(struct arena *a, struct room_sums *r, int user)
{
    struct reader_sums *x = map_get_int(&r->readers, user + 1);
    if (!x)
        x = reader_create(r, user + 1);
    struct standing s = standing_of(a, user, newest);
    if (!x->loaded)
        assert_true(reader_install(x, &s, ignored[user], newest));
}

/* State events of ignored users count. */
static void say(struct room_sums *r, int sender)
{
    bool is_state = random_below(5) == 0;
    struct said *e = &said[++newest];
    *e = (struct said){.thread = newest > ROOTS && random_below(2) ? 1 + random_below(ROOTS) : 0,
                       .adds = {random_below(4) > 0, random_below(9) == 0}};
    struct newest_event in_room = {newest, e->thread, e->adds};
    room_sums_add_event(r, &in_room, is_state ? NULL : names[sender]);
    for (int u = 0; u < USERS; u++) {
        if (!is_state && ignored_list_has(ignored[u], names[sender])) {
            e->exception[u] = (struct unread_tally){-e->adds.notify, -e->adds.highlight};
            continue;
        }
        if (u == sender || random_below(5))
            continue;
        e->exception[u] = (struct unread_tally){random_below(3) - 1, random_below(2)};
        struct reader_sums *x = map_get_int(&r->readers, u + 1);
        if (x)
            reader_add_exception(x, &(struct newest_event){newest, e->thread, e->exception[u]});
    }
}

/* scope as in unread_sums.h */
static void set_read(struct room_sums *r, int user, int64_t scope, int64_t position)
{
    struct marks *m = &marks[user];
    int64_t *mark = scope == READ_EVERYTHING ? &m->everything
                    : scope == READ_MAIN     ? &m->main
                                             : &m->threads[scope];
    *mark = later(*mark, position);
    struct reader_sums *x = map_get_int(&r->readers, user + 1);
    if (x && !reader_read(x, scope, position))
        reader_destroy(x);
}

static void play(struct arena *a)
{
    struct room_sums *r = room_sums_create(1, 0);
    memset(marks, 0, sizeof marks);
    for (newest = 0; newest < EVENTS;) {
        int user = (int)random_below(USERS);
        switch (random_below(6)) {
        case 0:
            load(a, r, user);
            break;
        case 1: { /* mostly of new events, sometimes far back */
            int64_t back = random_below(8) ? random_below(4) : random_below(newest + 1);
            int64_t scope = random_below(ROOTS + 2);
            if (back < newest)
                set_read(r, user, scope > ROOTS ? READ_MAIN : scope, newest - back);
            break;
        }
        default:
            say(r, user);
            set_read(r, user, said[newest].thread ? said[newest].thread : READ_MAIN, newest);
        }
        check(a, r);
    }
    while (r->readers.n)
        reader_destroy(map_next(&r->readers, NULL)->value);
    room_sums_destroy(r);
}

static void test_sums_equal_counts(void **state)
{
    arena_auto struct arena *a = arena_create();
    for (seed = 1; seed <= HISTORIES; seed++) {
        uint64_t mine = seed;
        play(a);
        arena_reset(a);
        seed = mine;
    }
}

/* Events arrived while the database was read. */
static void test_an_outdated_standing(void **state)
{
    arena_auto struct arena *a = arena_create();
    struct room_sums *r = room_sums_create(1, 10);
    struct reader_sums *x = reader_create(r, 1);
    struct standing s = {.read_up_to = 5, .main_read_up_to = 5, .main = {3, 1}}, got;
    for (int64_t p = 11; p < 11 + UNREAD_RING; p++)
        room_sums_add_event(r, &(struct newest_event){p, 0, {1, 0}}, "@0:x");
    assert_true(reader_install(x, &s, NULL, 10));
    reader_standing(a, x, &got);
    assert_int_equal(got.main.notify, 3 + UNREAD_RING);
    assert_int_equal(got.main.highlight, 1);
    room_sums_add_event(r, &(struct newest_event){100, 0, {1, 0}}, "@0:x");
    assert_false(reader_install(x, &s, NULL, 10)); /* the ring has lost event 11 */
    assert_true(reader_install(x, &s, NULL, 11));
    assert_false(reader_read(x, READ_MAIN, 10));
    reader_destroy(x);
    room_sums_destroy(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sums_equal_counts),
        cmocka_unit_test(test_an_outdated_standing),
    };
    for (int u = 0; u < USERS; u++) {
        json_auto_t *content = json_loads(ignored_texts[u], 0, NULL);
        ignored[u] = ignored_list_create(content);
    }
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    for (int u = 0; u < USERS; u++)
        ignored_list_unref(ignored[u]);
    return failed;
}
