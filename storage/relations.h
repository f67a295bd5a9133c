/* relations: which events relate to which. Written with the event (storage/events.h). */
#ifndef STORAGE_RELATIONS_H
#define STORAGE_RELATIONS_H

#include "storage/events.h"

/* Has this user annotated that event with that key, by an event of that type? */
const struct err *relations_has_annotation(struct tx *tx, const struct room_version *v,
                                           const struct relation *r, const char *sender,
                                           const char *type, bool *ret);

#endif
