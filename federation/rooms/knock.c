#include "federation/rooms/knock.h"
/* Knocks on a room through a resident server (server-server-api, "Knocking upon a room"). */
#include "federation/peer/candidates.h"
#include "federation/rooms/handshake.h"
#include "federation/rooms/invite_state.h"
#include "rooms/accept/remote_join.h"

enum { KNOCK_TIME_MS = 60 * 1000 };

struct knock {
    struct handshake hand;
    const json_t *room_state;
};

static const struct err *knock_through(void *ctx, const char *server)
{
    struct knock *k = ctx;
    struct handshake *h = &k->hand;
    h->server = server;
    TRY(handshake_make(h));
    if (!h->version->knock)
        return err(ERR_FORBIDDEN, "Rooms of version %s do not support knocking", h->version->id);
    struct fed_request r = {.server = server,
                            .method = PUT,
                            .path = handshake_send_path(h, 1, ""),
                            .raw_body = h->event->json,
                            .timeout_ms = HANDSHAKE_SEND_TIMEOUT_MS,
                            .now = true};
    struct fed_reply reply;
    TRY(federation_request(h->job, &r, &reply));
    k->room_state = json_object_get(reply.json, "knock_room_state");
    return NULL;
}

const struct err *federation_knock(struct job *job, const char *room_id, const struct via *via,
                                   const struct author *author, const json_t *content)
{
    struct candidates c;
    struct knock k = {.hand = {.job = job,
                               .room_id = room_id,
                               .author = author,
                               .membership = MEMBERSHIP_KNOCK,
                               .content = content}};
    struct room_note note = {.room_id = room_id};
    TRY(candidates_find(job, room_id, author->user_id, via, &c));
    TRY(candidates_ask(&c, KNOCK_TIME_MS, knock_through, &k));
    note.version = k.hand.version;
    note.event = k.hand.event;
    TRY(invite_state_read(job, k.hand.event, k.room_state, false, &note.stripped,
                          &note.proves_version));
    return room_note_membership(job, &note);
}
