#include "rooms/guests.h"

#include "rooms/membership.h"
#include "storage/intern.h"

static const struct err *may_be_in(struct job *job, struct room *room, bool *ret)
{
    const char *access;
    TRY(room_state_text(job, room, "m.room.guest_access", "guest_access", &access));
    *ret = access && strcmp(access, "can_join") == 0;
    return NULL;
}

const struct err *guests_check_access(struct job *job, struct room *room)
{
    bool may;
    TRY(may_be_in(job, room, &may));
    return may ? NULL : err(ERR_GUEST_ACCESS_FORBIDDEN, "Guests may not join this room");
}

const struct err *guests_remove_one(struct job *job, struct room *room, const struct author *guest)
{
    const char *event_id;
    struct member_change leave = {.action = MEMBER_LEAVE, .target = guest->user_id};
    const struct err *e = membership_change(job, room, guest, &leave, &event_id);
    bool is_out = room_membership(room, guest->user) != MEMBERSHIP_JOIN; /* another was first */
    return is_out ? NULL : e;
}

const struct err *guests_remove(struct job *job, struct room *room)
{
    bool may;
    const int64_t *guests;
    size_t n;
    TRY(may_be_in(job, room, &may));
    if (may)
        return NULL;
    TRY(members_guests(job_tx(job), room->id, &guests, &n));
    for (size_t i = 0; i < n; i++) {
        struct author guest = {.user = guests[i]};
        TRY(intern_name(job->store->intern, INTERN_USER, guest.user, &guest.user_id));
        TRY(guests_remove_one(job, room, &guest));
    }
    return NULL;
}
