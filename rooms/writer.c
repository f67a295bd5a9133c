#include "rooms/writer.h"

#include "base/clock.h"
#include "rooms/room_cache.h"
#include "storage/db/write.h"

enum { TURN_MS = 6, CONTENDED_MS = 500 };

void writer_await_turn(struct room *room)
{
    int64_t now = mono_unmoved_ms(), left = room->committed_ms + TURN_MS - now;
    if (left > 0 && now - room->foreign_ms < CONTENDED_MS)
        nanosleep(&(struct timespec){.tv_nsec = left * 1000000L}, NULL);
}

/* Keeps the lock only if the room is still in the cache. */
static bool keep_lock_unless_stale(struct room *room)
{
    if (!room->stale)
        return true;
    lock_release(&room->lock);
    return false;
}

/* Lets writers that need the room alone alternate with the others: there may be many of each. */
static void make_ready_locked(struct room *room)
{
    room->due = room->waiting_behind;
    pthread_cond_broadcast(&room->changed);
}

bool writer_lock(struct room *room)
{
    lock_take(&room->lock);
    room->wanted_alone++;
    while ((room->busy || room->due || room->state_done < room->state_queued) && !room->stale)
        lock_wait(&room->lock, &room->changed);
    room->wanted_alone--;
    make_ready_locked(room);
    return keep_lock_unless_stale(room);
}

static bool must_wait_behind(const struct room *room, bool with_state)
{
    return (room->busy || (with_state && room->wanted_alone && !room->due)) && !room->stale;
}

bool writer_lock_behind(struct room *room, bool with_state)
{
    lock_take(&room->lock);
    if (must_wait_behind(room, with_state)) {
        room->waiting_behind++;
        while (must_wait_behind(room, with_state))
            lock_wait(&room->lock, &room->changed);
        room->waiting_behind--;
        if (room->due && --room->due == 0)
            pthread_cond_broadcast(&room->changed);
    }
    return keep_lock_unless_stale(room);
}

void writer_done(struct room *room)
{
    LOCKED(&room->lock);
    room->busy = false;
    make_ready_locked(room);
}

void writer_state_done(struct room *room)
{
    LOCKED(&room->lock);
    room->state_done++;
    pthread_cond_broadcast(&room->changed);
}

bool writer_wait_for_state(struct room *room, int64_t queued)
{
    LOCKED(&room->lock);
    while (room->state_done < queued && !room->stale)
        lock_wait(&room->lock, &room->changed);
    return !room->stale;
}

const struct err *writer_wait_for_queue(struct job *job, struct room *room)
{
    return room->waiting ? write_commit(job, write_begin(job), NULL) : NULL;
}

const struct err *writer_conflict(void)
{
    return err(ERR_CONFLICT, "The room is changing; try again");
}

bool writer_retry(struct retry *r, struct job *job, struct room **room, const struct err **e)
{
    if (!retry_conflict(r, *e))
        return false;
    *e = room_get_by_id(job, (*room)->id, room);
    if (!*e && !*room)
        *e = err(ERR_NOT_FOUND, "Unknown room");
    return !*e;
}
