#include "federation/rooms/handshake.h"
#include "rooms/rooms.h"

#include "base/clock.h"
#include "federation/peer/path.h"
#include "matrix/id.h"

static const char *verb(const struct handshake *h)
{
    return h->membership == MEMBERSHIP_LEAVE ? "leave" : membership_text(h->membership);
}

/* ---- the event's place in the graph ---- */

/* "$id", in versions 1 and 2 ["$id", {"sha256": "…"}]. */
static const struct err *read_reference(const struct room_version *v, const json_t *entry,
                                        const char **ret_id, const char **ret_hash)
{
    bool with_hash = v->event_id == EVENT_ID_GIVEN;
    const json_t *id = with_hash ? json_array_get(entry, 0) : entry;
    const char *text = json_string_text(id);
    const char *hash = with_hash ? json_text(json_array_get(entry, 1), "sha256") : NULL;
    if (!text || !id_is_event(str_of(text)))
        return err(ERR_BAD_JSON, "The event's template refers to invalid event ids");
    *ret_id = text;
    *ret_hash = hash ? hash : "";
    return NULL;
}

static const struct err *handshake_read_references(struct arena *a, const struct room_version *v,
                                                   const json_t *event, const char *key, size_t max,
                                                   const char *const **ret_ids,
                                                   const char *const **ret_hashes, size_t *ret_n)
{
    const json_t *list = json_object_get(event, key);
    size_t n = json_array_size(list);
    if (!json_is_array(list) || n > max)
        return err(ERR_BAD_JSON, "The event's template has no usable %s", key);
    const char **ids = arena_alloc_array(a, n + 1, sizeof *ids);
    const char **hashes = arena_alloc_array(a, n + 1, sizeof *hashes);
    for (size_t i = 0; i < n; i++)
        TRY(read_reference(v, json_array_get(list, i), &ids[i], &hashes[i]));
    *ret_ids = ids;
    *ret_hashes = hashes;
    *ret_n = n;
    return NULL;
}

const struct err *handshake_read_place(struct arena *a, const struct room_version *v,
                                       const json_t *event, struct event_template *t)
{
    TRY(json_need_int(event, "depth", &t->depth));
    if (t->depth < 0 || t->depth > CANONICAL_INT_MAX)
        return err(ERR_BAD_JSON, "The event's template has an impossible depth");
    TRY(handshake_read_references(a, v, event, "prev_events", EVENT_PREV_MAX, &t->prev_events,
                                  &t->prev_hashes, &t->prev_n));
    TRY(handshake_read_references(a, v, event, "auth_events", EVENT_AUTH_MAX, &t->auth_events,
                                  &t->auth_hashes, &t->auth_n));
    return t->prev_n ? NULL : err(ERR_BAD_JSON, "The event's template has no prev_events");
}

/* ---- checking the template ---- */

static const struct err *handshake_need(const json_t *event, const char *key, const char *wanted)
{
    const char *got = json_text(event, key);
    return got && strcmp(got, wanted) == 0
               ? NULL
               : err(ERR_BAD_JSON, "The event's template has the wrong %s", key);
}

static const struct err *check_identity(const struct handshake *h, const json_t *event)
{
    TRY(handshake_need(event, "type", "m.room.member"));
    TRY(handshake_need(event, "room_id", h->room_id));
    TRY(handshake_need(event, "sender", h->author->user_id));
    TRY(handshake_need(event, "state_key", h->author->user_id));
    const json_t *content;
    TRY(json_need_object(event, "content", &content));
    return handshake_need(content, "membership", membership_text(h->membership));
}

static const struct err *handshake_read_version(struct handshake *h, const json_t *reply)
{
    const char *id;
    TRY(json_want_string(reply, "room_version", "1", &id));
    h->version = room_version_find(id);
    return h->version ? NULL
                      : err(ERR_INCOMPATIBLE_ROOM_VERSION,
                            "The room has a version that this server does not know");
}

/* Our content, and the authorising user of the template. */
static const struct err *handshake_make_content(struct handshake *h, const json_t *template_content,
                                                struct str *ret)
{
    static const char via[] = "join_authorised_via_users_server";
    json_t *content =
        json_keep(h->job->arena, h->content ? json_copy((json_t *)h->content) : json_object());
    json_object_set_new(content, "membership", json_string(membership_text(h->membership)));
    json_object_del(content, via);
    const char *who = json_text(template_content, via);
    h->is_authorised_by_us = who && h->membership == MEMBERSHIP_JOIN && h->version->restricted;
    if (h->is_authorised_by_us && !id_is_user(str_of(who)))
        return err(ERR_BAD_JSON, "The event's template has no user id as %s", via);
    if (h->is_authorised_by_us)
        json_object_set_new(content, via, json_string(who));
    *ret = str_of(json_write(h->job->arena, content));
    return NULL;
}

/* The template may name event ids that are invalid in that room version, or a version that the room
 * id does not fit: then no server could parse what we sign. */
static const struct err *check_made(const struct event *made)
{
    struct event *again;
    TRY(event_parse(made->version, made->json, &again));
    event_unref(again);
    return NULL;
}

static const struct err *complete(struct handshake *h, const json_t *event)
{
    const struct node *node = h->job->node;
    struct event_template t = {.room_id = h->room_id,
                               .type = "m.room.member",
                               .sender = h->author->user_id,
                               .state_key = h->author->user_id,
                               .origin_server_ts = now_ms()};
    TRY(check_identity(h, event));
    TRY(handshake_read_place(h->job->arena, h->version, event, &t));
    TRY(handshake_make_content(h, json_object_get(event, "content"), &t.content));
    struct event *made;
    TRY(event_build(h->version, &t, node->config->server_name, &node->keys->current, &made));
    h->event = event_keep(h->job->arena, made);
    return check_made(h->event);
}

/* ---- requests ---- */

static const char *handshake_make_path(const struct handshake *h)
{
    struct arena *a = h->job->arena;
    const char *path = federation_path(a, "/_matrix/federation/v1/make_%s/%s/%s", verb(h),
                                       h->room_id, h->author->user_id);
    if (h->membership == MEMBERSHIP_LEAVE)
        return path;
    for (const struct room_version *v = room_versions; v->id; v++)
        path = arena_printf(a, "%s%sver=%s", path, v == room_versions ? "?" : "&", v->id);
    return path;
}

const struct err *handshake_make(struct handshake *h)
{
    struct fed_request r = {.server = h->server,
                            .method = GET,
                            .path = handshake_make_path(h),
                            .timeout_ms = HANDSHAKE_MAKE_TIMEOUT_MS,
                            .reply_max = 2 * EVENT_SIZE_MAX,
                            .now = !h->not_again};
    struct fed_reply reply;
    const json_t *event;
    TRY(federation_request(h->job, &r, &reply));
    TRY(handshake_read_version(h, reply.json));
    TRY(json_need_object(reply.json, "event", &event));
    return complete(h, event);
}

const char *handshake_send_path(const struct handshake *h, int api_version, const char *query)
{
    struct arena *a = h->job->arena;
    const char *path =
        federation_path(a, "/_matrix/federation/%s/send_%s/%s/%s", api_version == 1 ? "v1" : "v2",
                        verb(h), h->room_id, h->event->event_id);
    return arena_printf(a, "%s%s", path, query);
}

/* Some servers only signal it with a status. For rooms of versions 1 and 2 any such status counts:
 * their servers may predate version 2 of the endpoint. */
bool handshake_lacks_v2(const struct room_version *v, const struct err *e)
{
    if (e->code == ERR_UNRECOGNIZED || e->code == ERR_METHOD_NOT_ALLOWED)
        return true;
    if (v->event_id == EVENT_ID_GIVEN)
        return e->answered == 400 || e->answered == 404 || e->answered == 405;
    return e->code == ERR_BAD_STATUS && (e->answered == 404 || e->answered == 405);
}
