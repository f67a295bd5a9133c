/* Turns: what must be done by one thread at a time for a name. Two users of ours who join the same
 * room elsewhere at once: the second waits, and then finds the room here. */
#ifndef FEDERATION_KEYED_LOCK_H
#define FEDERATION_KEYED_LOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct keyed_lock;
struct keyed_lock *keyed_lock_create(void);
void keyed_lock_destroy(struct keyed_lock *t); /* NULL-safe */

/* Waits until no other has the turn. False: the deadline (mono_ms) passed before. Who waits is
 * served as they came, the sources in turn: a server that asks often is behind each that asks
 * once. */
bool keyed_lock_take(struct keyed_lock *t, const char *name, const char *source,
                     int64_t deadline_mono_ms);
bool keyed_lock_is_taken(struct keyed_lock *t, const char *name);
size_t turns_waiting(struct keyed_lock *t, const char *name);
void keyed_lock_release(struct keyed_lock *t, const char *name);

#endif
