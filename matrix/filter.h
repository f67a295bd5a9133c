/* Filters (client-server-api, "Filtering"): parsed once, then applied to each event. Pure.
 *
 * A parsed filter lives in the arena that it was parsed with, and borrows nothing from the JSON.
 * Unknown members are ignored; a null member counts as absent. */
#ifndef MATRIX_FILTER_H
#define MATRIX_FILTER_H

#include "base/json.h"

enum {
    FILTER_LIST_MAX = 2000, /* entries of one list */
    FILTER_GLOBS_MAX = 64   /* types with a `*`, each of which is tried on each event */
};

struct filter_list { /* NULL items with present == false: not given (matches everything) */
    const char *const *items;
    size_t n;
    bool present;
};

/* EventFilter and RoomEventFilter in one; members that do not apply stay at their defaults. */
struct event_filter {
    int64_t limit; /* 0: not given, or given as zero (limit_given) */
    struct filter_list types, not_types, senders, not_senders, rooms, not_rooms;
    /* Events that others relate to: for the query that reads the events, since filter_matches
     * cannot check them. */
    struct filter_list related_by_senders, related_by_rel_types; /* incl. unstable spellings */
    struct filter_list rel_types, not_rel_types;                 /* MSC3874 */
    int contains_url;                                            /* -1 not given, 0, 1 */
    bool limit_given;
    bool lazy_load_members, include_redundant_members, unread_thread_notifications;
    bool matches_everything; /* no list and no contains_url given */
};

struct filter {
    struct event_filter presence, account_data;
    struct filter_list rooms, not_rooms;
    bool include_leave;
    struct event_filter timeline, state, ephemeral, room_account_data;
    bool format_federation; /* event_format == "federation" */
    struct filter_list event_fields;
};

/* A whole filter as uploaded; NULL json gives the default. M_BAD_JSON / M_INVALID_PARAM for wrong
 * types, ids that are not ids, over-long lists. Everything lives in the arena. */
const struct err *filter_parse(struct arena *a, const json_t *json, struct filter *ret);
/* A RoomEventFilter alone, for /messages, /context and /search. */
const struct err *filter_parse_event(struct arena *a, const json_t *json, struct event_filter *ret);

struct filter_subject {
    const char *type, *sender, *room_id; /* sender may be NULL (account data) */
    bool has_url;                        /* content.url is a string */
    const char *rel_type;                /* content.m.relates_to.rel_type, or NULL */
};
bool filter_matches(const struct event_filter *f, const struct filter_subject *s);
/* Whether the filter accepts this event type. `*` in the lists is any sequence of characters. */
bool filter_wants_type(const struct event_filter *f, const char *type);
bool filter_wants_room(const struct filter *f, const char *room_id);

/* Keeps only the members of a client-format event that event_fields names (dots descend, `\.` is a
 * dot). Returns a new reference; the event itself when event_fields is absent or empty. */
json_t *filter_fields(const struct filter *f, const json_t *event);

#endif
