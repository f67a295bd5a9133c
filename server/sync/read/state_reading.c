#include "server/sync/read/state_reading.h"

#include "matrix/json_scan.h"
#include "rooms/state/state_at.h"
#include "rooms/state/state_key.h"

bool sync_state_has_key_of(const struct stored_event *e, const struct event *other)
{
    return e->is_state && strcmp(e->event->type, other->type) == 0 &&
           strcmp(e->event->state_key, other->state_key) == 0;
}

static bool state_is_added(struct state_reading *r, const struct event *e)
{
    for (size_t i = 0; i < r->newer_n; i++)
        if (sync_state_has_key_of(r->newer[i], e))
            return true;
    return r->adds_each_once &&
           map_put(&r->added, state_key_join(r->who->job->arena, e->type, e->state_key), r);
}

static bool state_matches_filter(const struct state_reading *r, const struct event *e)
{
    const struct event_filter *f = r->wanted->filter;
    if (f->matches_everything)
        return true;
    struct str url = json_scan_get(e->content, "url");
    return filter_matches(f, &(struct filter_subject){.type = e->type,
                                                      .sender = e->sender,
                                                      .room_id = r->room->room->room_id,
                                                      .has_url = url.n && url.p[0] == '"'});
}

const struct err *sync_state_add(struct state_reading *r, const struct stored_event *e)
{
    if (r->entry && e->position == r->entry)
        TRY(state_before_get(r->who->job, r->room->room, r->entry, TYPE_MEMBER, e->event->state_key,
                             &e));
    if (!e || !sync_state_is_wanted(r, e->event->type, e->event->state_key) ||
        state_is_added(r, e->event) || !state_matches_filter(r, e->event))
        return NULL;
    return r->sink->add(r->sink->ctx, e);
}
