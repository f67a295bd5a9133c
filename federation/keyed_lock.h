/* Keyed locks: one thread at a time for a name. If two of our users join the same room of another
 * server at once, the second waits and then finds the room stored. */
#ifndef FEDERATION_KEYED_LOCK_H
#define FEDERATION_KEYED_LOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct keyed_lock;
struct keyed_lock *keyed_lock_create(void);
void keyed_lock_destroy(struct keyed_lock *t); /* NULL-safe */

/* Waits until the name is free. False if the deadline (mono_ms) passed first. Waiters are served in
 * order of arrival, but the sources in rounds: a server that asks often is behind each that asks
 * once. */
bool keyed_lock_take(struct keyed_lock *t, const char *name, const char *source,
                     int64_t deadline_mono_ms);
bool keyed_lock_is_taken(struct keyed_lock *t, const char *name);
size_t keyed_lock_waiting(struct keyed_lock *t, const char *name);
void keyed_lock_release(struct keyed_lock *t, const char *name);

#endif
