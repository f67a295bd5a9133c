/* Receipts for events that have not been received yet: another server's receipt may arrive before a
 * third one's event. Kept in memory for a short while, and retried. */
#ifndef FEDERATION_IN_LATE_RECEIPTS_H
#define FEDERATION_IN_LATE_RECEIPTS_H

#include "storage/db/job.h"
#include "storage/users/receipts.h"

struct late_receipts;
struct late_receipts *late_receipts_create(void);
void late_receipts_destroy(struct late_receipts *l); /* NULL-safe */

/* Copies it. Dropped if there are too many: the reader's next receipt will do. */
void late_receipts_keep(struct late_receipts *l, int64_t room, const struct receipt *r);
/* Sets the receipts whose events have arrived. */
const struct err *late_receipts_retry(struct late_receipts *l, struct job *job);

#endif
