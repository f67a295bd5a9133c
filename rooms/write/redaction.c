#include "rooms/write/redaction.h"

#include "storage/rooms/events.h"

/* The rule only needs the power levels and the sender's membership. */
struct redaction_view {
    const struct event *create, *power_levels, *member;
};

static const struct event *redaction_view_get(const struct auth_state *s, const char *type,
                                              const char *state_key)
{
    const struct redaction_view *v = s->ctx;
    return strcmp(type, "m.room.create") == 0         ? v->create
           : strcmp(type, "m.room.power_levels") == 0 ? v->power_levels
           : strcmp(type, "m.room.member") == 0       ? v->member
                                                      : NULL;
}

/* Stricter than the authorization rules, which do not distinguish users of one server: a user
 * without the power to redact may only redact their own events. The create event cannot be
 * redacted. */
static const struct err *redaction_check(const struct auth_state *s, const struct event *redaction,
                                         const struct event *target)
{
    const struct room_version *v = redaction->version;
    bool has_power = auth_power_of_user(s, v, redaction->sender) >= auth_power_for(s, v, "redact");
    bool is_own = strcmp(redaction->sender, target->sender) == 0;
    if (strcmp(target->type, "m.room.create") == 0 || (!has_power && !is_own) ||
        !auth_redaction_applies(redaction, target, s))
        return err(ERR_FORBIDDEN, "You don't have permission to redact this event");
    return NULL;
}

static const struct err *redaction_no_target(struct draft *d, const struct event *redaction)
{
    const struct stored_event *elsewhere = NULL;
    if (redaction->redacts)
        TRY(events_get_by_id(job_tx(d->job), redaction->redacts, &elsewhere));
    if (elsewhere && elsewhere->room != d->room->id)
        return err(ERR_UNKNOWN, "The event to redact is in another room");
    return err(ERR_NOT_FOUND, "There is no such event in this room to redact");
}

static const struct err *find_target(struct draft *d, const struct event *redaction,
                                     const struct stored_event **ret)
{
    const struct stored_event *target = NULL;
    if (redaction->redacts)
        TRY(events_get_by_id(job_tx(d->job), redaction->redacts, &target));
    bool is_here = target && target->room == d->room->id && target->status != EVENT_REJECTED;
    *ret = is_here ? target : NULL;
    return NULL;
}

static const struct err *read_view(struct draft *d, const struct event *redaction,
                                   struct redaction_view *ret)
{
    TRY(draft_state(d, "m.room.create", "", &ret->create));
    TRY(draft_state(d, "m.room.power_levels", "", &ret->power_levels));
    return draft_state(d, "m.room.member", redaction->sender, &ret->member);
}

static void redaction_take(struct draft *d, const struct stored_event *target,
                           struct change *change)
{
    change->event.redacts_position = target->position;
    if (target->is_state)
        d->changes_state = d->is_alone = true;
    change->local.redacted_event = event_keep(d->job->arena, event_redacted(target->event));
}

const struct err *redaction_prepare(struct draft *d, const struct event *redaction,
                                    struct change *change)
{
    const struct stored_event *target;
    struct redaction_view view;
    TRY(find_target(d, redaction, &target));
    if (!target)
        return redaction_no_target(d, redaction);
    TRY(read_view(d, redaction, &view));
    TRY(redaction_check(&(struct auth_state){.get = redaction_view_get, .ctx = &view}, redaction,
                        target->event));
    redaction_take(d, target, change);
    return NULL;
}

const struct err *redaction_prepare_remote(struct draft *d, const struct event *redaction,
                                           struct change *change)
{
    const struct stored_event *target;
    struct redaction_view view;
    TRY(find_target(d, redaction, &target));
    TRY(read_view(d, redaction, &view));
    if (!redaction->redacts)
        return NULL; /* a redaction that was redacted itself */
    if (!target || strcmp(target->event->type, "m.room.create") == 0 ||
        !auth_redaction_applies(redaction, target->event,
                                &(struct auth_state){.get = redaction_view_get, .ctx = &view})) {
        change->event.is_withheld = true;
        pending_redaction_write(d->write, redaction, d->room->id);
    } else if (!target->redacted_by) {
        redaction_take(d, target, change);
    }
    return NULL;
}

void redaction_write(struct draft *d, const struct event *redaction, const struct change *change,
                     int at)
{
    events_write_redaction(d->write, redaction->redacts, d->room->version,
                           change->local.redacted_event->json, at);
}
