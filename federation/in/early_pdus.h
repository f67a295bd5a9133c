/* PDUs of rooms that this server is still joining. As soon as the resident server has our join
 * event it names us to the others, whose events may so come before we have stored the room's state.
 * They are kept in memory until the join ends, and are then processed as if they had just come. A
 * server that stops in between loses them as it loses the join; what they are parents of is fetched
 * as any gap. What could not be processed is put back, for they were acknowledged.
 *
 * Bounded in number for each room and in bytes for all, and in both for each server that sends.
 * Thread-safe; it takes a leaf lock. */
#ifndef FEDERATION_IN_EARLY_PDUS_H
#define FEDERATION_IN_EARLY_PDUS_H

#include "base/str.h"

#include <stdbool.h>

struct early_pdus;
struct early_pdus *early_pdus_create(void);
void early_pdus_destroy(struct early_pdus *e); /* NULL-safe */

/* One join a room at a time (federation/keyed_lock.h) begins and takes. */
void early_pdus_begin(struct early_pdus *e, const char *room_id);

/* False: the room is not being joined, or too much waits. */
bool early_pdus_keep(struct early_pdus *e, const char *room_id, const char *origin,
                     const struct str *raw, size_t n);

/* The join has ended. What was kept, in the order in which it came, copied into the arena. */
struct early_pdu {
    const char *origin;
    struct str raw;
};
struct early_pdu *early_pdus_take(struct early_pdus *e, struct arena *a, const char *room_id,
                                  size_t *ret_n);

/* Keeps again, whatever the bounds, what was taken and is to be tried once more. */
void early_pdus_put_back(struct early_pdus *e, const char *room_id, const struct early_pdu *pdus,
                         size_t n);
/* What was put back, of one room after the other; NULL: nothing. */
struct early_pdu *early_pdus_take_again(struct early_pdus *e, struct arena *a,
                                        const char **ret_room_id, size_t *ret_n);

#endif
