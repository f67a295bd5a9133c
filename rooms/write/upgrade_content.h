/* The contents of the new room's state in an upgrade, by those of the old one. Pure functions. */
#ifndef ROOMS_WRITE_UPGRADE_CONTENT_H
#define ROOMS_WRITE_UPGRADE_CONTENT_H

#include "matrix/event.h"

struct succession {
    const struct room_version *old_version, *version;
    const struct event *old_create;
    const char *upgrader;
    const json_t *additional_creators; /* as the client gave them; NULL: none */
};

/* The new room's content for one of the old room. Owned; NULL: not in the new room. */
json_t *successor_content(const struct succession *s, const char *type, const json_t *current);

/* Power levels of the old room that let only moderators send or invite. Owned. */
json_t *successor_silent_levels(const json_t *current);

/* Removes floats and large integers, which are in old rooms but not allowed in new events. */
void successor_drop_uncanonical(json_t *content);

#endif
