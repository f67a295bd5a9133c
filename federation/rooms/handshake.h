/* The first half of joining, knocking on or leaving a room through a resident server: it makes the
 * template of the member event, we check and complete it (server-server-api, make_join, make_knock,
 * make_leave).
 *
 * Only what the resident server alone can know is taken from the template: the event's place in the
 * graph (prev_events, auth_events, depth) and the authorising user of a restricted join. */
#ifndef FEDERATION_ROOMS_HANDSHAKE_H
#define FEDERATION_ROOMS_HANDSHAKE_H

#include "federation/peer/request.h"
#include "rooms/write/append.h"

struct handshake {
    struct job *job;
    const char *room_id, *server;
    const struct author *author;
    enum membership membership; /* JOIN, KNOCK or LEAVE */
    const json_t *content;      /* of our event; `membership` is set by handshake_make */
    bool not_again;             /* skip servers in back-off */
    /* Filled by handshake_make: */
    const struct room_version *version;
    const struct event *event; /* ours, signed */
    bool is_authorised_by_us;  /* has join_authorised_via_users_server */
};

const struct err *handshake_make(struct handshake *h);

/* "/_matrix/federation/v2/send_join/…" for that event, with `query` ("?…" or ""). */
const char *handshake_send_path(const struct handshake *h, int api_version, const char *query);
/* Whether the error means that the server does not have version 2 of the endpoint. */
bool handshake_lacks_v2(const struct room_version *v, const struct err *e);

enum { HANDSHAKE_MAKE_TIMEOUT_MS = 20 * 1000, HANDSHAKE_SEND_TIMEOUT_MS = 60 * 1000 };

/* Reads the members of the template that depend on the room's graph: prev_events, auth_events (with
 * their hashes in versions 1 and 2) and depth. M_BAD_JSON. */
const struct err *handshake_read_place(struct arena *a, const struct room_version *v,
                                       const json_t *event, struct event_template *ret);

#endif
