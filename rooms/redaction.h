/* Redactions of events of ours (client-server-api, "Redactions"): may it be applied, and what
 * becomes of its target. */
#ifndef ROOMS_REDACTION_H
#define ROOMS_REDACTION_H

#include "rooms/draft.h"

/* Finds the target and fills change->redacts_position and change->redacted_event, when there is
 * such an event in this room. M_FORBIDDEN when the sender may not redact it, M_NOT_FOUND when there
 * is none and the sender could only redact their own. */
const struct err *redaction_prepare(struct draft *d, const struct event *redaction,
                                    struct change *change);

/* The same for a redaction of another server: one that may not be applied, or has nothing to apply
 * to, does nothing; it is kept for a target that is not here yet. */
const struct err *redaction_prepare_remote(struct draft *d, const struct event *redaction,
                                           struct change *change);

/* Writes the redacted bytes of the target. */
void redaction_write(struct draft *d, const struct event *redaction, const struct change *change,
                     int at);

#endif
