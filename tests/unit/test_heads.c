/* Heads of rooms in the batches of the committer: versions that are built on each other. */
#include "check.h"
#include "log_fixture.h"

#include "storage/rooms/rooms.h"

static struct storage storage;
static struct node node = {.storage = &storage};

SQL(expect_sql, "SELECT expect_rows(0, 1)")

static int set_up(void **state)
{
    node.storage->db = pg_db();
    log_start(&node, pg_uri());
    return 0;
}

static int tear_down(void **state)
{
    log_stop(&node);
    return 0;
}

static struct write *new_note(struct job *job)
{
    struct write *w = write_begin(job);
    write_change(w, &(struct change){.kind = CHANGE_PROFILE, .user = 1});
    return w;
}

static int64_t commits_so_far(void)
{
    return committer_counted(node.storage->committer, "concorde_commits_total");
}

static struct room_head head_of(int64_t id, int64_t version)
{
    static const struct str tip = {"0123456789abcdef0123456789abcdef", 32};
    static char name[64];
    snprintf(name, sizeof name, "!room%lld:test.example", (long long)id);
    return (struct room_head){.id = id,
                              .room_id = name,
                              .room_version = room_version_find("10"),
                              .version = version,
                              .depth = version,
                              .extremities = &tip,
                              .extremities_n = 1};
}

static struct write *new_head(struct job *job, int64_t room, int64_t built_on, int64_t version)
{
    struct write *w = write_begin(job);
    struct room_head h = head_of(room, version);
    write_change(w, &(struct change){.kind = CHANGE_PROFILE, .user = 1});
    rooms_write_head(w, &h, built_on);
    return w;
}

static int64_t make_room(struct job *job)
{
    int64_t id;
    NO_ERR(rooms_next_id(job_tx(job), &id));
    struct room_head h = head_of(id, 1);
    struct write *w = write_begin(job);
    rooms_write_new(w, &h);
    NO_ERR(write_commit(job, w, NULL));
    return id;
}

static void check_version(struct job *job, int64_t room, int64_t wanted)
{
    const struct room_head *h;
    NO_ERR(rooms_get(job_tx(job), room, &h));
    assert_int_equal(h->version, wanted);
}

static void heads_built_on_each_other_merge(void **state)
{
    struct scope s;
    scope_init(&s, &node);
    int64_t room = make_room(&s.job), commits = commits_so_far();
    struct write *writes[4];
    for (int i = 0; i < 4; i++)
        write_enqueue(&s.job, writes[i] = new_head(&s.job, room, 1 + i, 2 + i));
    for (int i = 0; i < 4; i++)
        NO_ERR(write_wait(&s.job, writes[i], NULL));
    check_version(&s.job, room, 5);
    assert_int_equal(commits_so_far(), commits + 1);
    scope_finish(&s);
}

static void heads_built_on_the_same_do_not_fork_the_room(void **state)
{
    struct scope s;
    scope_init(&s, &node);
    int64_t room = make_room(&s.job);
    struct write *first = new_head(&s.job, room, 1, 20), *rival = new_head(&s.job, room, 1, 30),
                 *on_rival = new_head(&s.job, room, 30, 31);
    write_enqueue(&s.job, first);
    write_enqueue(&s.job, rival);
    write_enqueue(&s.job, on_rival);
    NO_ERR(write_wait(&s.job, first, NULL));
    const struct err *e = write_wait(&s.job, rival, NULL);
    assert_true(e && e->code == ERR_CONFLICT);
    e = write_wait(&s.job, on_rival, NULL);
    assert_true(e && e->code == ERR_CONFLICT);
    check_version(&s.job, room, 20);
    scope_finish(&s);
}

/* As after another node has written to the room: what was queued before that fails, what was built
 * since does not, and all of it takes one more transaction, whatever else was in the batch. */
static void heads_that_were_outrun_fail_alone(void **state)
{
    struct scope s;
    scope_init(&s, &node);
    int64_t room = make_room(&s.job), other = make_room(&s.job), commits = commits_so_far();
    int64_t failed = committer_counted(node.storage->committer, "concorde_writes_failed_total");
    const struct {
        int64_t room, built_on, version;
        bool fails;
    } rows[] = {{room, 7, 8, true}, {other, 1, 2},  {room, 8, 9, true},
                {room, 1, 10},      {room, 10, 11}, {other, 2, 3}};
    struct write *writes[COUNT(rows)], *note = new_note(&s.job);
    for (size_t i = 0; i < COUNT(rows); i++)
        write_enqueue(
            &s.job, writes[i] = new_head(&s.job, rows[i].room, rows[i].built_on, rows[i].version));
    write_enqueue(&s.job, note);
    NO_ERR(write_wait(&s.job, note, NULL));
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct err *e = write_wait(&s.job, writes[i], NULL);
        assert_int_equal(e ? e->code : ERR_NOT_FOUND, rows[i].fails ? ERR_CONFLICT : ERR_NOT_FOUND);
    }
    check_version(&s.job, room, 11);
    check_version(&s.job, other, 3);
    assert_int_equal(commits_so_far(), commits + 1);
    assert_int_equal(committer_counted(node.storage->committer, "concorde_writes_failed_total"),
                     failed + 2);
    scope_finish(&s);
}

static void heads_built_on_failed_ones_fail(void **state)
{
    struct scope s;
    scope_init(&s, &node);
    int64_t room = make_room(&s.job);
    int64_t failed = committer_counted(node.storage->committer, "concorde_writes_failed_total");
    struct write *bad = new_head(&s.job, room, 1, 2), *on_bad = new_head(&s.job, room, 2, 3),
                 *good = new_note(&s.job), *on_both = new_head(&s.job, room, 3, 4);
    write_statement(bad, &expect_sql, NO_PARAMS);
    write_enqueue(&s.job, bad);
    write_enqueue(&s.job, on_bad);
    write_enqueue(&s.job, good);
    write_enqueue(&s.job, on_both);
    assert_non_null(write_wait(&s.job, bad, NULL));
    const struct err *e = write_wait(&s.job, on_bad, NULL);
    assert_true(e && e->code == ERR_CONFLICT);
    e = write_wait(&s.job, on_both, NULL);
    assert_true(e && e->code == ERR_CONFLICT);
    NO_ERR(write_wait(&s.job, good, NULL));
    assert_int_equal(committer_counted(node.storage->committer, "concorde_writes_failed_total"),
                     failed + 3);
    check_version(&s.job, room, 1);
    scope_finish(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(heads_built_on_each_other_merge),
        cmocka_unit_test(heads_built_on_the_same_do_not_fork_the_room),
        cmocka_unit_test(heads_that_were_outrun_fail_alone),
        cmocka_unit_test(heads_built_on_failed_ones_fail),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
