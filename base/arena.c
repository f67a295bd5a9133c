#include "base/arena.h"

#include "base/mem.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_BLOCK = 448, BLOCK = 16384, ALIGN = 16 };

struct block {
    struct block *older;
    size_t size, used;
    _Alignas(ALIGN) char bytes[];
};

struct deferred {
    struct deferred *older;
    void (*fn)(void *);
    void *what;
};

struct arena {
    struct block *newest;
    struct deferred *deferred;
    size_t held, owned;
    uint64_t source;
};

static struct block *add_block(struct arena *a, size_t at_least)
{
    size_t size = a->newest ? BLOCK : FIRST_BLOCK;
    if (size < at_least)
        size = at_least;
    struct block *b = mem_alloc(sizeof *b + size);
    b->older = a->newest;
    b->size = size;
    b->used = 0;
    a->newest = b;
    a->held += sizeof *b + size;
    return b;
}

struct arena *arena_create(void)
{
    struct arena *a = mem_alloc(sizeof *a);
    *a = (struct arena){0};
    return a;
}

static void run_deferred(struct arena *a)
{
    while (a->deferred) {
        struct deferred *d = a->deferred;
        a->deferred = d->older;
        d->fn(d->what);
    }
}

/* Keeps one block of the usual size, never a huge one, so that a reused arena seldom calls malloc.
 */
void arena_reset(struct arena *a)
{
    run_deferred(a);
    struct block *kept = NULL;
    for (struct block *b = a->newest, *older; b; b = older) {
        older = b->older;
        bool keep = b->size <= BLOCK && (!kept || b->size > kept->size);
        struct block *freed = keep ? kept : b;
        if (keep)
            kept = b;
        if (freed) {
            a->held -= sizeof *freed + freed->size;
            free(freed);
        }
    }
    if (kept) {
        kept->used = 0;
        kept->older = NULL;
    }
    a->newest = kept;
}

void arena_destroy(struct arena *a)
{
    if (!a)
        return;
    arena_reset(a);
    free(a->newest);
    free(a);
}

void arena_auto_destroy_(struct arena **a)
{
    arena_destroy(*a);
}

void *arena_alloc(struct arena *a, size_t bytes)
{
    size_t need = (bytes + ALIGN - 1) & ~(size_t)(ALIGN - 1);
    if (need < bytes)
        abort();
    struct block *b = a->newest;
    if (!b || b->size - b->used < need)
        b = add_block(a, need);
    void *p = b->bytes + b->used;
    b->used += need;
    return memset(p, 0, bytes);
}

void *arena_alloc_array(struct arena *a, size_t n, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(n, size, &bytes))
        abort();
    return arena_alloc(a, bytes);
}

char *arena_memdup(struct arena *a, const void *bytes, size_t n)
{
    char *p = arena_alloc(a, n + 1);
    if (n)
        memcpy(p, bytes, n);
    return p;
}

char *arena_strdup(struct arena *a, const char *s)
{
    return s ? arena_memdup(a, s, strlen(s)) : NULL;
}

char *arena_vprintf(struct arena *a, const char *fmt, va_list ap)
{
    va_list again;
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, again);
    va_end(again);
    if (n < 0)
        abort();
    char *p = arena_alloc(a, (size_t)n + 1);
    vsnprintf(p, (size_t)n + 1, fmt, ap);
    return p;
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *p = arena_vprintf(a, fmt, ap);
    va_end(ap);
    return p;
}

void arena_defer(struct arena *a, void (*fn)(void *), void *what)
{
    struct deferred *d = arena_alloc(a, sizeof *d);
    *d = (struct deferred){.older = a->deferred, .fn = fn, .what = what};
    a->deferred = d;
}

size_t arena_bytes(const struct arena *a)
{
    return a->held + a->owned;
}

void arena_own(struct arena *a, size_t bytes)
{
    a->owned += bytes;
}

void arena_disown(struct arena *a, size_t bytes)
{
    a->owned -= bytes;
}

void arena_set_source(struct arena *a, uint64_t source)
{
    a->source = source;
}

uint64_t arena_source(const struct arena *a)
{
    return a->source ? a->source : (uintptr_t)a / sizeof *a;
}

size_t arena_owned(const struct arena *a)
{
    return a->owned;
}
