/* The conditions of the authorization rules that are not about membership or power-level events. */
#include "matrix/auth/auth_internal.h"
#include "matrix/id.h"
#include "matrix/json_scan.h"

enum membership auth_membership_in(const struct event *member)
{
    if (!member)
        return MEMBERSHIP_NONE;
    struct str raw = json_scan_get(member->content, "membership");
    if (!raw.p)
        return MEMBERSHIP_NONE;
    enum membership m = membership_parse_raw(raw);
    return m != MEMBERSHIP_NONE ? m : MEMBERSHIP_UNKNOWN;
}

enum membership auth_membership_of(const struct auth_case *c, const char *user_id)
{
    return auth_membership_in(c->s->get(c->s, "m.room.member", user_id));
}

bool auth_same_server(const char *id, const char *other_id)
{
    struct str server = id_server(str_of(id)), other = id_server(str_of(other_id));
    return server.n > 0 && str_eq(server, other);
}

const json_t *auth_content_of(const struct auth_state *s, const char *type, const char *state_key)
{
    const struct event *e = s->get(s, type, state_key);
    return e ? event_content(e) : NULL;
}

bool is_create(struct auth_case *c)
{
    return c->kind == KIND_CREATE;
}

bool is_aliases(struct auth_case *c)
{
    return c->kind == KIND_ALIASES;
}

bool is_member(struct auth_case *c)
{
    return c->kind == KIND_MEMBER;
}

bool is_third_party_invite(struct auth_case *c)
{
    return c->kind == KIND_THIRD_PARTY_INVITE;
}

bool is_power_levels(struct auth_case *c)
{
    return c->kind == KIND_POWER_LEVELS;
}

bool is_redaction(struct auth_case *c)
{
    return c->kind == KIND_REDACTION;
}

bool has_prev_events(struct auth_case *c)
{
    return c->e->prev_n > 0;
}

bool room_is_not_of_senders_server(struct auth_case *c)
{
    return !auth_same_server(c->e->room_id, c->e->sender);
}

/* If the event has no room_id, the struct's is derived: so this reads the PDU itself. */
bool has_room_id_of_its_own(struct auth_case *c)
{
    return json_scan_get(c->e->json, "room_id").p != NULL;
}

bool room_version_is_unknown(struct auth_case *c)
{
    const json_t *version = json_object_get(event_content(c->e), "room_version");
    const char *id = json_string_text(version);
    if (!version || (id && room_version_find(id)))
        return false;
    return auth_because(c, "The room version %.40s is not known here", id ? id : "of the room");
}

bool has_no_creator(struct auth_case *c)
{
    return !json_object_get(event_content(c->e), "creator");
}

static bool is_user_id(const json_t *v)
{
    return json_is_string(v) &&
           id_is_user((struct str){json_string_value(v), json_string_length(v)});
}

bool additional_creators_are_malformed(struct auth_case *c)
{
    const json_t *creators = json_object_get(event_content(c->e), "additional_creators"), *creator;
    if (!creators)
        return false;
    if (!json_is_array(creators))
        return true;
    size_t i;
    json_array_foreach ((json_t *)creators, i, creator)
        if (!is_user_id(creator))
            return true;
    return false;
}

bool room_id_is_not_of_create_event(struct auth_case *c)
{
    return !c->create || c->e->room_id[0] != '!' ||
           strcmp(c->e->room_id + 1, c->create->event_id + 1) != 0;
}

bool room_has_no_create_event(struct auth_case *c)
{
    return !c->create;
}

bool room_is_closed_to_senders_server(struct auth_case *c)
{
    return json_is_false(json_object_get(event_content(c->create), "m.federate")) &&
           !auth_same_server(c->e->sender, c->create->sender);
}

bool has_no_state_key(struct auth_case *c)
{
    return !c->e->state_key;
}

bool state_key_is_not_senders_server(struct auth_case *c)
{
    return !str_is(id_server(str_of(c->e->sender)), c->e->state_key);
}

bool sender_is_not_joined(struct auth_case *c)
{
    if (auth_membership_of(c, c->e->sender) == MEMBERSHIP_JOIN)
        return false;
    return auth_because(c, "%.100s is not in the room", c->e->sender);
}

bool sender_may_invite(struct auth_case *c)
{
    return !auth_sender_lacks(c, auth_power_for(c->s, c->v, "invite"), "to invite");
}

bool sender_lacks_required_power(struct auth_case *c)
{
    int64_t needed = auth_power_to_send(c->s, c->v, c->e->type, c->e->state_key != NULL);
    return auth_sender_lacks(c, needed, "to send this event");
}

bool state_key_is_another_user(struct auth_case *c)
{
    const char *key = c->e->state_key;
    return key && key[0] == '@' && strcmp(key, c->e->sender) != 0;
}

bool sender_may_redact(struct auth_case *c)
{
    return auth_sender_power(c) >= auth_power_for(c->s, c->v, "redact");
}

bool redacts_event_of_same_server(struct auth_case *c)
{
    return c->e->redacts && auth_same_server(c->e->redacts, c->e->event_id);
}
