#include "rooms/read/event_by_time.h"

#include "storage/db/feed.h"

const struct err *event_by_time_position(struct job *job, struct room *room, int64_t ts,
                                         int64_t *ret)
{
    /* Events at positions <= low are older than ts; those > high are not. */
    int64_t low = EVENT_OFF_TIMELINE_MAX, high = feed_position(job->storage->feed);
    const struct stored_event *oldest;
    size_t any;
    TRY(events_page(job_tx(job), room->id, low, high, false, 1, &oldest, &any));
    low = any ? oldest->position - 1 : high; /* most positions below the log are empty */
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        const struct stored_event *e;
        size_t n;
        TRY(events_page(job_tx(job), room->id, middle, high, false, 1, &e, &n));
        if (n && e->event->origin_server_ts < ts)
            low = e->position;
        else
            high = middle;
    }
    *ret = low;
    return NULL;
}

void event_by_time_closest(const struct event *e, int64_t ts, bool backwards,
                           const struct event **closest)
{
    int64_t time = e->origin_server_ts;
    if (backwards ? time > ts : time < ts)
        return;
    if (!*closest ||
        (backwards ? time > (*closest)->origin_server_ts : time < (*closest)->origin_server_ts))
        *closest = e;
}
