/* Redactions that were received before their targets, or together with them as history. */
#ifndef ROOMS_ACCEPT_LATE_REDACTIONS_H
#define ROOMS_ACCEPT_LATE_REDACTIONS_H

#include "rooms/room.h"
#include "storage/rooms/events.h"

/* Redacts those of these just stored events whose redactions were stored before, and the targets of
 * the redactions among them. No change is written: for events of history, and for others before
 * they are published. */
const struct err *late_redactions_apply(struct job *job, struct room *room,
                                        const struct event *const *events, size_t n);

/* For events that are about to be stored: the redacted form of each that has a stored redaction,
 * and the redaction's position (0: none). */
const struct err *late_redactions_of(struct job *job, struct room *room,
                                     const struct event *const *events, size_t n,
                                     const struct event **ret_left, int64_t *ret_redaction);

#endif
