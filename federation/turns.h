/* Turns: what must be done by one thread at a time for a name. Two users of ours who join the same
 * room elsewhere at once: the second waits, and then finds the room here. */
#ifndef FEDERATION_TURNS_H
#define FEDERATION_TURNS_H

#include <stdbool.h>
#include <stdint.h>

struct turns;
struct turns *turns_create(void);
void turns_destroy(struct turns *t); /* NULL-safe */

/* Waits until no other has the turn. False: the deadline (mono_ms) passed before. */
bool turns_take(struct turns *t, const char *name, int64_t deadline_mono_ms);
bool turns_is_taken(struct turns *t, const char *name);
void turns_give_back(struct turns *t, const char *name);

#endif
