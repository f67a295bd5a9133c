/* A request of sliding sync: parsed, with all of its numbers bounded. What it consists of lives in
 * the arena that it was parsed with. */
#ifndef SERVER_SLIDING_REQUEST_H
#define SERVER_SLIDING_REQUEST_H

#include "matrix/filter.h"
#include "server/sliding/required.h"

enum {
    SLIDING_LISTS_MAX = 100,
    SLIDING_LIST_NAME_MAX = 255,          /* bytes */
    SLIDING_RANGES_MAX = 100,             /* of a list */
    SLIDING_SUBSCRIPTIONS_MAX = 100,      /* of the accepted form, and ... */
    SLIDING_SUBSCRIPTIONS_OLD_MAX = 1000, /* ... of the deployed form, which has no bound */
    SLIDING_CONN_ID_MAX = 255,            /* bytes */
    SLIDING_TIMELINE_MAX = 100,           /* a higher timeline_limit is lowered */
    SLIDING_BODY_MAX = 256 * 1024
};

struct sliding_config {
    int64_t timeline_limit;
    struct required_rule required;
};

/* filter_list: a NULL item is JSON's null. */
struct sliding_filters {
    int is_dm, is_encrypted, is_invited; /* -1: not given */
    struct filter_list spaces, room_types, not_room_types, tags, not_tags;
    const char *name_like; /* folded (base/text.h); NULL: not given */
    struct str text;       /* what was parsed: the same text is the same filters */
};

struct sliding_range {
    int64_t first, last; /* both included */
};

struct sliding_list {
    const char *name;
    const struct sliding_range *ranges;
    size_t ranges_n;
    bool is_whole; /* without ranges: all rooms */
    struct sliding_filters filters;
    struct sliding_config config;
};

struct sliding_subscription {
    const char *room_id;
    struct sliding_config config;
};

/* An extension, and to which rooms it applies (MSC4508). */
struct sliding_extension {
    bool enabled;
    struct filter_list lists, rooms; /* not present: all; `*` also */
    int64_t limit;                   /* 0: not given */
    const char *since;               /* NULL: not given */
    bool include_roots;              /* of threads */
};

struct sliding_request {
    bool is_accepted; /* the accepted form; else the deployed one */
    const char *conn_id;
    const char *pos, *set_presence; /* of the accepted form; NULL: not given */
    int64_t timeout;                /* the same */
    const struct sliding_list *lists;
    const struct sliding_subscription *subscriptions;
    size_t lists_n, subscriptions_n;
    uint64_t rules_hash; /* equal for equal lists and subscriptions */
    bool begins_at_top;  /* no range of a list begins further down */
    struct sliding_extension to_device, e2ee, account_data, receipts, typing, threads;
};

/* M_BAD_JSON, M_MISSING_PARAM, M_INVALID_PARAM. */
const struct err *sliding_request_parse(struct arena *a, const json_t *body, bool is_accepted,
                                        struct sliding_request *ret);

#endif
