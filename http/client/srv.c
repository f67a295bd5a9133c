/* The order of SRV records. */
#include "http/client/srv.h"

static void swap(struct srv_record *a, struct srv_record *b)
{
    struct srv_record was = *a;
    *a = *b;
    *b = was;
}

/* Moves one of the records, all of one priority, to the front: each with a chance proportional to
 * its weight, those without weight with a very small chance. */
static void choose_first(struct srv_record *records, size_t n, uint32_t (*random)(uint32_t))
{
    enum { SMALL = 1, SCALE = 100 };
    uint32_t sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (uint32_t)records[i].weight * SCALE + SMALL;
    uint32_t chosen = random(sum);
    for (size_t i = 0; i < n; i++) {
        uint32_t share = (uint32_t)records[i].weight * SCALE + SMALL;
        if (chosen < share) {
            swap(&records[0], &records[i]);
            return;
        }
        chosen -= share;
    }
}

static size_t same_priority(const struct srv_record *records, size_t n)
{
    size_t same = 1;
    while (same < n && records[same].priority == records[0].priority)
        same++;
    return same;
}

void srv_order(struct srv_record *records, size_t n, uint32_t (*random)(uint32_t n))
{
    for (size_t i = 1; i < n; i++)
        for (size_t j = i; j > 0 && records[j].priority < records[j - 1].priority; j--)
            swap(&records[j], &records[j - 1]);
    for (size_t at = 0; at < n;) {
        size_t group = same_priority(records + at, n - at);
        for (size_t i = 0; i < group; i++)
            choose_first(records + at + i, group - i, random);
        at += group;
    }
}
