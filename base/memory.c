#include "base/memory.h"

#include <malloc.h>
#include <stdio.h>
#include <unistd.h>

enum {
    /* Larger blocks are mapped alone, and unmapped when freed. By default glibc raises this to 32
     * MiB once such a block was freed. */
    MAPPED_FROM = 1 << 20,
    TOP_KEPT = 8 << 20,
    MUCH = 24 << 20
};

void memory_begin(int processors)
{
    /* By default eight for each processor, each with its own fragmentation. */
    int arenas = 2 * processors < 8 ? 8 : 2 * processors > 32 ? 32 : 2 * processors;
    mallopt(M_ARENA_MAX, arenas);
    mallopt(M_MMAP_THRESHOLD, MAPPED_FROM);
    mallopt(M_TRIM_THRESHOLD, TOP_KEPT);
}

size_t memory_resident(void)
{
    unsigned long all, resident = 0, shared = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    if (!f)
        return 0;
    if (fscanf(f, "%lu %lu %lu", &all, &resident, &shared) != 3)
        resident = shared = 0;
    fclose(f);
    return (resident - shared) * (size_t)sysconf(_SC_PAGESIZE);
}

bool memory_trim(void)
{
    static size_t resident_then, used_then; /* after the last trim */
    struct mallinfo2 m = mallinfo2();
    size_t resident = memory_resident(), used = m.uordblks + m.hblkhd;
    if (resident < resident_then)
        resident_then = resident;
    bool has_grown = resident >= resident_then + MUCH, was_freed = used + MUCH <= used_then;
    if (resident < used + MUCH || (!has_grown && !was_freed))
        return false;
    malloc_trim(0);
    resident_then = memory_resident();
    used_then = used;
    return true;
}
