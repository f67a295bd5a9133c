/* Turns: what must be done by one thread at a time for a name. Two users of ours who join the same
 * room elsewhere at once: the second waits, and then finds the room here. */
#ifndef FEDERATION_TURNS_H
#define FEDERATION_TURNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct turns;
struct turns *turns_create(void);
void turns_destroy(struct turns *t); /* NULL-safe */

/* Waits until no other has the turn. False: the deadline (mono_ms) passed before. Who waits is
 * served as they came, the sources in turn: a server that asks often is behind each that asks
 * once. */
bool turns_take(struct turns *t, const char *name, const char *source, int64_t deadline_mono_ms);
bool turns_is_taken(struct turns *t, const char *name);
size_t turns_waiting(struct turns *t, const char *name);
void turns_give_back(struct turns *t, const char *name);

#endif
