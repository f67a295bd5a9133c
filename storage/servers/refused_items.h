/* federation_set_aside: events and EDUs that a server refused though it took others. They wait for
 * the operator, who can have them sent again or discard them. */
#ifndef STORAGE_SERVERS_REFUSED_ITEMS_H
#define STORAGE_SERVERS_REFUSED_ITEMS_H

#include "storage/db/db.h"

enum { REFUSED_ITEMS_MAX = 1000 }; /* of one server */

struct refused_item {
    int64_t id, position, since_ts;
    const char *type, *event_id; /* "": an EDU */
    struct str json;             /* empty in lists */
    const char *answer;
};

/* false: there are REFUSED_ITEMS_MAX already. asked: it is to be sent again by itself. */
const struct err *refused_items_add(struct tx *tx, const char *server,
                                    const struct refused_item *what, bool asked, bool *ret_added);

/* The oldest ones, without their JSON. */
const struct err *refused_items_list(struct tx *tx, const char *server, int limit,
                                     const struct refused_item **ret, size_t *ret_n);

/* All that were set aside at this time or later are to be sent again. */
const struct err *refused_items_ask(struct tx *tx, const char *server, int64_t since_ts,
                                    int64_t *ret_n);
/* The first of those; NULL when there is none. */
const struct err *refused_items_next_asked(struct tx *tx, const char *server,
                                           const struct refused_item **ret);
/* It was refused again: not asked for any longer. */
const struct err *refused_items_refused_again(struct tx *tx, int64_t id, const char *answer);
/* It was taken. */
const struct err *refused_items_remove(struct tx *tx, int64_t id);
/* All of a server's. */
const struct err *refused_items_discard(struct tx *tx, const char *server, int64_t *ret_n);

#endif
