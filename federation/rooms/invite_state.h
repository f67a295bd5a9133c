/* invite_room_state and knock_room_state: the state that a user outside a room may see. Between
 * servers the entries are whole PDUs, including the create event, so that the room id can be
 * checked (server-server-api, "Inviting to a room", since v1.16); clients get the stripped form. */
#ifndef FEDERATION_ROOMS_INVITE_STATE_H
#define FEDERATION_ROOMS_INVITE_STATE_H

#include "rooms/room.h"

/* The JSON array for another server, from the room's current state; with the member event of
 * user_id unless it is NULL. In the job's arena. */
const struct err *invite_state_write(struct job *job, struct room *room, const char *user_id,
                                     struct str *ret);

/* The stripped array for our client, with the member event itself at its end. `list` is what the
 * other server sent (NULL: nothing), hostile.
 * is_strict: M_MISSING_PARAM, M_INVALID_PARAM unless every entry is a PDU of the room with valid
 * signatures and the create event is among them. Otherwise invalid entries are skipped; stripped
 * entries, as sent before v1.16, are accepted as they are.
 * *ret_proves_version: the create event is included, has this room version, and is signed by the
 * server that may have created the room. */
const struct err *invite_state_read(struct job *job, const struct event *member, const json_t *list,
                                    bool is_strict, struct str *ret, bool *ret_proves_version);

#endif
