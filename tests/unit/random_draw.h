/* The same draws in each run from the same seed (xorshift). */
#ifndef TESTS_RANDOM_DRAW_H
#define TESTS_RANDOM_DRAW_H

#include <stdint.h>

static uint32_t random_state; /* the seed: not 0 */

/* From 0 to below - 1. */
static inline uint32_t draw(uint32_t below)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 17;
    random_state ^= random_state << 5;
    return random_state % below;
}

#endif
