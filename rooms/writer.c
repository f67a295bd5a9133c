#include "rooms/writer.h"

#include "base/clock.h"

enum { BACK_OFF_MAX_MS = 64 };

bool writer_lock(struct room *room)
{
    lock_take(&room->lock);
    while (room->busy && !room->stale)
        lock_wait(&room->lock, &room->changed);
    if (!room->stale)
        return true;
    lock_release(&room->lock);
    return false;
}

void writer_done(struct room *room)
{
    LOCKED(&room->lock);
    room->busy = false;
    pthread_cond_broadcast(&room->changed);
}

void writer_back_off(int attempt)
{
    int64_t at_most_ms = attempt < 6 ? 1 << attempt : BACK_OFF_MAX_MS;
    int64_t us = mono_us() % (at_most_ms * 1000);
    nanosleep(&(struct timespec){.tv_nsec = us * 1000}, NULL);
}
