#include "server/account/accounts.h"

#include "federation/rooms/join.h"
#include "federation/rooms/leave.h"
#include "rooms/accept/remote_join.h"
#include "rooms/room_cache.h"
#include "rooms/write/append.h"
#include "server/account/credentials.h"
#include "server/account/sessions_end.h"
#include "storage/devices/e2ee_keys.h"
#include "storage/rooms/members.h"
#include "storage/users/erasures.h"
#include "users/profile.h"

enum { PARTING_AT_ONCE = 100 };

static const struct err *write_password(struct job *job, struct write *w, int64_t user,
                                        const char *user_id, const char *hash, bool logout,
                                        int64_t but_device)
{
    users_write_changed(w, user, user_id);
    users_write_password(w, user, hash);
    return logout ? sessions_write_end_all(job, w, user, user_id, but_device) : NULL;
}

const struct err *accounts_set_password(struct job *job, int64_t user, const char *user_id,
                                        const char *password, bool logout, int64_t but_device)
{
    const char *hash;
    TRY(credentials_hash(job, password, &hash));
    struct write *w = write_begin(job);
    const struct err *e = write_password(job, w, user, user_id, hash, logout, but_device);
    if (!e)
        return write_commit(job, w, NULL);
    write_abandon(w);
    return e;
}

/* ---- deactivation ---- */

static bool accounts_is_in(enum membership m)
{
    return m == MEMBERSHIP_JOIN || m == MEMBERSHIP_INVITE || m == MEMBERSHIP_KNOCK;
}

static const struct err *leave_room(struct job *job, int64_t room_id, const struct author *author)
{
    struct room *room;
    const char *event_id;
    TRY(room_get_by_id(job, room_id, &room));
    if (!room || !accounts_is_in(room_membership(room, author->user)))
        return NULL;
    if (!room_is_resident(room))
        return federation_leave_unattended(job, room, author);
    return room_append(job, room, author,
                       &(struct new_event){.type = "m.room.member",
                                           .state_key = author->user_id,
                                           .content = STR("{\"membership\":\"leave\"}")},
                       1, &event_id);
}

/* A refusal in one room does not prevent leaving the others. */
static const struct err *part(struct job *job, int64_t user, const char *user_id)
{
    const struct member_row *rows;
    size_t n;
    int64_t position = feed_position(job->storage->feed);
    TRY(members_of_user(job_tx(job), user, &rows, &n));
    struct author author = {.user = user, .user_id = user_id};
    for (size_t i = 0; i < n; i++) {
        if (!accounts_is_in(rows[i].membership))
            continue;
        arena_auto struct arena *a = arena_create(); /* so that rooms are released soon */
        struct job one;
        job_init(&one, job->node, a);
        const struct err *e = leave_room(&one, rows[i].room, &author);
        job_finish(&one);
        if (e && e->code == ERR_UNAVAILABLE)
            return e;
    }
    struct write *w = write_begin(job);
    users_write_parted(w, user, position);
    return write_commit(job, w, NULL);
}

static const struct err *write_deactivation(struct job *job, struct write *w, int64_t user,
                                            const char *user_id, bool erase)
{
    users_write_changed(w, user, user_id);
    users_write_deactivation(w, user);
    TRY(sessions_write_end_all(job, w, user, user_id, 0));
    e2ee_delete_user(w, user);
    if (!erase)
        return NULL;
    erasures_write(w, user, user_id);
    return profile_write_clear(job, w, user, user_id);
}

const struct err *accounts_deactivate(struct job *job, int64_t user, const char *user_id,
                                      bool erase)
{
    struct write *w = write_begin(job);
    const struct err *e = write_deactivation(job, w, user, user_id, erase);
    if (e) {
        write_abandon(w);
        return e;
    }
    TRY(write_commit(job, w, NULL));
    return part(job, user, user_id);
}

const struct err *accounts_part_all(struct job *job)
{
    const struct account *list;
    size_t n;
    TRY(users_list_parting(job_tx(job), PARTING_AT_ONCE, &list, &n));
    for (size_t i = 0; i < n; i++)
        TRY(part(job, list[i].user, list[i].user_id));
    return NULL;
}
