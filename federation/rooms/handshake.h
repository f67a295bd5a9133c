/* The first half of entering or leaving a room by way of a resident server: it makes the template
 * of the member event, we check and complete it (server-server-api, make_join, make_knock,
 * make_leave).
 *
 * Nothing of the template is believed but what only that server can know: where in the room the
 * event goes (prev_events, auth_events, depth) and who vouches for a restricted join. */
#ifndef FEDERATION_ROOMS_HANDSHAKE_H
#define FEDERATION_ROOMS_HANDSHAKE_H

#include "federation/peer/request.h"
#include "rooms/write/append.h"

struct handshake {
    struct job *job;
    const char *room_id, *server;
    const struct author *author;
    enum membership membership; /* JOIN, KNOCK or LEAVE */
    const json_t *content;      /* of our event; its `membership` is set here */
    bool not_again;             /* do not ask a server that is backed off */
    /* Filled by handshake_make: */
    const struct room_version *version;
    const struct event *event; /* ours, signed */
    bool is_authorised_by_us;  /* it has join_authorised_via_users_server */
};

const struct err *handshake_make(struct handshake *h);

/* "/_matrix/federation/v2/send_join/…" of that event, with `query` ("?…" or ""). */
const char *handshake_send_path(const struct handshake *h, int api_version, const char *query);
/* Does the error mean that the server has no version 2 of the endpoint? */
bool handshake_lacks_v2(const struct room_version *v, const struct err *e);

enum { HANDSHAKE_MAKE_TIMEOUT_MS = 20 * 1000, HANDSHAKE_SEND_TIMEOUT_MS = 60 * 1000 };

/* Fills the places of the member event's template that only the room's graph decides: prev_events,
 * auth_events (with their hashes in versions 1 and 2) and depth. M_BAD_JSON. */
const struct err *handshake_read_place(struct arena *a, const struct room_version *v,
                                       const json_t *event, struct event_template *ret);

#endif
