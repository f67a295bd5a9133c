/* malloc that aborts when there is no memory (design: out of memory is not an error path). */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

static inline void *mem_check_(void *p)
{
    if (!p)
        abort();
    return p;
}

static inline void *mem_alloc(size_t bytes)
{
    return mem_check_(malloc(bytes ? bytes : 1));
}

static inline void *mem_zalloc(size_t bytes)
{
    return mem_check_(calloc(1, bytes ? bytes : 1));
}

/* Grows an array to n items of the given size; aborts on overflow. */
static inline void *mem_realloc_array(void *p, size_t n, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(n, size, &bytes))
        abort();
    return mem_check_(realloc(p, bytes ? bytes : 1));
}

static inline char *mem_strdup(const char *s)
{
    return s ? mem_check_(strdup(s)) : NULL;
}

#endif
