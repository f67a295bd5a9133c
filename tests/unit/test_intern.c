#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pg_fixture.h"
#include "storage/db/intern.h"

#include <pthread.h>

static void a_name_keeps_its_id(void **state)
{
    struct intern *in = intern_create(pg_db());
    int64_t id, again;
    const char *name;
    NO_ERR(intern_id(in, INTERN_USER, "@keeps:example.org", &id));
    assert_true(id > 0);
    NO_ERR(intern_id(in, INTERN_USER, "@keeps:example.org", &again));
    assert_int_equal(again, id);
    NO_ERR(intern_name(in, INTERN_USER, id, &name));
    assert_string_equal(name, "@keeps:example.org");
    intern_destroy(in);

    in = intern_create(pg_db()); /* after a restart */
    NO_ERR(intern_name(in, INTERN_USER, id, &name));
    assert_string_equal(name, "@keeps:example.org");
    NO_ERR(intern_find(in, INTERN_USER, "@keeps:example.org", &again));
    assert_int_equal(again, id);
    intern_destroy(in);
}

static void finding_makes_nothing(void **state)
{
    struct intern *in = intern_create(pg_db());
    int64_t id = 9;
    for (int i = 0; i < 2; i++) {
        NO_ERR(intern_find(in, INTERN_USER, "@unknown:example.org", &id));
        assert_int_equal(id, 0);
    }
    const char *name = NULL;
    assert_non_null(intern_name(in, INTERN_USER, 123456789, &name));
    assert_null(name);
    intern_destroy(in);
}

static void kinds_are_apart(void **state)
{
    struct intern *in = intern_create(pg_db());
    int64_t type, user;
    NO_ERR(intern_id(in, INTERN_TYPE, "m.room.member", &type));
    assert_int_equal(type, 1); /* as the schema numbers it */
    NO_ERR(intern_find(in, INTERN_USER, "m.room.member", &user));
    assert_int_equal(user, 0);
    intern_destroy(in);
}

static void a_room_is_announced_by_its_creator(void **state)
{
    struct intern *in = intern_create(pg_db());
    int64_t id = 9;
    NO_ERR(intern_find(in, INTERN_ROOM, "!new:example.org", &id));
    assert_int_equal(id, 0);
    assert_non_null(intern_id(in, INTERN_ROOM, "!new:example.org", &id));
    intern_remember(in, INTERN_ROOM, "!new:example.org", 77);
    intern_remember(in, INTERN_ROOM, "!new:example.org", 77);
    NO_ERR(intern_id(in, INTERN_ROOM, "!new:example.org", &id));
    assert_int_equal(id, 77);
    const char *name;
    NO_ERR(intern_name(in, INTERN_ROOM, 77, &name));
    assert_string_equal(name, "!new:example.org");
    intern_destroy(in);
}

static void many_at_once_known_new_and_repeated(void **state)
{
    struct intern *in = intern_create(pg_db());
    enum { N = 500 };
    static char texts[N][32];
    const char *names[N];
    int64_t ids[N], one;
    for (int i = 0; i < N; i++) {
        snprintf(texts[i], sizeof texts[i], "@many%d:example.org", i / 2); /* each twice */
        names[i] = texts[i];
    }
    NO_ERR(intern_id(in, INTERN_USER, names[10], &one));
    NO_ERR(intern_ids(in, INTERN_USER, names, N, ids));
    assert_int_equal(ids[10], one);
    for (int i = 0; i < N; i += 2) {
        assert_true(ids[i] > 0 && ids[i] == ids[i + 1]);
        assert_true(i == 0 || ids[i] != ids[i - 1]);
    }
    struct intern *fresh = intern_create(pg_db());
    const char *back[N];
    NO_ERR(intern_names(fresh, INTERN_USER, ids, N, back));
    for (int i = 0; i < N; i++)
        assert_string_equal(back[i], names[i]);
    NO_ERR(intern_names(fresh, INTERN_USER, NULL, 0, NULL));
    NO_ERR(intern_ids(fresh, INTERN_USER, NULL, 0, NULL));
    buf_auto struct buf metrics = {0};
    intern_add_metrics(fresh, &metrics);
    assert_non_null(strstr(metrics.p, "concorde_interned_names{kind=\"user\"} 250\n"));
    intern_destroy(fresh);
    intern_destroy(in);
}

enum { THREADS = 8, NAMES = 60 };

struct racer {
    pthread_t thread;
    struct intern *in;
    int number;
    int64_t ids[NAMES];
    bool failed;
};

static void *race(void *what)
{
    struct racer *r = what;
    for (int i = 0; i < NAMES; i++) {
        int at = r->number % 2 ? i : NAMES - 1 - i; /* from both ends */
        char name[40];
        snprintf(name, sizeof name, "@race%d:example.org", at);
        const char *back;
        const struct err *e = intern_id(r->in, INTERN_USER, name, &r->ids[at]);
        if (!e)
            e = intern_name(r->in, INTERN_USER, r->ids[at], &back);
        r->failed |= e || strcmp(back, name) != 0;
    }
    return NULL;
}

static void racing_threads_and_nodes_agree(void **state)
{
    struct intern *nodes[2] = {intern_create(pg_db()), intern_create(pg_db())};
    static struct racer racers[THREADS];
    for (int i = 0; i < THREADS; i++) {
        racers[i].number = i;
        racers[i].in = nodes[i / 2 % 2];
        pthread_create(&racers[i].thread, NULL, race, &racers[i]);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(racers[i].thread, NULL);
        assert_false(racers[i].failed);
        assert_memory_equal(racers[i].ids, racers[0].ids, sizeof racers[0].ids);
    }
    for (int i = 0; i < 2; i++)
        intern_destroy(nodes[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_keeps_its_id),
        cmocka_unit_test(finding_makes_nothing),
        cmocka_unit_test(kinds_are_apart),
        cmocka_unit_test(a_room_is_announced_by_its_creator),
        cmocka_unit_test(many_at_once_known_new_and_repeated),
        cmocka_unit_test(racing_threads_and_nodes_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
