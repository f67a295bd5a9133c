#include "rooms/redaction.h"

#include "matrix/redact.h"
#include "storage/events.h"

const struct err *redaction_redact(struct arena *a, const struct event *e, const struct event **ret)
{
    json_t *pdu;
    TRY(json_read(a, e->json, &pdu));
    json_t *redacted = json_keep(a, redact(e->version, pdu));
    buf_auto struct buf bytes = {0};
    TRY(canonical_json_add_tree(&bytes, CANONICAL_LENIENT, redacted));
    struct event *made;
    TRY(event_parse_stored(e->version, e->event_id, buf_str(&bytes), &made));
    *ret = event_keep(a, made);
    return NULL;
}

/* Power levels and the sender's membership are all that the rule asks for. */
struct redaction_view {
    const struct event *create, *power_levels, *member;
};

static const struct event *view_get(const struct auth_state *s, const char *type,
                                    const char *state_key)
{
    const struct redaction_view *v = s->ctx;
    return strcmp(type, "m.room.create") == 0         ? v->create
           : strcmp(type, "m.room.power_levels") == 0 ? v->power_levels
           : strcmp(type, "m.room.member") == 0       ? v->member
                                                      : NULL;
}

const struct err *redaction_prepare(struct draft *d, const struct event *redaction,
                                    struct change *change)
{
    const struct stored_event *target = NULL;
    if (redaction->redacts)
        TRY(events_get_by_id(job_tx(d->job), redaction->redacts, &target));
    if (!target || target->room != d->room->id)
        return NULL;
    struct redaction_view view;
    TRY(draft_state(d, "m.room.create", "", &view.create));
    TRY(draft_state(d, "m.room.power_levels", "", &view.power_levels));
    TRY(draft_state(d, "m.room.member", redaction->sender, &view.member));
    if (!auth_redaction_applies(redaction, target->event,
                                &(struct auth_state){.get = view_get, .ctx = &view}))
        return err(ERR_FORBIDDEN, "You don't have permission to redact this event");
    change->redacts_position = target->position;
    d->changes_state |= target->is_state;
    return redaction_redact(d->job->arena, target->event, &change->redacted_event);
}

void redaction_write(struct draft *d, const struct event *redaction, const struct change *change,
                     int at)
{
    events_write_redaction(d->write, redaction->redacts, d->room->version,
                           change->redacted_event->json, at);
}
