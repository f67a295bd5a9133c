/* federation_set_aside: events and EDUs that a server refused though it took others. They wait for
 * the operator, who can have them sent again or discard them. */
#ifndef STORAGE_SERVERS_SET_ASIDE_H
#define STORAGE_SERVERS_SET_ASIDE_H

#include "storage/db/db.h"

enum { SET_ASIDE_MAX = 1000 }; /* of one server */

struct set_aside {
    int64_t id, position, since_ts;
    const char *type, *event_id; /* "": an EDU */
    struct str json;             /* empty in lists */
    const char *answer;
};

/* false: there are SET_ASIDE_MAX already. asked: it is to be sent again by itself. */
const struct err *set_aside_add(struct tx *tx, const char *server, const struct set_aside *what,
                                bool asked, bool *ret_added);

/* The oldest ones, without their JSON. */
const struct err *set_aside_list(struct tx *tx, const char *server, int limit,
                                 const struct set_aside **ret, size_t *ret_n);

/* All that were set aside at this time or later are to be sent again. */
const struct err *set_aside_ask(struct tx *tx, const char *server, int64_t since_ts,
                                int64_t *ret_n);
/* The first of those; NULL when there is none. */
const struct err *set_aside_next_asked(struct tx *tx, const char *server,
                                       const struct set_aside **ret);
/* It was refused again: not asked for any longer. */
const struct err *set_aside_refused(struct tx *tx, int64_t id, const char *answer);
/* It was taken. */
const struct err *set_aside_remove(struct tx *tx, int64_t id);
/* All of a server's. */
const struct err *set_aside_discard(struct tx *tx, const char *server, int64_t *ret_n);

#endif
