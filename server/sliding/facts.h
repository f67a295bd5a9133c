/* What filters of lists look at, of some of a user's rooms: read together. */
#ifndef SERVER_SLIDING_FACTS_H
#define SERVER_SLIDING_FACTS_H

#include "server/sliding/sliding.h"

enum { /* what filters need */
       FACT_STATE = 1,
       FACT_DIRECT = 2,
       FACT_TAGS = 4,
       FACT_SPACES = 8
};

struct room_facts {
    struct session_room at;
    bool is_listed;   /* in the list of a user without filters */
    int64_t activity; /* a position */
    int64_t state_moved;
    bool is_encrypted, is_direct;
    const char *room_id; /* FACT_DIRECT, FACT_SPACES */
    const char *type, *name;
    struct str tags; /* content of m.tag; p NULL: none */
};

unsigned facts_needed(const struct sliding_filters *f);

/* A set of room ids: the children of those spaces that the user has joined. */
const struct err *facts_children(struct sliding_sync *s, const struct filter_list *spaces,
                                 const struct map **ret);

/* In the job's arena. At most six statements; none if all is in memory and neither tags nor invites
 * are looked at. */
const struct err *facts_read(struct sliding_sync *s, unsigned needed,
                             const struct session_room *rooms, size_t n, struct room_facts **ret);

/* children: of the spaces in the filters; NULL if there are none. */
bool facts_match(struct arena *a, const struct sliding_filters *f, const struct map *children,
                 const struct room_facts *facts);

#endif
