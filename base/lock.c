#include "base/lock.h"

#include <assert.h>
#include <errno.h>
#include <time.h>

#ifndef NDEBUG
enum { HELD_MAX = 16 };
static _Thread_local enum lock_rank held[HELD_MAX];
static _Thread_local int held_n;

static void note_tried(enum lock_rank rank)
{
    assert(held_n < HELD_MAX);
    held[held_n++] = rank;
}

static void note_taken(enum lock_rank rank)
{
    for (int i = 0; i < held_n; i++)
        assert(held[i] < rank && "locks taken out of rank");
    note_tried(rank);
}

static void note_released(enum lock_rank rank)
{
    int i = held_n;
    while (i > 0 && held[i - 1] != rank)
        i--;
    assert(i > 0 && "lock released that is not held");
    for (; i < held_n; i++)
        held[i - 1] = held[i];
    held_n--;
}
#else
#define note_taken(rank) (void)(rank)
#define note_tried(rank) (void)(rank)
#define note_released(rank) (void)(rank)
#endif

void lock_init(struct lock *l, enum lock_rank rank)
{
    pthread_mutex_init(&l->mutex, NULL);
    l->rank = rank;
}

void lock_finish(struct lock *l)
{
    pthread_mutex_destroy(&l->mutex);
}

void lock_take(struct lock *l)
{
    note_taken(l->rank);
    pthread_mutex_lock(&l->mutex);
}

bool lock_try(struct lock *l)
{
    if (pthread_mutex_trylock(&l->mutex) != 0)
        return false;
    note_tried(l->rank);
    return true;
}

void lock_release(struct lock *l)
{
    pthread_mutex_unlock(&l->mutex);
    note_released(l->rank);
}

void lock_wait(struct lock *l, pthread_cond_t *c)
{
    pthread_cond_wait(c, &l->mutex);
}

int lock_wait_until(struct lock *l, pthread_cond_t *c, long long deadline_mono_ms)
{
    struct timespec t = {.tv_sec = deadline_mono_ms / 1000,
                         .tv_nsec = deadline_mono_ms % 1000 * 1000000};
    return pthread_cond_timedwait(c, &l->mutex, &t) == ETIMEDOUT;
}

void cond_init(pthread_cond_t *c)
{
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(c, &attr);
    pthread_condattr_destroy(&attr);
}
