/* Stripped state (client-server-api, "Stripped state"): what an invited or knocking user gets of a
 * room. */
#ifndef ROOMS_STATE_STRIPPED_H
#define ROOMS_STATE_STRIPPED_H

#include "rooms/write/draft.h"

/* The types of state (with an empty state key) in it; ends in NULL. */
extern const char *const stripped_types[];

/* The JSON array for the target of a membership event that is being drafted, that event included.
 * In the job's arena. */
const struct err *stripped_state(struct draft *d, const struct event *member, struct str *ret);

#endif
