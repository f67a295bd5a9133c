#include "server/client/room/member_change.h"

#include "federation/peer/request.h"
#include "federation/rooms/invite.h"
#include "federation/rooms/join.h"
#include "federation/rooms/leave.h"
#include "federation/routes/query.h"
#include "federation/users/query_ask.h"
#include "matrix/id.h"
#include "rooms/accept/remote_join.h"

enum { PROFILE_TEXT_MAX = 1024 }; /* bytes of another server's */

/* A room known only from an invite or a knock has no create event. */
const struct err *member_room_is_here(struct job *job, struct room *room, bool *ret)
{
    const struct event *create = NULL;
    *ret = room_is_resident(room);
    if (!*ret && room_joined_count(room) == 0)
        TRY(room_state(job, room, "m.room.create", "", &create));
    *ret |= create != NULL;
    return NULL;
}

static bool leaves_elsewhere(struct job *job, struct room *room, const struct member_change *change)
{
    bool here = true;
    return change->action == MEMBER_LEAVE && !member_room_is_here(job, room, &here) && !here;
}

bool member_change_is_remote(struct job *job, struct room *room, const struct member_change *change)
{
    return membership_is_remote_invite(job, change) || leaves_elsewhere(job, room, change);
}

/* Adds the invited user's profile from their server. If the server is unreachable, it cannot sign
 * the invite either. */
static const struct err *member_change_add_profile(struct job *job, const char *user_id,
                                                   json_t *content)
{
    static const char *const keys[] = {"displayname", "avatar_url"};
    const json_t *profile;
    const struct err *e = federation_get_profile(job, user_id, NULL, &profile);
    if (e)
        return e->code == ERR_CONNECTION_FAILED || e->code == ERR_CONNECTION_TIMEOUT ? e : NULL;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const char *text = json_text(profile, keys[i]);
        if (text && strlen(text) <= PROFILE_TEXT_MAX && !json_object_get(content, keys[i]))
            json_object_set_new(content, keys[i], json_string(text));
    }
    return NULL;
}

static const struct err *invite(struct job *job, struct room *room, const struct author *author,
                                const struct member_change *change, const char **ret_event_id)
{
    json_t *content;
    TRY(membership_prepare_invite(job, room, author, change, &content));
    if (federation_may_contact(job->config, str_dup(job->arena, id_server(str_of(change->target)))))
        TRY(member_change_add_profile(job, change->target, content));
    return federation_invite(job, room, author, change->target, content, ret_event_id);
}

static const struct err *member_change_leave(struct job *job, struct room *room,
                                             const struct author *author,
                                             const struct member_change *change,
                                             const char **ret_event_id)
{
    json_t *content = change->content ? json_copy((json_t *)change->content) : json_object();
    json_keep(job->arena, content);
    if (change->reason)
        json_object_set_new(content, "reason", json_string(change->reason));
    *ret_event_id = NULL;
    return federation_leave(job, room->room_id, author, content);
}

const struct err *member_change_apply(struct job *job, struct room *room,
                                      const struct author *author,
                                      const struct member_change *change, const char **ret_event_id)
{
    if (membership_is_remote_invite(job, change))
        return invite(job, room, author, change, ret_event_id);
    if (leaves_elsewhere(job, room, change))
        return member_change_leave(job, room, author, change, ret_event_id);
    return membership_change(job, room, author, change, ret_event_id);
}
