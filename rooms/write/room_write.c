#include "rooms/write/room_write.h"

#include "base/clock.h"
#include "rooms/room_cache.h"
#include "rooms/room_internal.h"
#include "rooms/write/relations.h"
#include "rooms/writer.h"

#include <stdatomic.h>

/* ---- begin ---- */

static bool room_write_is_outdated(const struct room_write *w)
{
    return w->looked_up && atomic_load(&w->room->off_timeline_version) != *w->looked_up;
}

static bool room_write_lock(struct room_write *w)
{
    w->is_locked = w->turn == WRITE_ALONE || w->turn == WRITE_EXCLUSIVE
                       ? writer_lock(w->room)
                       : writer_lock_behind(w->room, w->turn == WRITE_STATE_BEHIND);
    return w->is_locked;
}

static void room_write_unlock(struct room_write *w)
{
    if (w->is_locked)
        lock_release(&w->room->lock);
    w->is_locked = false;
}

void room_write_keep_alone(struct room_write *w)
{
    w->turn = WRITE_EXCLUSIVE;
    w->room->busy = w->is_busy = true;
    room_write_unlock(w);
}

void room_write_release(struct room_write *w)
{
    if (w->is_off_timeline)
        room_note_off_timeline(w->room);
    if (w->is_ahead)
        writer_state_done(w->room);
    if (w->is_busy)
        writer_done(w->room);
}

/* With the room busy: its stored rows and its head are the newest. */
static const struct err *await_queue(struct room_write *w)
{
    TRY(writer_wait_for_queue(w->job, w->room));
    return w->room->stale ? writer_conflict() : NULL;
}

const struct err *room_write_begin(struct room_write *w, enum write_turn turn)
{
    static const struct author no_author;
    w->turn = turn;
    writer_await_turn(w->room);
    if (!room_write_lock(w))
        return writer_conflict();
    w->foreign_heads = w->room->foreign_heads;
    if (room_write_is_outdated(w)) {
        room_write_unlock(w);
        return writer_conflict();
    }
    if (turn == WRITE_EXCLUSIVE) {
        room_write_keep_alone(w);
        const struct err *e = await_queue(w);
        if (e) {
            room_write_release(w);
            return e;
        }
    }
    w->write = write_begin(w->job);
    draft_init(&w->draft, w->job, w->room, w->author ? w->author : &no_author, w->write);
    return NULL;
}

/* ---- enqueue ---- */

static void room_write_add_head(struct room_write *w)
{
    struct room_head head;
    if (w->renews_head)
        w->draft.version = (w->draft.version + 1) & INT64_MAX;
    draft_head(&w->draft, &head);
    rooms_write_head(w->write, &head, w->draft.built_on);
    struct change *last = write_last_change(w->write);
    if (last && last->room == w->room->id)
        last->local.head = draft_change_head(&w->draft);
}

static void note_annotations_locked(const struct draft *d)
{
    for (const struct draft_event *e = d->newest; e; e = e->next)
        if (e->once.p)
            annotation_queued_locked(d->room, e->once);
}

/* Others see the queued state, or wait until it is committed. */
static void note_state_locked(struct room_write *w)
{
    struct room *room = w->room;
    bool is_behind = w->turn == WRITE_BEHIND || w->turn == WRITE_STATE_BEHIND;
    if (w->turn != WRITE_EXCLUSIVE)
        room->busy = w->is_busy = is_behind ? w->draft.is_alone : w->draft.changes_state;
    w->is_ahead = is_behind && w->draft.changes_state && !w->draft.is_alone;
    if (!w->is_ahead)
        return;
    draft_apply_state(&w->draft);
    room->state_queued++;
}

void room_write_enqueue(struct room_write *w)
{
    bool has_head = w->draft.newest || w->renews_head;
    if (!w->is_locked)
        lock_take(&w->room->lock);
    w->is_locked = true;
    if (has_head)
        room_write_add_head(w);
    w->room->waiting++;
    note_annotations_locked(&w->draft);
    write_enqueue(w->job, w->write);
    if (has_head)
        draft_apply_head(&w->draft);
    note_state_locked(w);
    room_write_unlock(w);
}

/* ---- the end ---- */

static void finish_annotations(const struct draft *d)
{
    for (const struct draft_event *e = d->newest; e; e = e->next)
        if (e->once.p)
            annotation_done(d->room, e->once);
}

/* It lost to another node, whose head has become the room's since, and made nothing else of the
 * room: others build on the right head. */
static bool room_write_was_outrun(const struct room_write *w, const struct err *e)
{
    return e->code == ERR_CONFLICT && w->room->foreign_heads != w->foreign_heads && !w->is_busy &&
           !w->is_ahead;
}

const struct err *room_write_wait(struct room_write *w, int64_t *ret_position)
{
    const struct err *e = write_wait(w->job, w->write, ret_position);
    if (!e)
        w->room->committed_ms = mono_unmoved_ms();
    if ((e && !room_write_was_outrun(w, e)) || w->resets_room)
        room_forget(w->job, w->room);
    finish_annotations(&w->draft);
    w->room->waiting--;
    return e;
}

const struct err *room_write_finish(struct room_write *w, int64_t *ret_position)
{
    const struct err *e = room_write_wait(w, ret_position);
    room_write_release(w);
    return e;
}

void room_write_abandon(struct room_write *w)
{
    room_write_unlock(w);
    write_abandon(w->write);
    room_write_release(w);
}

const struct err *room_write_commit(struct room_write *w)
{
    room_write_enqueue(w);
    return room_write_finish(w, NULL);
}
