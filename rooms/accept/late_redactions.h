/* Redactions and their targets that came in the wrong order, or together in a stretch of history.
 */
#ifndef ROOMS_ACCEPT_LATE_REDACTIONS_H
#define ROOMS_ACCEPT_LATE_REDACTIONS_H

#include "rooms/room.h"
#include "storage/rooms/events.h"

/* These events were just stored: redacts those among them for which a redaction was here before,
 * and the targets of the redactions among them. No client is told: for events of history, and
 * before others are published. */
const struct err *late_redactions_apply(struct job *job, struct room *room,
                                        const struct event *const *events, size_t n);

/* Of events that are about to be stored: what is left of each that has a redaction here, and that
 * redaction's position (0: none). */
const struct err *late_redactions_of(struct job *job, struct room *room,
                                     const struct event *const *events, size_t n,
                                     const struct event **ret_left, int64_t *ret_redaction);

#endif
