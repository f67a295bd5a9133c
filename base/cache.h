/* Caches of entries in the order of their last use, and the budget of bytes that all caches of a
 * node share.
 *
 * While a cache holds more than its own part (`share` of its kind), its least recently used entries
 * are evicted; while all caches together hold more than the budget, those of all caches. But a
 * cache that holds no more than a 32nd of the budget gives none up then: rooms, which are large, do
 * not drive out tokens, which are small. An entry in use (referenced, or pinned) is never evicted.
 * So the bytes in all caches are at most the budget, besides entries in use and what is being
 * added.
 *
 * An entry is a struct of the user that begins with a struct cache_entry. It is created by the user
 * and belongs to the cache once it was put there. It is destroyed when it has left the cache and no
 * reference is left. Entries are found by a key of bytes, which lives in the entry; an entry
 * without a key (n == 0) is found by an index of the user.
 *
 * What was read before something was forgotten may be outdated: each forgetting moves the epoch of
 * the cache, and an entry that was read in an earlier epoch is not put there.
 *
 * Each cache has a lock, of the rank that its kind names. The functions without `_locked` take it.
 * Between cache_lock and cache_unlock, the user may guard more with it. cache_unlock evicts what is
 * too much, also from other caches (without waiting for their locks), and destroys entries without
 * holding a lock. So a pointer to an entry is valid until then, unless a reference is held. */
#ifndef BASE_CACHE_H
#define BASE_CACHE_H

#include "base/lock.h"
#include "base/map.h"

#include <stdatomic.h>

struct cache_kind;

struct cache_entry { /* 64 bytes */
    struct str key;  /* set by the user, before the entry is put into the cache */
    size_t bytes;    /* the same: all memory that it holds; later cache_resize_locked */
    /* But for `pinned`, the rest is cache.c's. */
    const struct cache_kind *kind;
    struct cache_entry *newer, *older;
    uint64_t used; /* the budget's `puts` at the last use */
    atomic_int refs;
    bool pinned; /* set by the user, with the lock: is not evicted */
    bool is_in;  /* the cache */
};

struct cache_kind {
    const char *name; /* in the metrics */
    enum lock_rank rank;
    unsigned share; /* at most one part in so many of the budget; 0: all of it */
    bool by_id;     /* the keys are those of integers: cache_key_int */
    unsigned parts; /* so many caches of this kind divide that share; 0: one */
    /* An entry has left the cache; to be removed from indexes of the user. The lock is held. No
     * lock may be taken, and no other entry dropped. NULL: nothing to do. */
    void (*left)(void *owner, struct cache_entry *e);
    void (*destroy)(struct cache_entry *e); /* takes no lock, since any may be held */
};

struct cache {
    struct lock lock;
    /* The rest is cache.c's. */
    const struct cache_kind *kind;
    struct cache_budget *budget;
    void *owner;
    struct map entries; /* key -> struct cache_entry */
    struct cache_entry *newest, *oldest, *dead;
    size_t n;
    uint64_t epoch;
    int64_t hits, misses, evictions;
    size_t bytes_max, bytes_kept;
    bool grew;             /* since the lock was taken */
    atomic_size_t bytes;   /* in the cache */
    _Atomic uint64_t used; /* of the oldest entry */
};

/* ---- the budget of all caches ---- */

struct cache_budget *cache_budget_create(size_t bytes_max);
void cache_budget_destroy(struct cache_budget *b); /* NULL-safe; after its caches */
size_t cache_budget_bytes(const struct cache_budget *b);
/* Entries, bytes, hits, misses and evictions by the name of the cache. */
void cache_budget_add_metrics(struct cache_budget *b, struct buf *out);

/* ---- a cache ---- */

/* owner: for `left`. */
void cache_init(struct cache *c, struct cache_budget *b, const struct cache_kind *kind,
                void *owner);
void cache_finish(struct cache *c); /* drops all entries */

/* What the cache alone may hold: its share. */
size_t cache_bytes_max(const struct cache *c);

/* The entry, referenced until the arena is reset. NULL when it is missing: *ret_epoch is then for
 * cache_put. */
void *cache_get(struct cache *c, struct arena *a, struct str key, uint64_t *ret_epoch);
/* Puts an entry into the cache, unless something was forgotten since the epoch. Returns the entry
 * to use, referenced until the arena is reset: another, when one with that key is there already. */
void *cache_put(struct cache *c, struct arena *a, struct cache_entry *e, uint64_t epoch);
void cache_forget_all(struct cache *c); /* moves the epoch */

/* ---- with the lock ---- */

void cache_lock(struct cache *c);
void cache_unlock(struct cache *c);

static inline void cache_auto_unlock_(struct cache **c)
{
    cache_unlock(*c);
}
/* For a scope, as LOCKED. */
#define CACHE_LOCKED(c)                                                                            \
    struct cache *LOCKED_NAME(__LINE__) __attribute__((cleanup(cache_auto_unlock_), unused)) =     \
        (c);                                                                                       \
    cache_lock(LOCKED_NAME(__LINE__))

void *cache_find_locked(struct cache *c, struct str key);       /* counts as a use of the entry */
void *cache_peek_locked(const struct cache *c, struct str key); /* does not */
/* All entries, from the newest on: NULL is before the first and after the last. */
void *cache_next_locked(const struct cache *c, const struct cache_entry *after);
/* A use of an entry that was found otherwise. */
void cache_use_locked(struct cache *c, struct cache_entry *e);
/* The same, for the metrics, too; NULL: it was missing. */
void cache_count_locked(struct cache *c, struct cache_entry *e);

/* Puts a new entry into the cache; there must be none with its key. */
void cache_add_locked(struct cache *c, struct cache_entry *e);
/* The same in place of the one with its key, if there is one. */
void cache_replace_locked(struct cache *c, struct cache_entry *e);
void cache_resize_locked(struct cache *c, struct cache_entry *e, size_t bytes);
/* Removes an entry, which is destroyed once no reference is left; does not move the epoch. */
void cache_drop_locked(struct cache *c, struct cache_entry *e);
/* Removes an entry without a reference, and gives it to the caller. */
void cache_take_locked(struct cache *c, struct cache_entry *e);
/* What was read while the epoch was another is outdated. */
uint64_t cache_epoch_locked(const struct cache *c);
void cache_move_epoch_locked(struct cache *c);
/* They move the epoch, whether there is such an entry or not. */
void cache_forget_locked(struct cache *c, struct str key);
void cache_forget_all_locked(struct cache *c);

/* The entry is referenced until the arena is reset. */
void cache_hold_locked(struct cache *c, struct arena *a, struct cache_entry *e);
/* References without an arena. Releasing needs no lock. */
void cache_ref_locked(struct cache_entry *e);
void cache_unref(struct cache_entry *e);

/* The key of an integer, which must live as long as the key. */
static inline struct str cache_key_int(const int64_t *id)
{
    return (struct str){(const char *)id, sizeof *id};
}

#endif
