/* One arena per request or job: memory that is freed all at once.
 *
 * Memory that a function returns from an arena is const and dies with the arena (or at its reset).
 * Out of memory aborts. Not thread-safe: an arena belongs to one thread at a time. */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "base/err.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

struct arena;

struct arena *arena_create(void);
void arena_destroy(struct arena *a); /* NULL-safe */

/* Runs the deferred calls and forgets every allocation, keeping one block for reuse. */
void arena_reset(struct arena *a);

void *arena_alloc(struct arena *a, size_t bytes);                 /* zeroed, 16-byte aligned */
void *arena_alloc_array(struct arena *a, size_t n, size_t size);  /* zeroed; aborts on overflow */
char *arena_memdup(struct arena *a, const void *bytes, size_t n); /* NUL-terminated copy */
char *arena_strdup(struct arena *a, const char *s);               /* NULL stays NULL */
char *arena_printf(struct arena *a, const char *fmt, ...) PRINTF_LIKE(2, 3);
char *arena_vprintf(struct arena *a, const char *fmt, va_list ap);

/* Calls fn(what) when the arena is reset or destroyed, newest first. */
void arena_defer(struct arena *a, void (*fn)(void *), void *what);

size_t arena_bytes(const struct arena *a); /* held from malloc, for metrics and tests */

/* Counts memory outside the arena that a deferred call frees with it. */
void arena_own(struct arena *a, size_t bytes);
void arena_disown(struct arena *a, size_t bytes);
size_t arena_owned(const struct arena *a);

/* The source (user, address or server) of the request that needs the memory; by default each arena
 * is a source of its own. */
void arena_set_source(struct arena *a, uint64_t source);
uint64_t arena_source(const struct arena *a);

/* For arenas that live in one scope: `arena_auto struct arena *a = arena_create();` */
void arena_auto_destroy_(struct arena **a);
#define arena_auto __attribute__((cleanup(arena_auto_destroy_)))

#endif
