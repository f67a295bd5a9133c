#include "storage/db/batch.h"

#include "check.h"
#include "storage/db/write_internal.h"

static struct sql late_sql = {.name = "late"}, early_sql = {.name = "early"},
                  merged_sql = {.name = "merged"}, kept_sql = {.name = "kept"};

static const struct batch_table late = {
    .sql = &late_sql, .columns = {DB_INT8, DB_POSITION}, .columns_n = 2, .order = BATCH_OTHER};
static const struct batch_table early = {
    .sql = &early_sql, .columns = {DB_INT8}, .columns_n = 1, .order = BATCH_ROOMS};
static const struct batch_table merged = {.sql = &merged_sql,
                                          .columns = {DB_INT8, DB_TEXT, DB_POSITION},
                                          .columns_n = 3,
                                          .order = BATCH_EVENTS,
                                          .key_columns = 2};

static void keep_older(struct db_param *older, const struct db_param *newer)
{
}

static const struct batch_table kept = {.sql = &kept_sql,
                                        .columns = {DB_INT8, DB_INT8},
                                        .columns_n = 2,
                                        .order = BATCH_STATE,
                                        .key_columns = 1,
                                        .merge = keep_older};

static struct arena *arena;
static struct batch batch;

static int set_up(void **state)
{
    arena = arena_create();
    batch_init(&batch);
    return 0;
}

static int tear_down(void **state)
{
    batch_finish(&batch);
    arena_destroy(arena);
    return 0;
}

static struct write *new_write(void)
{
    struct write *w = arena_alloc(arena, sizeof *w);
    w->arena = arena;
    w->last_row = &w->rows;
    w->last_statement = &w->statements;
    return w;
}

static int64_t value(size_t table, size_t row, int column)
{
    assert_true(table < batch.tables_n && row < batch.tables[table].n);
    return batch.tables[table].rows[row][column].i;
}

static void tables_go_out_in_their_order(void **state)
{
    struct write *w = new_write();
    write_row(w, &late, P(INT(1), POSITION(1)));
    write_row(w, &merged, P(INT(1), TEXT("x"), POSITION(1)));
    write_row(w, &early, P(INT(7)));
    write_row(w, &kept, P(INT(1), INT(1)));
    batch_add_rows(&batch, w->rows, 1);
    assert_int_equal(batch.tables_n, 4);
    assert_ptr_equal(batch.tables[0].table, &early);
    assert_ptr_equal(batch.tables[1].table, &merged);
    assert_ptr_equal(batch.tables[2].table, &kept);
    assert_ptr_equal(batch.tables[3].table, &late);
}

static void positions_count_on_over_writes(void **state)
{
    struct write *one = new_write(), *two = new_write();
    write_row(one, &late, P(INT(1), POSITION(2)));
    write_row(two, &late, P(INT(2), POSITION(1)));
    batch_add_rows(&batch, one->rows, 1);
    batch_add_rows(&batch, two->rows, 3);
    assert_int_equal(value(0, 0, 1), 2);
    assert_int_equal(value(0, 1, 1), 3);
}

static void rows_of_one_key_merge(void **state)
{
    struct write *one = new_write(), *two = new_write();
    write_row(one, &merged, P(INT(1), TEXT("a"), POSITION(1)));
    write_row(one, &merged, P(INT(1), TEXT("b"), POSITION(1)));
    write_row(one, &kept, P(INT(1), INT(10)));
    write_row(two, &merged, P(INT(1), TEXT("a"), POSITION(1)));
    write_row(two, &kept, P(INT(1), INT(20)));
    write_row(two, &kept, P(INT(2), INT(30)));
    batch_add_rows(&batch, one->rows, 1);
    batch_add_rows(&batch, two->rows, 2);
    assert_int_equal(batch.tables[0].n, 2);
    assert_int_equal(value(0, 0, 2), 2); /* the later one replaced it, at its place */
    assert_int_equal(value(0, 1, 2), 1);
    assert_int_equal(batch.tables[1].n, 2);
    assert_int_equal(value(1, 0, 1), 10);
    assert_int_equal(value(1, 1, 1), 30);
}

static void rows_without_a_key_never_merge(void **state)
{
    struct write *w = new_write();
    for (int i = 0; i < 100; i++)
        write_row(w, &late, P(INT(1), POSITION(1)));
    batch_add_rows(&batch, w->rows, 1);
    assert_int_equal(batch.tables[0].n, 100);
}

/* int8[] in PostgreSQL's binary format: the last 8 bytes of an array are its last element. */
static int64_t last_int8(const struct buf *b)
{
    uint64_t v = 0;
    for (size_t i = b->n - 8; i < b->n; i++)
        v = v << 8 | (unsigned char)b->p[i];
    return (int64_t)v;
}

static void positions_leave_as_distance_from_the_head(void **state)
{
    struct write *w = new_write();
    write_row(w, &late, P(INT(5), POSITION(3)));
    batch_add_rows(&batch, w->rows, 1);
    batch_encode(&batch, 10);
    assert_int_equal(last_int8(&batch.tables[0].columns[0]), 5);
    assert_int_equal(last_int8(&batch.tables[0].columns[1]), 7);
}

static void a_cleared_batch_is_empty(void **state)
{
    struct write *w = new_write();
    write_row(w, &late, P(INT(5), POSITION(3)));
    batch_add_rows(&batch, w->rows, 1);
    batch_encode(&batch, 3);
    batch_clear(&batch);
    for (size_t i = 0; i < batch.tables_n; i++)
        assert_int_equal(batch.tables[i].n, 0);
    batch_add_rows(&batch, w->rows, 1);
    batch_encode(&batch, 4);
    assert_int_equal(last_int8(&batch.tables[0].columns[1]), 1);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(tables_go_out_in_their_order),
        CASE(positions_count_on_over_writes),
        CASE(rows_of_one_key_merge),
        CASE(rows_without_a_key_never_merge),
        CASE(positions_leave_as_distance_from_the_head),
        CASE(a_cleared_batch_is_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
