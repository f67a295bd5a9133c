/* federation_set_aside: events and EDUs that a server refused while it accepted others. The
 * operator can resend or discard them. */
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

/* false: there are REFUSED_ITEMS_MAX already. asked: it is to be resent without a command. */
const struct err *refused_items_add(struct tx *tx, const char *server,
                                    const struct refused_item *what, bool asked, bool *ret_added);

/* The oldest ones, without their JSON. */
const struct err *refused_items_list(struct tx *tx, const char *server, int limit,
                                     const struct refused_item **ret, size_t *ret_n);

/* Marks all that were refused at this time or later for resending. */
const struct err *refused_items_ask(struct tx *tx, const char *server, int64_t since_ts,
                                    int64_t *ret_n);
/* The first one marked for resending; NULL: none. */
const struct err *refused_items_next_asked(struct tx *tx, const char *server,
                                           const struct refused_item **ret);
/* It was refused again: no longer marked. */
const struct err *refused_items_refused_again(struct tx *tx, int64_t id, const char *answer);
/* It was accepted. */
const struct err *refused_items_remove(struct tx *tx, int64_t id);
/* Deletes all of a server. */
const struct err *refused_items_discard(struct tx *tx, const char *server, int64_t *ret_n);

#endif
