/* What becomes of received events: accepted, kept until their parents are stored, or concluded. */
#include "federation/in/inbound_internal.h"

#include "base/clock.h"
#include "base/log.h"
#include "federation/keyed_lock.h"
#include "matrix/id.h"
#include "rooms/room_cache.h"
#include "storage/servers/inbound.h"

enum {
    KEPT_OF_PAIR = 500,    /* waiting events of one server for one room */
    KEPT_OF_ORIGIN = 5000, /* and for all rooms */
    LARGE_RETRY_MS = 2000
};

void inbound_event_came(struct inbound *in, const char *event_id)
{
    if (room_work_awaits(in->gaps))
        room_work_event_came(in->gaps, event_id);
}

void inbound_event_concluded(struct inbound *in, const struct event *e,
                             const struct accept_outcome *o)
{
    if (o->verdict != VERDICT_SOFT_FAILED && o->verdict != VERDICT_REJECTED)
        return;
    log_debug("%s of %s in %s is %s: %s: %.200s", e->event_id, e->sender,
              e->room_id ? e->room_id : "?",
              o->verdict == VERDICT_REJECTED ? "rejected" : "soft-failed", pdu_step_name(o->step),
              o->reason);
    inbound_event_came(in, e->event_id);
}

/* ---- events that a request waits for ---- */

const struct err *inbound_accept(struct job *job, struct room *room, const struct incoming *event,
                                 int64_t wait_ms, struct accept_outcome *ret)
{
    struct keyed_lock *locks = inbound_of(job)->large;
    const char *origin = str_dup(job->arena, id_server(str_of(event->event->sender)));
    TRY(room_accept_unless_large(job, room, event, 1, ret));
    if (!ret->is_large)
        return NULL;
    if (!keyed_lock_take(locks, LARGE_KEY, origin, mono_ms() + wait_ms))
        return err_limit_exceeded(LARGE_RETRY_MS);
    const struct err *e = room_get_by_id(job, room->id, &room);
    if (!e && room)
        e = room_accept(job, room, event, 1, ret);
    keyed_lock_release(locks, LARGE_KEY);
    return e || room ? e : err(ERR_NOT_FOUND, "Unknown room");
}

/* ---- events that wait for their parents ---- */

static const struct err *inbound_trim(struct job *job, struct room *room, const char *origin)
{
    int64_t of_pair, of_origin;
    TRY(inbound_pdus_trim(job_tx(job), room->id, origin, KEPT_OF_PAIR, &of_pair));
    TRY(inbound_pdus_trim_origin(job_tx(job), origin, KEPT_OF_ORIGIN, &of_origin));
    inbound_count(inbound_of(job), COUNT_DROPPED, (size_t)(of_pair + of_origin));
    return NULL;
}

const struct err *inbound_keep(struct job *job, struct room *room, const char *origin,
                               const struct event *const *events, size_t n, bool *ret_kept)
{
    struct inbound *in = inbound_of(job);
    struct write *w = write_begin(job);
    for (size_t i = 0; i < n; i++)
        inbound_pdus_write(w, room->id, origin, events[i], now_ms());
    TRY(write_commit(job, w, NULL));
    TRY(inbound_trim(job, room, origin));
    inbound_count(in, COUNT_WAITING, n);
    *ret_kept = room_work_add(in->gaps, room->id, origin);
    return NULL;
}
