#include "rooms/room_quota.h"

#include "base/sha256.h"
#include "rooms/room_internal.h"
#include "storage/rooms/rooms.h"

enum { EVENT_BYTES_MAX = 65536 };

const struct err *room_quota_check_made(int64_t made)
{
    return made < ROOMS_OF_USER_MAX
               ? NULL
               : err(ERR_RESOURCE_LIMIT_EXCEEDED, "You have created or joined %d new rooms",
                     ROOMS_OF_USER_MAX);
}

int64_t quota_source_of_server(const char *server)
{
    unsigned char hash[SHA256_BYTES];
    int64_t n;
    sha256(str_of(server), hash);
    memcpy(&n, hash, sizeof n);
    return n < 0 ? n : -1 - n;
}

const struct err *room_quota_check_new(struct job *job, int64_t source)
{
    int64_t most = source > 0 ? ROOMS_OF_USER_MAX : ROOMS_OF_SERVER_MAX, n;
    TRY(rooms_count_of_source(job_tx(job), source, most, &n));
    if (source > 0)
        return room_quota_check_made(n);
    return n < most ? NULL
                    : err(ERR_RESOURCE_LIMIT_EXCEEDED,
                          "Your server has invited to %d rooms that none of our users is in",
                          ROOMS_OF_SERVER_MAX);
}

const struct err *room_quota_check_invite(struct job *job, int64_t user, const char *server)
{
    int64_t n, of_server;
    TRY(members_count_invites(job_tx(job), user, server, INVITES_MAX, &n, &of_server));
    return n < INVITES_MAX && of_server < INVITES_OF_SERVER_MAX
               ? NULL
               : err(ERR_RESOURCE_LIMIT_EXCEEDED, "The user has too many pending invites");
}

const struct err *room_quota_check_state_locked(struct room *room, const char *sender)
{
    size_t n = 0, bytes = 0;
    if (room->state_but_members_n < STATE_BYTES_OF_SENDER_MAX / EVENT_BYTES_MAX)
        return NULL;
    for (struct map_slot *s = NULL; (s = map_next(&room->state, s));) {
        const struct event *e = ((const struct room_state_slot *)s->value)->event;
        if (strcmp(e->sender, sender) != 0 || strcmp(e->type, "m.room.member") == 0)
            continue;
        n++;
        bytes += e->json.n;
    }
    return n < STATE_OF_SENDER_MAX && bytes < STATE_BYTES_OF_SENDER_MAX
               ? NULL
               : err(ERR_TOO_LARGE, "You have set too much state in this room");
}
