#include "rooms/read/walk.h"

#include "matrix/json_scan.h"
#include "storage/rooms/room_state.h"

enum { SCAN_MAX = 2000, PAGE_MAX = 500, PAGE_MIN = 50 };

bool walk_filter_matches(struct arena *a, const struct event_filter *f, const struct event *e)
{
    if (f->matches_everything)
        return true;
    struct str url = json_scan_get(e->content, "url");
    struct str rel_type = json_scan_path(e->content, "m.relates_to", "rel_type", NULL);
    return filter_matches(f, &(struct filter_subject){
                                 .type = e->type,
                                 .sender = e->sender,
                                 .room_id = e->room_id,
                                 .has_url = url.n && url.p[0] == '"',
                                 .rel_type = rel_type.p ? json_scan_string(a, rel_type) : NULL,
                             });
}

/* related_by_senders, related_by_rel_types: drops events without such children. */
static const struct err *keep_related(struct job *job, const struct event_filter *f,
                                      const struct stored_event *events, size_t n, bool *wanted)
{
    if (!f->related_by_senders.present && !f->related_by_rel_types.present)
        return NULL;
    struct relations_match match = {
        .by_rel_type = f->related_by_rel_types.present,
        .by_sender = f->related_by_senders.present,
        .rel_types = f->related_by_rel_types.items,
        .rel_types_n = f->related_by_rel_types.n,
        .senders = f->related_by_senders.items,
        .senders_n = f->related_by_senders.n,
    };
    int64_t *positions = arena_alloc_array(job->arena, n + 1, sizeof *positions);
    for (size_t i = 0; i < n; i++)
        positions[i] = events[i].position;
    bool *related = arena_alloc_array(job->arena, n + 1, sizeof *related);
    TRY(relations_find_parents(job_tx(job), positions, n, &match, related));
    for (size_t i = 0; i < n; i++)
        wanted[i] = wanted[i] && related[i];
    return NULL;
}

/* Chooses the events of the page that the user may see and that match the filter. */
static const struct err *walk_choose(struct job *job, const struct room_walk *w,
                                     const struct stored_event *events, size_t n, bool *ret_wanted)
{
    const struct stored_event **list = arena_alloc_array(job->arena, n + 1, sizeof *list);
    for (size_t i = 0; i < n; i++)
        list[i] = &events[i];
    TRY(visibility_filter(job, w->room, w->viewer->user, w->viewer->user_id, list, n, ret_wanted));
    if (!w->filter)
        return NULL;
    for (size_t i = 0; i < n; i++)
        ret_wanted[i] =
            ret_wanted[i] && walk_filter_matches(job->arena, w->filter, events[i].event);
    return keep_related(job, w->filter, events, n, ret_wanted);
}

static int64_t place_behind(const struct room_walk *w, const struct stored_event *e)
{
    return w->backwards ? e->position - 1 : e->position;
}

/* Reads the next page; ret_n: how many events were read. */
static const struct err *walk_page(struct job *job, const struct room_walk *w, size_t page,
                                   struct walked *walked, size_t *ret_n)
{
    const struct stored_event *events;
    size_t n;
    int64_t from = w->backwards ? w->to : walked->place, to = w->backwards ? walked->place : w->to;
    if (w->related)
        TRY(relations_page(job_replica_tx(job), w->room->id, w->related, from, to, w->backwards,
                           (int64_t)page, &events, &n));
    else
        TRY(events_page(job_replica_tx(job), w->room->id, from, to, w->backwards, (int64_t)page,
                        &events, &n));
    bool *wanted = arena_alloc_array(job->arena, n + 1, sizeof *wanted);
    TRY(walk_choose(job, w, events, n, wanted));
    walked->more = n == page;
    for (size_t i = 0; i < n; i++) {
        if (walked->n == w->limit) {
            walked->more = true;
            break;
        }
        if (wanted[i])
            walked->events[walked->n++] = &events[i];
        walked->place = place_behind(w, &events[i]);
    }
    *ret_n = n;
    return NULL;
}

const struct err *walk_room(struct job *job, const struct room_walk *w, struct walked *ret)
{
    struct walked walked = {
        .events = arena_alloc_array(job->arena, w->limit + 1, sizeof *walked.events),
        .place = w->from,
        .more = w->limit == 0,
    };
    struct visibility visibility;
    TRY(visibility_open(job, w->room, w->viewer->user, w->viewer->user_id, VALID_FOREVER,
                        &visibility));
    walked.is_live = !w->backwards && visibility.end == VALID_FOREVER;
    if (w->backwards && visibility.end < walked.place)
        walked.place = visibility.end; /* a user who left need not walk back over later events */
    for (size_t scanned = 0, n; walked.n < w->limit && scanned < SCAN_MAX; scanned += n) {
        /* One more than needed, to learn whether there is more. */
        size_t page = w->limit - walked.n + 1;
        page = page > PAGE_MAX ? PAGE_MAX : w->filter && page < PAGE_MIN ? PAGE_MIN : page;
        TRY(walk_page(job, w, page, &walked, &n));
        if (!walked.more)
            break;
    }
    *ret = walked;
    return NULL;
}
