/* Which events of the log another server has to be sent: those of our users, and those that we
 * relay, in rooms where the server was when they happened; and member events about its users
 * wherever they are, but for invites. For catching up: what is new is known from memory
 * (federation/out/sender.h). */
#ifndef STORAGE_SERVERS_OUTBOUND_H
#define STORAGE_SERVERS_OUTBOUND_H

#include "storage/db/db.h"

struct outbound_range {
    const char *server, *own; /* who is told, and our name */
    int64_t from, to;         /* from < position <= to */
    int limit;
};

/* Their positions, oldest first, at most `limit`. */
const struct err *outbound_events(struct tx *tx, const struct outbound_range *r,
                                  const int64_t **ret, size_t *ret_n);

/* Of each room where the server is now only the newest, and all member events about its users in
 * rooms where it is not; oldest first. */
const struct err *outbound_newest(struct tx *tx, const struct outbound_range *r,
                                  const int64_t **ret, size_t *ret_n);

/* The servers whose members of a room changed after that position; each: was it in the room then?
 */
struct outbound_server {
    const char *name;
    bool was_there;
};
const struct err *outbound_servers_changed(struct tx *tx, int64_t room, int64_t position,
                                           const struct outbound_server **ret, size_t *ret_n);

/* How many outbound_events there are, counted up to `limit`. */
const struct err *outbound_count(struct tx *tx, const struct outbound_range *r, int64_t *ret);

#endif
