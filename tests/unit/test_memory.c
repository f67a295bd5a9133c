#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

enum { PIECES = 2000, PIECE_BYTES = 64 * 1024 }; /* 125 MiB */

static void take(char **pieces)
{
    for (int i = 0; i < PIECES; i++) {
        pieces[i] = malloc(PIECE_BYTES);
        memset(pieces[i], 1, PIECE_BYTES);
    }
}

/* All but every hundredth, so that the heap's end cannot move. */
static void give(char **pieces, int from, int to)
{
    for (int i = from; i < to; i++) {
        if (i % 100 == 0)
            continue;
        free(pieces[i]);
        pieces[i] = NULL;
    }
}

/* The heap is checked twice: in the middle of a burst, when half is free, and after its end. */
static void test_memory_freed_late_is_returned_too(void **state)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    skip(); /* sanitizers have their own malloc */
#endif
    char **pieces = calloc(PIECES, sizeof *pieces);
    take(pieces);
    size_t all = memory_resident();
    assert_false(memory_trim()); /* all is in use */
    give(pieces, 0, PIECES / 2);
    assert_true(memory_trim());
    size_t half = memory_resident();
    assert_true(half < all - all / 4);
    assert_false(memory_trim()); /* nothing is left to trim */
    give(pieces, PIECES / 2, PIECES);
    assert_true(memory_trim());
    assert_true(memory_resident() < half - half / 2);
    for (int i = 0; i < PIECES; i++)
        free(pieces[i]);
    free(pieces);
}

int main(void)
{
    memory_begin(2);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memory_freed_late_is_returned_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
