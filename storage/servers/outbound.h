/* The events of the log that another server must be sent: those of our users, and those that we
 * relay, in rooms that the server was in at the time; and member events about its users in any
 * room, except invites. For catching up: new events are in memory (federation/out/sender.h). */
#ifndef STORAGE_SERVERS_OUTBOUND_H
#define STORAGE_SERVERS_OUTBOUND_H

#include "storage/db/db.h"

struct outbound_range {
    const char *server, *own; /* the destination, and our name */
    int64_t from, to;         /* from < position <= to */
    int limit;
};

/* Their positions, oldest first, at most `limit`. */
const struct err *outbound_events(struct tx *tx, const struct outbound_range *r,
                                  const int64_t **ret, size_t *ret_n);

/* Only the newest event of each room that the server is in, and all member events about its users
 * in rooms that it is not in; oldest first. */
const struct err *outbound_newest(struct tx *tx, const struct outbound_range *r,
                                  const int64_t **ret, size_t *ret_n);

/* The servers whose members of a room changed after that position; for each: was it in the room
 * then? */
struct outbound_server {
    const char *name;
    bool was_there;
};
const struct err *outbound_servers_changed(struct tx *tx, int64_t room, int64_t position,
                                           const struct outbound_server **ret, size_t *ret_n);

/* How many outbound_events there are, counted up to `limit`. */
const struct err *outbound_count(struct tx *tx, const struct outbound_range *r, int64_t *ret);

#endif
