/* Backward extremities: events of a timeline some of whose prev events are not stored. */
#ifndef STORAGE_ROOMS_BACKWARD_EXTREMITIES_H
#define STORAGE_ROOMS_BACKWARD_EXTREMITIES_H

#include "storage/rooms/events.h"

struct backward_extremity {
    const struct stored_event *event;
    const struct str *missing; /* event ids as stored */
    size_t missing_n;
};

/* The newest first. */
const struct err *backward_extremities_read(struct tx *tx, int64_t room, int64_t limit,
                                            const struct backward_extremity **ret, size_t *ret_n);

/* The event of change `at`, or (at == 0) at the position. */
void backward_extremity_write(struct write *w, int64_t room, int at, int64_t position,
                              const struct str *missing, size_t n);
const struct err *backward_extremity_delete(struct tx *tx, int64_t room, int64_t position);

#endif
