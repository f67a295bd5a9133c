#include "federation/turns.h"

#include "base/lock.h"
#include "base/map.h"
#include "base/mem.h"

struct turns {
    struct lock lock;
    pthread_cond_t given_back;
    struct map taken; /* name -> itself */
};

struct turns *turns_create(void)
{
    struct turns *t = mem_zalloc(sizeof *t);
    lock_init(&t->lock, RANK_LEAF);
    cond_init(&t->given_back);
    return t;
}

void turns_destroy(struct turns *t)
{
    if (!t)
        return;
    map_finish(&t->taken);
    pthread_cond_destroy(&t->given_back);
    lock_finish(&t->lock);
    free(t);
}

bool turns_take(struct turns *t, const char *name, int64_t deadline_mono_ms)
{
    LOCKED(&t->lock);
    while (map_get(&t->taken, str_of(name)))
        if (lock_wait_until(&t->lock, &t->given_back, deadline_mono_ms))
            return false;
    char *copy = mem_strdup(name);
    map_put(&t->taken, str_of(copy), copy);
    return true;
}

bool turns_is_taken(struct turns *t, const char *name)
{
    LOCKED(&t->lock);
    return map_get(&t->taken, str_of(name)) != NULL;
}

void turns_give_back(struct turns *t, const char *name)
{
    LOCKED(&t->lock);
    free(map_remove(&t->taken, str_of(name)));
    pthread_cond_broadcast(&t->given_back);
}
