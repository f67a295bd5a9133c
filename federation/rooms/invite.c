/* Invites users of other servers: their server signs the invite, then it is added to the room
 * (server-server-api, "Inviting to a room"). */
#include "federation/rooms/invite.h"
#include "base/clock.h"
#include "federation/in/inbound_internal.h"
#include "federation/in/pdu.h"
#include "federation/keys/keyring.h"
#include "federation/peer/candidates.h"
#include "federation/peer/path.h"
#include "federation/rooms/handshake.h"
#include "federation/rooms/invite_state.h"
#include "matrix/id.h"
#include "rooms/accept/accept.h"
#include "rooms/rooms.h"
#include "rooms/write/template.h"

enum { INVITE_TIMEOUT_MS = 30 * 1000, SIGNATURES_MAX = 8, LARGE_WAIT_MS = 10 * 1000 };

struct invite {
    struct job *job;
    struct room *room;
    const struct author *author;
    const char *target, *server;
    const struct event *event; /* signed by us */
    struct str state;
    const json_t *answer; /* the event as their server returned it */
};

/* ---- our event ---- */

static const struct err *invite_make_event(struct invite *i, const json_t *content)
{
    const struct node *node = i->job->node;
    struct new_event wanted = {.type = "m.room.member",
                               .state_key = i->target,
                               .content = str_of(json_write(i->job->arena, content))};
    json_t *template;
    TRY(room_template(i->job, i->room, i->author->user_id, &wanted, &template));
    struct event_template t = {.room_id = i->room->room_id,
                               .type = wanted.type,
                               .sender = i->author->user_id,
                               .state_key = wanted.state_key,
                               .content = wanted.content,
                               .origin_server_ts = now_ms()};
    TRY(handshake_read_place(i->job->arena, i->room->version, template, &t));
    struct event *made;
    TRY(event_build(i->room->version, &t, node->config->server_name, &node->keys->current, &made));
    i->event = event_keep(i->job->arena, made);
    return NULL;
}

/* ---- the request ---- */

static struct str body_v2(const struct invite *i)
{
    buf_auto struct buf b = {0};
    BUF_LIT(&b, "{\"room_version\":");
    buf_add_json_string(&b, str_of(i->room->version->id));
    BUF_LIT(&b, ",\"event\":");
    buf_add_str(&b, pdu_bytes(i->event));
    BUF_LIT(&b, ",\"invite_room_state\":");
    buf_add_str(&b, i->state);
    buf_add_char(&b, '}');
    return (struct str){arena_memdup(i->job->arena, b.p, b.n), b.n};
}

/* Version 1 sends only the event, with the state in its `unsigned`. */
static struct str body_v1(const struct invite *i)
{
    buf_auto struct buf b = {0};
    buf_add(&b, i->event->json.p, i->event->json.n - 1);
    BUF_LIT(&b, ",\"unsigned\":{\"invite_room_state\":");
    buf_add_str(&b, i->state);
    BUF_LIT(&b, "}}");
    return (struct str){arena_memdup(i->job->arena, b.p, b.n), b.n};
}

static const struct err *invite_put(const struct invite *i, int api_version,
                                    const json_t **ret_event)
{
    struct fed_request r = {.server = i->server,
                            .method = PUT,
                            .path = federation_path(i->job->arena,
                                                    "/_matrix/federation/%s/invite/%s/%s",
                                                    api_version == 1 ? "v1" : "v2",
                                                    i->room->room_id, i->event->event_id),
                            .raw_body = api_version == 1 ? body_v1(i) : body_v2(i),
                            .timeout_ms = INVITE_TIMEOUT_MS,
                            .reply_max = 4 * EVENT_SIZE_MAX,
                            .now = true,
                            .no_tree = true}; /* version 1 answers with an array */
    struct fed_reply reply;
    json_t *tree;
    TRY(federation_request(i->job, &r, &reply));
    TRY(json_read(i->job->arena, reply.body, &tree));
    const json_t *body = api_version == 1 ? json_array_get(tree, 1) : tree;
    *ret_event = json_object_get(body, "event");
    return json_is_object(*ret_event) ? NULL
                                      : err(ERR_BAD_STATUS, "%s sent back no event", i->server);
}

/* Older servers only have version 1 of the endpoint, for rooms of versions 1 and 2. */
static const struct err *invite_ask(void *ctx, const char *server)
{
    struct invite *i = ctx;
    const struct err *e = invite_put(i, 2, &i->answer);
    bool is_old_room = i->room->version->event_id == EVENT_ID_GIVEN;
    if (e && is_old_room && handshake_lacks_v2(i->room->version, e))
        e = invite_put(i, 1, &i->answer);
    return e;
}

/* Only the user's own server can sign it. */
static const struct err *ask_their_server(struct invite *i)
{
    struct candidates c = {.servers = {i->server}, .n = 1};
    return candidates_ask(&c, INVITE_TIMEOUT_MS, invite_ask, i);
}

/* ---- the reply ---- */

static const struct err *is_signed_by_them(const struct invite *i, const struct event *signed_,
                                           bool *ret)
{
    struct key_wanted_of wanted[SIGNATURES_MAX];
    size_t n = 0;
    const char *key_id;
    json_t *signature;
    json_object_foreach (json_object_get(json_object_get(i->answer, "signatures"), i->server),
                         key_id, signature)
        if (n < SIGNATURES_MAX)
            wanted[n++] = (struct key_wanted_of){
                .server = i->server,
                .key_id = key_id,
                .valid_at_ms =
                    i->room->version->enforce_key_validity ? signed_->origin_server_ts : 0};
    TRY(keyring_find(i->job, wanted, n));
    *ret = false;
    for (size_t k = 0; k < n && !*ret; k++)
        *ret = wanted[k].ret_key &&
               event_signature_ok(signed_, i->server, wanted[k].key_id, str_of(wanted[k].ret_key));
    return NULL;
}

/* Our event with their signature added, and nothing else changed. */
static const struct err *read_signed(const struct invite *i, const struct event **ret)
{
    struct pdu pdu = {.raw = str_of(json_write(i->job->arena, i->answer))};
    bool signed_by_them;
    TRY(pdu_read(i->job, i->room->version, i->room->room_id, &pdu, 1));
    if (!pdu.event || strcmp(pdu.event->event_id, i->event->event_id) != 0 ||
        !str_eq(pdu.event->content, i->event->content))
        return err(ERR_BAD_STATUS, "%s sent back another event", i->server);
    TRY(is_signed_by_them(i, pdu.event, &signed_by_them));
    if (!signed_by_them)
        return err(ERR_BAD_STATUS, "%s did not sign the invite", i->server);
    *ret = pdu.event;
    return NULL;
}

static const struct err *invite_append(const struct invite *i, const struct event *event)
{
    struct incoming in = {.event = event, .relay = true};
    struct accept_outcome outcome;
    TRY(inbound_accept(i->job, i->room, &in, LARGE_WAIT_MS, &outcome));
    if (outcome.verdict == VERDICT_ACCEPTED || outcome.verdict == VERDICT_KNOWN)
        return NULL;
    return err(ERR_FORBIDDEN, "%s",
               outcome.reason ? outcome.reason : "The room has changed meanwhile; try again");
}

const struct err *federation_invite(struct job *job, struct room *room, const struct author *author,
                                    const char *target, const json_t *content,
                                    const char **ret_event_id)
{
    struct invite i = {.job = job, .room = room, .author = author, .target = target};
    const struct event *signed_;
    i.server = str_dup(job->arena, id_server(str_of(target)));
    if (!federation_may_contact(job->config, i.server))
        return err(ERR_FORBIDDEN,
                   "Users of %s cannot be invited: this server does not federate with it",
                   i.server);
    TRY(invite_make_event(&i, content));
    TRY(invite_state_write(job, room, author->user_id, &i.state));
    TRY(ask_their_server(&i));
    TRY(read_signed(&i, &signed_));
    TRY(invite_append(&i, signed_));
    *ret_event_id = signed_->event_id;
    return NULL;
}
