/* What the new room of an upgrade says where the old one says something. Pure. */
#ifndef ROOMS_WRITE_UPGRADE_CONTENT_H
#define ROOMS_WRITE_UPGRADE_CONTENT_H

#include "matrix/event.h"

struct succession {
    const struct room_version *old_version, *version;
    const struct event *old_create;
    const char *upgrader;
    const json_t *additional_creators; /* as the client gave them; NULL: none */
};

/* Of a content of the old room, that of the new one. Owned; NULL: nothing is said there. */
json_t *successor_content(const struct succession *s, const char *type, const json_t *current);

/* Power levels of the old room, by which only moderators write or invite there any more. Owned. */
json_t *successor_silent_levels(const json_t *current);

/* Takes away floats and large integers, which others could write in old rooms and we cannot write
 * anew. */
void successor_drop_uncanonical(json_t *content);

#endif
