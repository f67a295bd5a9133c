/* Receipts of events that are not here yet: another server's receipt may come before a third one's
 * event. Kept in memory for a moment, and tried again. */
#ifndef FEDERATION_IN_LATE_RECEIPTS_H
#define FEDERATION_IN_LATE_RECEIPTS_H

#include "storage/db/job.h"
#include "storage/users/receipts.h"

struct late_receipts;
struct late_receipts *late_receipts_create(void);
void late_receipts_destroy(struct late_receipts *l); /* NULL-safe */

/* Copies it. When there are too many it is dropped: the reader's next one will do. */
void late_receipts_keep(struct late_receipts *l, int64_t room, const struct receipt *r);
/* Sets those whose event has come. */
const struct err *late_receipts_retry(struct late_receipts *l, struct job *job);

#endif
