/* A budget of bytes that many sources draw on: a source is given nothing that would be more than
 * what is then left for all others. One alone may so have half of it. When others have come it may
 * turn out to have too much (budget_is_over): where those give up what they have, twenty sources
 * have a 21st each, and as much is left for the next. Lock-free; sources are told apart by their
 * hash, and two of one slot count as one. With a `share` a source is given that much instead, while
 * there is some. */
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
/* Takes what is missing until *held are `need`. */
bool budget_grow(struct budget *b, uint64_t source, size_t *held, size_t need);
/* What so many bytes draw: nothing up to `free`, and then whole steps. */
size_t budget_steps(size_t bytes, size_t free, size_t step);
/* Also when there is not enough: for what cannot be refused. */
void budget_overdraw(struct budget *b, uint64_t source, size_t bytes);
size_t budget_held(const struct budget *b, uint64_t source);
/* Has the source more than what is left? */
bool budget_is_over(const struct budget *b, uint64_t source);
void budget_give_back(struct budget *b, uint64_t source, size_t bytes);

#endif
