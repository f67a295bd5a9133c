#include "rooms/guests.h"

#include "rooms/write/membership.h"
#include "storage/db/intern.h"

static const struct err *may_be_in(struct basis *on, bool *ret)
{
    const struct event *e;
    TRY(basis_state(on, "m.room.guest_access", "", &e));
    const char *access = e ? json_text(event_content(e), "guest_access") : NULL;
    *ret = access && strcmp(access, "can_join") == 0;
    return NULL;
}

const struct err *guests_check_access(struct basis *on)
{
    bool may;
    TRY(may_be_in(on, &may));
    return may ? NULL : err(ERR_GUEST_ACCESS_FORBIDDEN, "Guests may not join this room");
}

const struct err *guests_remove_one(struct job *job, struct room *room, const struct author *guest)
{
    const char *event_id;
    struct member_change leave = {.action = MEMBER_LEAVE, .target = guest->user_id};
    const struct err *e = membership_change(job, room, guest, &leave, &event_id);
    bool is_out = room_membership(room, guest->user) != MEMBERSHIP_JOIN; /* by another thread */
    return is_out ? NULL : e;
}

const struct err *guests_remove(struct job *job, struct room *room)
{
    bool may;
    const int64_t *guests;
    size_t n;
    struct basis on;
    basis_init_committed(&on, job, room);
    TRY(may_be_in(&on, &may));
    if (may)
        return NULL;
    TRY(members_guests(job_tx(job), room->id, &guests, &n));
    for (size_t i = 0; i < n; i++) {
        struct author guest = {.user = guests[i]};
        TRY(intern_name(job->storage->intern, INTERN_USER, guest.user, &guest.user_id));
        TRY(guests_remove_one(job, room, &guest));
    }
    return NULL;
}
