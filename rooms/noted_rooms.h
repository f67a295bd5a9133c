/* Deletion of rooms that none of our users was ever in (storage/rooms/noted_rooms.h). */
#ifndef ROOMS_NOTED_ROOMS_H
#define ROOMS_NOTED_ROOMS_H

#include "storage/db/job.h"

/* Deletes those that were not used for RETENTION_ROOMS_DAYS: they have no pending invite or knock,
 * and did not change since. A bounded number at once; the next sweep continues. */
const struct err *noted_rooms_sweep(struct job *job, int64_t now_ms);

#endif
