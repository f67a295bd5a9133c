/* A budget of bytes that many sources draw on: a source never gets more than what is then left for
 * all others. So a single source may have half of it. When others come, it may have too much
 * (budget_is_over); if such sources give back the excess, twenty sources have a 21st each, and as
 * much is left for the next. Lock-free; sources are distinguished by their hash, and two in one
 * slot count as one. With a `share` a source gets up to that much instead, while some is left. */
#ifndef BASE_BUDGET_H
#define BASE_BUDGET_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { BUDGET_SLOTS = 1024 };

struct budget {
    size_t size, share;
    atomic_size_t taken, by_source[BUDGET_SLOTS];
    atomic_ulong refused;
};

bool budget_take(struct budget *b, uint64_t source, size_t bytes);
/* Takes bytes until *held is `need`. */
bool budget_grow(struct budget *b, uint64_t source, size_t *held, size_t need);
/* How much that many bytes draw: nothing up to `free`, then whole steps. */
size_t budget_steps(size_t bytes, size_t free, size_t step);
/* Takes bytes even if too few are left: for memory that cannot be refused. */
void budget_overdraw(struct budget *b, uint64_t source, size_t bytes);
size_t budget_held(const struct budget *b, uint64_t source);
/* Whether the source has more than what is left. */
bool budget_is_over(const struct budget *b, uint64_t source);
void budget_give_back(struct budget *b, uint64_t source, size_t bytes);

#endif
