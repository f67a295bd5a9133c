#include "base/lock.h"

#include "base/clock.h"

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

static bool cond_wait_until(struct lock *l, pthread_cond_t *c, int64_t unmoved_ms)
{
    struct timespec t = {.tv_sec = unmoved_ms / 1000, .tv_nsec = unmoved_ms % 1000 * 1000000};
    return pthread_cond_timedwait(c, &l->mutex, &t) != ETIMEDOUT;
}

bool lock_wait_until(struct lock *l, pthread_cond_t *c, int64_t deadline_mono_ms)
{
    if (!clock_is_movable())
        return !cond_wait_until(l, c, deadline_mono_ms);
    int64_t left = clock_wait_ms(deadline_mono_ms - mono_ms());
    return !cond_wait_until(l, c, mono_unmoved_ms() + (left > 0 ? left : 0)) &&
           mono_ms() >= deadline_mono_ms;
}

void cond_init(pthread_cond_t *c)
{
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(c, &attr);
    pthread_condattr_destroy(&attr);
}
