/* The end of rooms that none of our users has been in (storage/rooms/noted_rooms.h). */
#ifndef ROOMS_NOTED_ROOMS_H
#define ROOMS_NOTED_ROOMS_H

#include "storage/db/job.h"

/* Removes those that none of our users has had to do with for RETENTION_ROOMS_DAYS: no invite or
 * knock waits, nothing has happened since. A bounded number at once; the next sweep goes on. */
const struct err *noted_rooms_sweep(struct job *job, int64_t now_ms);

#endif
