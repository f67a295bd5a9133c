#include "rooms/state/restricted.h"

#include "rooms/accept/remote_join.h"
#include "rooms/accept/resync.h"
#include "rooms/room_cache.h"
#include "rooms/servers.h"

enum { ROOMS_MAX = 64 }; /* conditions that are read */

static const struct err *read_rule(struct basis *on, const json_t **ret)
{
    const struct room *room = on->room;
    const struct event *e;
    TRY(basis_state(on, "m.room.join_rules", "", &e));
    const char *rule = e ? json_text(event_content(e), "join_rule") : NULL;
    bool restricted =
        rule && ((room->version->restricted && strcmp(rule, "restricted") == 0) ||
                 (room->version->knock_restricted && strcmp(rule, "knock_restricted") == 0));
    *ret = restricted ? event_content(e) : NULL;
    return NULL;
}

/* By the committed state of the allowing rooms, since there is no order between rooms. server: any
 * user of it, instead of the user. */
static const struct err *is_allowed(struct job *job, const json_t *rule, int64_t user,
                                    const char *server, bool *ret)
{
    const json_t *allow = json_object_get(rule, "allow");
    *ret = false;
    for (size_t i = 0; i < json_array_size(allow) && i < ROOMS_MAX && !*ret; i++) {
        const json_t *condition = json_array_get(allow, i);
        const char *type = json_text(condition, "type"), *id = json_text(condition, "room_id");
        struct room *other = NULL;
        if (type && id && strcmp(type, "m.room_membership") == 0)
            TRY(room_find(job, id, &other));
        *ret = other && (server ? room_has_server(other, server)
                                : room_membership(other, user) == MEMBERSHIP_JOIN);
    }
    return NULL;
}

const struct err *restricted_is_allowed(struct job *job, struct room *room, int64_t user, bool *ret)
{
    const json_t *rule;
    struct basis on;
    basis_init_committed(&on, job, room);
    TRY(read_rule(&on, &rule));
    *ret = false;
    return rule ? is_allowed(job, rule, user, NULL, ret) : NULL;
}

const struct err *restricted_is_allowed_server(struct job *job, struct room *room,
                                               const char *server, bool *ret)
{
    const json_t *rule;
    struct basis on;
    basis_init_committed(&on, job, room);
    TRY(read_rule(&on, &rule));
    *ret = false;
    return rule ? is_allowed(job, rule, 0, server, ret) : NULL;
}

const struct err *restricted_applies(struct basis *on, bool *ret)
{
    const json_t *rule;
    TRY(read_rule(on, &rule));
    *ret = rule;
    return NULL;
}

/* Do we know the members of every room that a condition names? */
static const struct err *knows_all(struct job *job, const json_t *rule, bool *ret)
{
    const json_t *allow = json_object_get(rule, "allow");
    size_t n = json_array_size(allow);
    *ret = n <= ROOMS_MAX;
    for (size_t i = 0; i < n && *ret; i++) {
        const char *id = json_text(json_array_get(allow, i), "room_id");
        struct room *other = NULL;
        if (!id)
            continue;
        TRY(room_find(job, id, &other));
        *ret = other && room_is_resident(other) && !room_is_partial(other);
    }
    return NULL;
}

const struct err *restricted_check_remote(struct basis *on, int64_t user)
{
    const json_t *rule;
    bool allowed = false, knows = true;
    TRY(read_rule(on, &rule));
    if (rule && user)
        TRY(is_allowed(on->job, rule, user, NULL, &allowed));
    if (allowed)
        return NULL;
    if (rule)
        TRY(knows_all(on->job, rule, &knows));
    return knows ? err(ERR_FORBIDDEN,
                       "The user is in none of the rooms whose members may join this one")
                 : err(ERR_UNABLE_TO_AUTHORISE_JOIN,
                       "This server does not know the members of the rooms whose members may join");
}

const struct err *restricted_find_authoriser(struct basis *on, int64_t user, const char **ret)
{
    const struct room_version *version = on->room->version;
    const json_t *rule;
    bool allowed = false;
    *ret = NULL;
    TRY(read_rule(on, &rule));
    if (rule)
        TRY(is_allowed(on->job, rule, user, NULL, &allowed));
    if (!allowed)
        return NULL;
    const struct room_member *members;
    size_t n;
    struct auth_state state;
    TRY(basis_power(on, &state));
    int64_t needed = auth_power_for(&state, version, "invite");
    basis_list_joined(on, &members, &n);
    for (size_t i = 0; i < n; i++) {
        enum membership m;
        if (auth_power_of_user(&state, version, members[i].user_id) < needed)
            continue;
        TRY(basis_membership(on, members[i].user_id, &m));
        if (m != MEMBERSHIP_JOIN)
            continue;
        *ret = members[i].user_id;
        return NULL;
    }
    return err(ERR_UNABLE_TO_GRANT_JOIN, "No user of this server may let you into the room");
}
