/* The key (type, state_key) of a room's state as one key for maps. */
#ifndef ROOMS_STATE_STATE_KEY_H
#define ROOMS_STATE_STATE_KEY_H

#include "base/arena.h"
#include "base/str.h"

#include <string.h>

static inline struct str state_key_join(struct arena *a, const char *type, const char *state_key)
{
    size_t t = strlen(type) + 1, k = strlen(state_key);
    char *key = arena_alloc(a, t + k + 1);
    memcpy(key, type, t);
    memcpy(key + t, state_key, k);
    return (struct str){key, t + k};
}

/* The same with the type's number. */
static inline struct str state_key_join_id(struct arena *a, int64_t type, const char *state_key)
{
    size_t k = strlen(state_key);
    char *key = arena_alloc(a, sizeof type + k + 1);
    memcpy(key, &type, sizeof type);
    memcpy(key + sizeof type, state_key, k);
    return (struct str){key, sizeof type + k};
}

#endif
