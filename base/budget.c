#include "base/budget.h"

static atomic_size_t *budget_slot_of(struct budget *b, uint64_t source)
{
    return &b->by_source[source % BUDGET_SLOTS];
}

void budget_overdraw(struct budget *b, uint64_t source, size_t bytes)
{
    atomic_fetch_add(&b->taken, bytes);
    atomic_fetch_add(budget_slot_of(b, source), bytes);
}

void budget_give_back(struct budget *b, uint64_t source, size_t bytes)
{
    atomic_fetch_sub(&b->taken, bytes);
    atomic_fetch_sub(budget_slot_of(b, source), bytes);
}

size_t budget_held(const struct budget *b, uint64_t source)
{
    return atomic_load(&b->by_source[source % BUDGET_SLOTS]);
}

bool budget_is_over(const struct budget *b, uint64_t source)
{
    return budget_held(b, source) + atomic_load(&b->taken) > b->size;
}

/* Takes first and checks then: concurrent calls may be refused too often, never too seldom. */
bool budget_take(struct budget *b, uint64_t source, size_t bytes)
{
    if (bytes > b->size)
        return false;
    size_t taken = atomic_fetch_add(&b->taken, bytes) + bytes;
    size_t own = atomic_fetch_add(budget_slot_of(b, source), bytes) + bytes;
    if (b->share ? taken <= b->size && own <= b->share : taken + own <= b->size)
        return true;
    budget_give_back(b, source, bytes);
    atomic_fetch_add_explicit(&b->refused, 1, memory_order_relaxed);
    return false;
}

bool budget_grow(struct budget *b, uint64_t source, size_t *held, size_t need)
{
    if (need <= *held)
        return true;
    if (!budget_take(b, source, need - *held))
        return false;
    *held = need;
    return true;
}

size_t budget_steps(size_t bytes, size_t free, size_t step)
{
    return bytes <= free ? 0 : (bytes + step - 1) / step * step;
}
