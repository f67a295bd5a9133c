#include "rooms/accept/late_redactions.h"

#include "rooms/state/lookup.h"

#include <stdatomic.h>

/* Checked by the current power levels, as late redactions must be allowed by these, too. */
static const struct err *late_redactions_applies(struct job *job, struct room *room,
                                                 const struct event *redaction,
                                                 const struct event *target, bool *ret)
{
    struct auth_state state;
    TRY(room_auth_state(job, room, redaction->sender, &state));
    *ret = strcmp(target->type, "m.room.create") != 0 &&
           auth_redaction_applies(redaction, target, &state);
    return NULL;
}

static const struct event *late_redactions_find(const struct event *const *events, size_t n,
                                                const char *id, size_t *ret_index)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(events[i]->event_id, id) == 0) {
            *ret_index = i;
            return events[i];
        }
    return NULL;
}

const struct err *late_redactions_of(struct job *job, struct room *room,
                                     const struct event *const *events, size_t n,
                                     const struct event **ret_left, int64_t *ret_redaction)
{
    const char **ids = arena_alloc_array(job->arena, n + 1, sizeof *ids);
    const char *const *pending;
    size_t pending_n;
    for (size_t i = 0; i < n; i++) {
        ids[i] = events[i]->event_id;
        ret_left[i] = NULL;
        ret_redaction[i] = 0;
    }
    TRY(pending_redactions_find(job_tx(job), room->version, room->id, ids, n, &pending,
                                &pending_n));
    for (size_t i = 0; i < pending_n; i++) {
        const struct stored_event *redaction;
        size_t at;
        bool good;
        TRY(events_get_by_id(job_tx(job), pending[i], &redaction));
        const struct event *target =
            redaction && redaction->event->redacts
                ? late_redactions_find(events, n, redaction->event->redacts, &at)
                : NULL;
        if (!target || event_is_off_timeline(redaction->position))
            continue;
        TRY(late_redactions_applies(job, room, redaction->event, target, &good));
        if (!good)
            continue;
        ret_left[at] = event_keep(job->arena, event_redacted(target));
        ret_redaction[at] = redaction->position;
    }
    return NULL;
}

/* Redacts the target of a redaction in history. */
static const struct err *redact_target(struct job *job, struct room *room, struct write *w,
                                       const struct event *redaction)
{
    const struct stored_event *stored, *target;
    bool good;
    TRY(events_get_by_id(job_tx(job), redaction->event_id, &stored));
    TRY(events_get_by_id(job_tx(job), redaction->redacts, &target));
    if (!stored || event_is_off_timeline(stored->position))
        return NULL;
    bool is_here = target && target->room == room->id && target->status != EVENT_REJECTED;
    good = false;
    if (is_here)
        TRY(late_redactions_applies(job, room, redaction, target->event, &good));
    if (!good)
        pending_redaction_write(w, redaction, room->id);
    else if (!target->redacted_by)
        events_write_late_redaction(w, target->event->event_id, room->version,
                                    event_keep(job->arena, event_redacted(target->event))->json,
                                    stored->position);
    return NULL;
}

static const struct err *late_redactions_add_all(struct job *job, struct room *room,
                                                 struct write *w, const struct event *const *events,
                                                 size_t n)
{
    const struct event **left = arena_alloc_array(job->arena, n + 1, sizeof *left);
    int64_t *redaction = arena_alloc_array(job->arena, n + 1, sizeof *redaction);
    TRY(late_redactions_of(job, room, events, n, left, redaction));
    for (size_t i = 0; i < n; i++) {
        if (left[i])
            events_write_late_redaction(w, events[i]->event_id, room->version, left[i]->json,
                                        redaction[i]);
        if (events[i]->redacts)
            TRY(redact_target(job, room, w, events[i]));
    }
    return NULL;
}

const struct err *late_redactions_apply(struct job *job, struct room *room,
                                        const struct event *const *events, size_t n)
{
    struct write *w = write_begin(job);
    const struct err *e = late_redactions_add_all(job, room, w, events, n);
    if (e || write_is_empty(w)) {
        write_abandon(w);
        return e;
    }
    return write_commit(job, w, NULL);
}
