/* The identifiers of the protocol (appendices, "Identifier Grammar"): parsing, checking, making.
 * Lengths are limited to 255 bytes. Pure. */
#ifndef MATRIX_ID_H
#define MATRIX_ID_H

#include "base/str.h"

enum { ID_LENGTH_MAX = 255 };

/* The two halves of `@localpart:server`, as ranges of the argument; false if malformed. For ids
 * without a server part (room ids of v12, event ids from v3 on) ret_server->n is 0. The sigil is
 * checked: '@', '!', '#' or '$'. Users and aliases always have a server part. */
bool id_split(char sigil, struct str id, struct str *ret_localpart, struct str *ret_server);

/* Any user id of another server: the historical grammar, which must be accepted in events, allows
 * any localpart without ':' and NUL, even an empty one. */
bool id_is_user(struct str id);
/* Localpart of U+0021 to U+007E and not empty. Clients must not receive others outside of events,
 * for instance in device lists. */
bool id_is_compliant_user(struct str id);
/* A localpart that may be registered: a-z 0-9 . _ = - / + */
bool id_is_new_localpart(struct str localpart);
bool id_is_room(struct str id); /* with or without server part */
bool id_is_alias(struct str id);
bool id_is_event(struct str id);
bool id_is_server_name(struct str name); /* host or IP literal, optional port */
bool id_is_device(struct str id);        /* 1 to 255 printable bytes */
bool id_is_key(struct str id);           /* "ed25519:KEYID" and the like */

/* The server part of a user, room, alias or event id; n == 0 if none. */
struct str id_server(struct str id);
/* Whether an id (NULL: no) names that server. The rest of it is not checked, nor what it is an id
 * of. Of this server: id_is_local() in storage/db/job.h. */
bool id_is_of(const char *id, const char *server);
/* Also checked: a user id. */
bool id_is_user_of(const char *id, const char *server);

/* "sigil + 18 random letters + : + server" (room ids up to v11, event ids of v1 and v2). */
char *id_make(struct arena *a, char sigil, const char *server);
char *id_random(struct arena *a, size_t letters); /* [A-Za-z], cryptographically random */

#endif
