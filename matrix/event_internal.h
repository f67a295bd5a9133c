/* Shared by the event*.c files; only they and their unit tests include it. */
#ifndef MATRIX_EVENT_INTERNAL_H
#define MATRIX_EVENT_INTERNAL_H

#include "base/sha256.h"
#include "matrix/event.h"

/* The raw top-level members of a PDU; p == NULL when absent. */
struct event_fields {
    struct str auth_events, content, depth, event_id, hashes, origin_server_ts, prev_events,
        redacts, room_id, sender, signatures, state_key, type, unsigned_;
};
void event_fields_find(struct str pdu, struct event_fields *ret);

/* Whether this is the create event of a room whose id is its hash (v12), so that it has no room_id.
 */
bool event_names_its_room(const struct room_version *v, const struct event_fields *f);

/* Makes the event from canonical bytes and their fields, copying everything; NULL when a member has
 * the wrong form. event_id == NULL: the event contains its own. */
struct event *event_create(const struct room_version *v, const char *event_id, struct str pdu,
                           const struct event_fields *f);

/* Over canonical bytes. */
void event_hash_content(struct str pdu, unsigned char ret[SHA256_BYTES]);
void event_hash_reference(const struct room_version *v, struct str pdu,
                          unsigned char ret[SHA256_BYTES]);

enum { EVENT_HASH_ID_LENGTH = 44 }; /* sigil and 43 characters of base64 */
void event_id_from_hash(const struct room_version *v, char sigil,
                        const unsigned char hash[SHA256_BYTES], char ret[EVENT_HASH_ID_LENGTH + 1]);
/* Whether event_id_from_hash could have made this id. */
bool event_id_is_hash(const struct room_version *v, char sigil, struct str id);

#endif
