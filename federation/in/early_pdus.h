/* PDUs of rooms that this server is still joining. Once the resident server has our join event it
 * names us to the other servers, whose events may arrive before we have stored the room's state.
 * They are kept in memory until the join ends, and are then processed as if they had just arrived.
 * If the server stops first, they are lost with the join; if they are parents of later events they
 * are fetched like any gap. PDUs that could not be processed are put back, since they were
 * acknowledged.
 *
 * Bounded in number for each room and in bytes for all, and in both for each sending server.
 * Thread-safe; takes a leaf lock. */
#ifndef FEDERATION_IN_EARLY_PDUS_H
#define FEDERATION_IN_EARLY_PDUS_H

#include "base/str.h"

#include <stdbool.h>

struct early_pdus;
struct early_pdus *early_pdus_create(void);
void early_pdus_destroy(struct early_pdus *e); /* NULL-safe */

/* One join a room at a time (federation/keyed_lock.h) calls begin and take. */
void early_pdus_begin(struct early_pdus *e, const char *room_id);

/* False if the room is not being joined, or too much is kept. */
bool early_pdus_keep(struct early_pdus *e, const char *room_id, const char *origin,
                     const struct str *raw, size_t n);

/* The join has ended: what was kept, in order of arrival, copied into the arena. */
struct early_pdu {
    const char *origin;
    struct str raw;
};
struct early_pdu *early_pdus_take(struct early_pdus *e, struct arena *a, const char *room_id,
                                  size_t *ret_n);

/* Puts back, regardless of the bounds, PDUs that were taken and must be tried again. */
void early_pdus_put_back(struct early_pdus *e, const char *room_id, const struct early_pdu *pdus,
                         size_t n);
/* The PDUs of the first room that was put back; NULL: none. */
struct early_pdu *early_pdus_take_again(struct early_pdus *e, struct arena *a,
                                        const char **ret_room_id, size_t *ret_n);

#endif
