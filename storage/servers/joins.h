/* joins: rooms that a node is joining through another server, so that one node at a time joins a
 * room. Within a node, federation/keyed_lock.h does the same for its threads: together they make a
 * row's holder one thread. A row ends with its node: when that is not in the list of nodes any more
 * (storage/nodes/log_view.h), another node takes it, and what the first one still writes fails.
 *
 * early_pdus: PDUs of such rooms. Once the resident server has our join event it names us to the
 * other servers, whose events may arrive, at any node, before the room's state is stored. They are
 * bounded in number for each room and in bytes for all, and in both for each sending server; what
 * arrives at once may exceed that. */
#ifndef STORAGE_SERVERS_JOINS_H
#define STORAGE_SERVERS_JOINS_H

#include "storage/db/write.h"

/* ---- joins ---- */

/* False: another node that lives is joining the room. */
const struct err *joins_take(struct tx *tx, const char *room_id, int64_t node, bool *ret_taken);
/* Makes the write fail with ERR_LEASE_LOST if the node does not hold the join any more. */
void joins_check_write(struct write *w, const char *room_id, int64_t node);
/* Afterwards no PDU is kept for it. */
const struct err *joins_end(struct tx *tx, const char *room_id, int64_t node);
/* Ends those of nodes that are gone. */
const struct err *joins_end_gone(struct tx *tx);
/* The rooms that this node is joining. */
const struct err *joins_of_node(struct tx *tx, int64_t node, const char *const **ret,
                                size_t *ret_n);

/* ---- PDUs that arrive meanwhile ---- */

struct early_pdu {
    int64_t id;
    const char *origin;
    struct str raw;
};

/* All or none of them. False if no node is joining the room, or too much is kept. */
const struct err *early_pdus_keep(struct tx *tx, const char *room_id, const char *origin,
                                  const struct str *raw, size_t n, bool *ret_kept);
/* The first of a room, in order of arrival. */
const struct err *early_pdus_list(struct tx *tx, const char *room_id, int64_t limit,
                                  const struct early_pdu **ret, size_t *ret_n);
const struct err *early_pdus_delete(struct tx *tx, const int64_t *ids, size_t n);
/* Rooms with PDUs that no node is joining any more. */
const struct err *early_pdus_rooms(struct tx *tx, int64_t limit, const char *const **ret,
                                   size_t *ret_n);
/* Those that could not be processed for long. */
const struct err *early_pdus_expire(struct tx *tx, int64_t before_ts);

#endif
