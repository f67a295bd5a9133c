/* A batch of changes that another node has written: what is read of valid JSON is written and read
 * again. */
#include "fuzz.h"

#include "matrix/json_scan.h"
#include "storage/db/log_batches.h"

enum { CHANGES_MAX = 64 };

static void write_again(struct arena *a, const struct change *changes, size_t n)
{
    buf_auto struct buf b = {0};
    struct change again[CHANGES_MAX];
    for (size_t i = 0; i < n; i++)
        log_batch_add(&b, &changes[i]);
    log_batch_end(&b);
    HOLDS(!json_scan_check(buf_str(&b)));
    HOLDS(log_batch_decode(a, buf_str(&b), 1, again, n));
    for (size_t i = 0; i < n; i++) {
        HOLDS(again[i].kind == changes[i].kind && again[i].position == changes[i].position);
        HOLDS(again[i].room == changes[i].room && again[i].user == changes[i].user);
        HOLDS(!change_any_event(&again[i]) == !change_any_event(&changes[i]));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    arena_auto struct arena *a = arena_create();
    struct str batch = fuzz_str(data, size);
    struct change changes[CHANGES_MAX];
    struct json_member m;
    size_t n = 0;
    for (size_t pos = 0; n < CHANGES_MAX && json_scan_next(batch, &pos, &m);)
        n++;
    if (log_batch_decode(a, batch, 1, changes, n) && !json_scan_check(batch))
        write_again(a, changes, n);
    return 0;
}
