/* Hash maps from a 64-bit integer or a byte string to a pointer.
 *
 * Open addressing, grows by itself, never shrinks. String keys are borrowed: they must live as long
 * as their entry (usually they are a member of the value). Not thread-safe: the owner of the map
 * locks. Hashes are keyed with a per-process random seed, so that others cannot make collisions. */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include "base/str.h"

struct map_slot {
    struct str key; /* string maps */
    uint64_t id;    /* integer maps: the key; string maps: its hash */
    void *value;    /* NULL: empty */
};

struct map {
    struct map_slot *slots;
    size_t n, size; /* size is a power of two, or 0 */
};

void map_finish(struct map *m);

void *map_get_int(const struct map *m, int64_t key);
void *map_put_int(struct map *m, int64_t key, void *value); /* returns the replaced value or NULL */
void *map_remove_int(struct map *m, int64_t key);           /* returns the removed value or NULL */

void *map_get(const struct map *m, struct str key);
void *map_put(struct map *m, struct str key, void *value);
void *map_remove(struct map *m, struct str key);

/* for (struct map_slot *s = NULL; (s = map_next(m, s));) ... Removing while walking is not allowed.
 */
struct map_slot *map_next(const struct map *m, struct map_slot *after);

uint64_t hash_bytes(const void *bytes, size_t n); /* the keyed hash, for other tables */

#endif
