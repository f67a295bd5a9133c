#include "server/client/member_change.h"

#include "federation/join.h"
#include "rooms/enter.h"

/* Of a room that we have only heard of, by an invite or a knock, there is no create event. */
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

static const struct err *invite(struct job *job, struct room *room, const struct author *author,
                                const struct member_change *change, const char **ret_event_id)
{
    const json_t *content;
    TRY(membership_prepare_invite(job, room, author, change, &content));
    return federation_invite(job, room, author, change->target, content, ret_event_id);
}

static const struct err *leave(struct job *job, struct room *room, const struct author *author,
                               const struct member_change *change, const char **ret_event_id)
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
        return leave(job, room, author, change, ret_event_id);
    return membership_change(job, room, author, change, ret_event_id);
}
