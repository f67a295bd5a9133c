/* inbound_pdus: events from other servers that wait for their parents (federation/in/inbound.h).
 * They belong to the room and the server that sent them, so that one server does not hinder others.
 */
#ifndef STORAGE_SERVERS_INBOUND_H
#define STORAGE_SERVERS_INBOUND_H

#include "matrix/event.h"
#include "storage/db/write.h"

struct inbound_pdu {
    int64_t id;
    const struct event *event; /* kept by the arena */
};

/* Events that this server already sent for this room are skipped. */
void inbound_pdus_write(struct write *w, int64_t room, const char *origin, const struct event *e,
                        int64_t now_ms);

/* The lowest (or the highest) in depth. */
const struct err *inbound_pdus_list(struct tx *tx, int64_t room, const struct room_version *v,
                                    const char *origin, bool highest, int64_t limit,
                                    const struct inbound_pdu **ret, size_t *ret_n);
const struct err *inbound_pdus_delete(struct tx *tx, const int64_t *ids, size_t n);
/* Deletes all events of this room and origin. ret_n: how many. */
const struct err *inbound_pdus_drop(struct tx *tx, int64_t room, const char *origin,
                                    int64_t *ret_dropped);

/* Deletes the oldest so that at most `keep` of this room and origin (of the origin in all rooms)
 * are left. */
const struct err *inbound_pdus_trim(struct tx *tx, int64_t room, const char *origin, int64_t keep,
                                    int64_t *ret_dropped);
const struct err *inbound_pdus_trim_origin(struct tx *tx, const char *origin, int64_t keep,
                                           int64_t *ret_dropped);

/* The rooms that have waiting events, with the servers that sent them. */
struct inbound_backlog {
    int64_t room, n;
    const char *origin;
};
const struct err *inbound_backlogs(struct tx *tx, int64_t limit, const struct inbound_backlog **ret,
                                   size_t *ret_n);

#endif
