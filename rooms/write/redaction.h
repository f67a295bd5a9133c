/* Redactions (client-server-api, "Redactions"): whether one may be applied, and the redacted form
 * of its target. */
#ifndef ROOMS_WRITE_REDACTION_H
#define ROOMS_WRITE_REDACTION_H

#include "rooms/write/draft.h"

/* Finds the target and fills change->redacts_position and change->redacted_event. M_FORBIDDEN when
 * the sender may not redact it, M_NOT_FOUND when there is no such event in this room. */
const struct err *redaction_prepare(struct draft *d, const struct event *redaction,
                                    struct change *change);

/* The same for a redaction of another server: one that may not be applied, or whose target is
 * missing, has no effect and is withheld from clients (rooms/v3, "Handling redactions"); it is kept
 * for a target that is received later. Events in the committer's queue are not seen: callers with
 * an unknown target keep other writers out. */
const struct err *redaction_prepare_remote(struct draft *d, const struct event *redaction,
                                           struct change *change);

/* Writes the redacted bytes of the target. */
void redaction_write(struct draft *d, const struct event *redaction, const struct change *change,
                     int at);

#endif
