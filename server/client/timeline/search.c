/* Client-server API, "Server Side Search". */
#include "server/client/timeline/search.h"
#include "server/sync_token.h"

#include "base/clock.h"
#include "rooms/account_cache.h"
#include "rooms/read/erasure.h"
#include "rooms/read/search_index.h"
#include "rooms/read/walk.h"
#include "rooms/room_cache.h"
#include "server/routes.h"
#include "storage/db/intern.h"
#include "storage/rooms/room_state.h"

#include <math.h>

enum {
    RESULTS_DEFAULT = 10,
    RESULTS_MAX = 100,
    CONTEXT_DEFAULT = 5,
    CONTEXT_MAX = 50,
    TERM_MAX = 1024,
    STATE_ROOMS_MAX = 10, /* a page ends before it has the state of more rooms */
    TIME_MAX_MS = 2000,
    PAGES_MAX = 10,     /* pages of hits, since hits may be invisible */
    CATCH_UP_PAGES = 20 /* of the index, before the search */
};

/* ---- the request ---- */

static const struct err *search_read_keys(struct search_request *s, const json_t *criteria)
{
    static const char *const names[] = {
        [SEARCH_BODY] = "content.body",
        [SEARCH_NAME] = "content.name",
        [SEARCH_TOPIC] = "content.topic",
    };
    const json_t *list;
    TRY(json_want_array(criteria, "keys", &list));
    int64_t *keys = arena_alloc_array(s->rq->arena, SEARCH_TOPIC, sizeof *keys);
    for (int key = SEARCH_BODY; key <= SEARCH_TOPIC; key++) {
        bool wanted = !list;
        for (size_t i = 0; i < json_array_size(list) && !wanted; i++) {
            const char *name = json_string_text(json_array_get(list, i));
            wanted = name && strcmp(name, names[key]) == 0;
        }
        if (wanted)
            keys[s->query.keys_n++] = key;
    }
    s->query.keys = keys;
    return NULL;
}

static const struct err *read_order(struct search_request *s, const json_t *criteria)
{
    const char *order;
    TRY(json_want_string(criteria, "order_by", "rank", &order));
    if (strcmp(order, "rank") != 0 && strcmp(order, "recent") != 0)
        return err(ERR_INVALID_PARAM, "\"order_by\" must be \"rank\" or \"recent\"");
    s->query.by_rank = strcmp(order, "rank") == 0;
    return NULL;
}

static const struct err *search_read_filter(struct search_request *s, const json_t *criteria)
{
    const json_t *filter;
    TRY(json_want_object(criteria, "filter", &filter));
    if (filter)
        TRY(filter_parse_event(s->rq->arena, filter, &s->filter));
    else
        s->filter = (struct event_filter){.contains_url = -1, .matches_everything = true};
    int64_t limit = s->filter.limit > 0 ? s->filter.limit : RESULTS_DEFAULT;
    s->limit = (size_t)(limit < RESULTS_MAX ? limit : RESULTS_MAX);
    return NULL;
}

static const struct err *read_context_limit(const json_t *context, const char *key, size_t *ret)
{
    int64_t limit;
    TRY(json_want_int(context, key, CONTEXT_DEFAULT, &limit));
    if (limit < 0)
        return err(ERR_INVALID_PARAM, "\"%s\" must not be negative", key);
    *ret = (size_t)(limit < CONTEXT_MAX ? limit : CONTEXT_MAX);
    return NULL;
}

static const struct err *read_extras(struct search_request *s, const json_t *criteria)
{
    const json_t *context, *groupings, *group_by = NULL;
    TRY(json_want_object(criteria, "event_context", &context));
    TRY(json_want_object(criteria, "groupings", &groupings));
    TRY(json_want_bool(criteria, "include_state", false, &s->with_state));
    if (context) {
        s->with_context = true;
        TRY(read_context_limit(context, "before_limit", &s->before));
        TRY(read_context_limit(context, "after_limit", &s->after));
        TRY(json_want_bool(context, "include_profile", false, &s->with_profiles));
    }
    if (groupings)
        TRY(json_want_array(groupings, "group_by", &group_by));
    for (size_t i = 0; i < json_array_size(group_by); i++) {
        const char *key = json_text(json_array_get(group_by, i), "key");
        s->by_room |= key && strcmp(key, "room_id") == 0;
        s->by_sender |= key && strcmp(key, "sender") == 0;
    }
    return NULL;
}

/* A token names the last result of the previous page, by its rank and its place. */
static const struct err *search_read_token(struct search_request *s)
{
    const char *token = request_query(s->rq, "next_batch");
    s->query.after_rank = HUGE_VAL;
    s->query.after_event = VALID_FOREVER;
    if (!token)
        return NULL;
    char *end = NULL;
    double rank = *token == 'r' ? strtod(token + 1, &end) : 0;
    struct sync_token place;
    if (!end || *end != '_' || !isfinite(rank))
        return err(ERR_INVALID_PARAM, "Not a token of this server");
    TRY(sync_token_parse(job_of(s->rq)->storage, end + 1, &place));
    s->query.after_event = place.position;
    s->query.after_rank = rank;
    return NULL;
}

static const struct err *read_term(struct search_request *s, const json_t *criteria)
{
    const char *term;
    TRY(json_need_string(criteria, "search_term", &term));
    if (strlen(term) > TERM_MAX)
        return err(ERR_INVALID_PARAM, "A search term is at most %d bytes", TERM_MAX);
    search_terms_parse(s->rq->arena, str_of(term), &s->terms);
    return NULL;
}

static const struct err *search_read_criteria(struct search_request *s, const json_t *criteria)
{
    TRY(read_term(s, criteria));
    TRY(search_read_keys(s, criteria));
    TRY(read_order(s, criteria));
    TRY(search_read_filter(s, criteria));
    TRY(read_extras(s, criteria));
    return search_read_token(s);
}

/* ---- the search ---- */

static bool filter_wants_room_id(const struct search_request *s, const int64_t *wanted, size_t n,
                                 int64_t room)
{
    if (!s->filter.rooms.present)
        return true;
    for (size_t i = 0; i < n; i++)
        if (wanted[i] == room)
            return true;
    return false;
}

/* The user's present and former rooms, as far as the filter accepts them. */
static const struct err *choose_rooms(struct search_request *s)
{
    struct job *job = job_of(s->rq);
    const struct member_row *rows;
    size_t n, wanted_n = s->filter.rooms.n;
    int64_t *wanted = arena_alloc_array(job->arena, wanted_n + 1, sizeof *wanted);
    for (size_t i = 0; i < wanted_n; i++)
        TRY(intern_find(job->storage->intern, INTERN_ROOM, s->filter.rooms.items[i], &wanted[i]));
    TRY(members_of_user(job_tx(job), s->viewer.user, &rows, &n));
    int64_t *rooms = arena_alloc_array(job->arena, n + 1, sizeof *rooms);
    for (size_t i = 0; i < n; i++) {
        bool was_there = rows[i].membership == MEMBERSHIP_JOIN ||
                         rows[i].membership == MEMBERSHIP_LEAVE ||
                         rows[i].membership == MEMBERSHIP_BAN;
        if (was_there && filter_wants_room_id(s, wanted, wanted_n, rows[i].room))
            rooms[s->query.rooms_n++] = rows[i].room;
    }
    s->query.rooms = rooms;
    return NULL;
}

/* NULL when the term has no words. */
static const struct err *make_query(struct search_request *s)
{
    struct job *job = job_of(s->rq);
    struct search_stems *stems = search_stems_create(job->arena);
    search_terms_want_stems(&s->terms, stems);
    TRY(search_stems_read(job_tx(job), &job->config->search_languages, stems));
    s->query.query = search_terms_query(job->arena, &s->terms, stems);
    return NULL;
}

/* Adds the hit if the user may see it and the filter accepts it. */
static const struct err *take_hit(struct search_request *s, const struct search_hit *hit)
{
    struct job *job = job_of(s->rq);
    struct room *room;
    bool visible = false;
    int64_t erased; /* of erased messages that are still in the index */
    TRY(room_get_by_id(job, hit->event.room, &room));
    TRY(erasures_find(job, hit->event.event->sender, &erased));
    if (room && !erased && walk_filter_matches(job->arena, &s->filter, hit->event.event))
        TRY(visibility_may_see(job, room, s->viewer.user, s->viewer.user_id, &hit->event,
                               &visible));
    if (visible)
        s->found[s->found_n++] = (struct search_match){*hit, room};
    return NULL;
}

/* Whether the page would need the state of a further room. */
static bool is_of_new_room(const struct search_request *s, int64_t room)
{
    for (size_t i = 0; i < s->found_n; i++)
        if (s->found[i].room->id == room)
            return false;
    return true;
}

static bool page_is_full(const struct search_request *s, const struct search_hit *hit)
{
    return s->found_n == s->limit ||
           (s->with_state && s->rooms_n == STATE_ROOMS_MAX && is_of_new_room(s, hit->event.room));
}

static const struct err *take_hits(struct search_request *s, const struct search_result *r,
                                   bool *ret_full)
{
    for (size_t i = 0; i < r->hits_n; i++) {
        *ret_full = page_is_full(s, &r->hits[i]);
        if (*ret_full)
            return NULL;
        size_t before = s->found_n;
        bool is_new = is_of_new_room(s, r->hits[i].event.room);
        s->query.after_rank = r->hits[i].rank;
        s->query.after_event = r->hits[i].event.position;
        TRY(take_hit(s, &r->hits[i]));
        s->rooms_n += is_new && s->found_n > before;
    }
    return NULL;
}

/* The results until the time is over are a page, if a short one. */
static const struct err *timeline_search_find(struct search_request *s)
{
    struct job *job = job_of(s->rq);
    int64_t until = mono_ms() + TIME_MAX_MS;
    bool full = false;
    s->found = arena_alloc_array(job->arena, s->limit + 1, sizeof *s->found);
    s->query.limit = (int64_t)s->limit + 1;
    s->more = s->query.query && s->query.rooms_n && s->query.keys_n;
    for (int page = 0; page < PAGES_MAX && s->more && !full; page++) {
        struct search_result r;
        const struct err *e = search_find(job_replica_tx(job), &s->query, until - mono_ms(), &r);
        if (e && e->code == ERR_TOO_SLOW)
            return page ? NULL
                        : err(ERR_TOO_SLOW, "This search takes too long: look for rarer words, or "
                                            "in fewer rooms");
        TRY(e);
        s->count = r.count;
        s->more = (int64_t)r.hits_n == s->query.limit;
        TRY(take_hits(s, &r, &full));
    }
    s->more |= full;
    return NULL;
}

static const struct err *search_post_search(struct request *rq, struct reply *rp)
{
    struct search_request s = {.rq = rq, .rp = rp, .viewer = viewer_of(rq)};
    const json_t *categories, *criteria;
    TRY(json_need_object(rq->body, "search_categories", &categories));
    TRY(json_want_object(categories, "room_events", &criteria));
    if (!criteria)
        return reply_json(rp, 200, "{s:{}}", "search_categories");
    TRY(search_read_criteria(&s, criteria));
    TRY(search_index_catch_up(job_of(rq), CATCH_UP_PAGES));
    TRY(choose_rooms(&s));
    TRY(make_query(&s));
    TRY(ignored_user_ids(job_of(rq), s.viewer.user, &s.query.ignored, &s.query.ignored_n));
    TRY(timeline_search_find(&s));
    return search_write_reply(&s);
}

const struct route search_routes[] = {
    {.method = POST,
     .path = "/_matrix/client/v3/search",
     .handler = search_post_search,
     .who = WHO_USER,
     .body = BODY_JSON,
     .rate = RATE_SEARCH,
     .pool = POOL_SEARCH,
     .spec = "Server side search"},
    {.path = NULL},
};
