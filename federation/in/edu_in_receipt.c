/* Server-server API, "Receipts". Private receipts (m.read.private) are never federated. */
#include "federation/in/edu_in.h"

#include "federation/federation.h"
#include "federation/in/edu_read.h"
#include "federation/in/late_receipts.h"
#include "rooms/room_cache.h"
#include "rooms/servers.h"
#include "storage/db/intern.h"
#include "users/receipts.h"

enum { LOOKED_AT_MAX = 500 }; /* rooms and receipts of one EDU */

/* left: how many more may be examined. */
static const struct err *take_readers(struct job *job, const char *origin, struct room *room,
                                      const json_t *readers, size_t *left)
{
    struct receipt *list;
    size_t n = 0, read_n = edu_read_receipts(job->arena, origin, readers, left, &list);
    for (size_t i = 0; i < read_n; i++) {
        list[n] = list[i];
        TRY(intern_find(job->storage->intern, INTERN_USER, list[n].user_id, &list[n].user));
        n += list[n].user && room_membership(room, list[n].user) == MEMBERSHIP_JOIN;
    }
    if (!n)
        return NULL;
    TRY(receipts_set_remote(job, room, list, n));
    for (size_t i = 0; i < n; i++)
        if (!list[i].event)
            late_receipts_keep(job->federation->late_receipts, room->id, &list[i]);
    return NULL;
}

/* A room that we do not know, or that denies the server, does not affect the others. */
static const struct err *take_room(struct job *job, const char *origin, const char *room_id,
                                   const json_t *types, size_t *left)
{
    struct room *room;
    const json_t *readers = json_object_get(types, "m.read");
    if (!json_is_object(readers))
        return NULL;
    TRY(room_find(job, room_id, &room));
    const struct err *e = room ? room_check_acl(job, room, origin) : NULL;
    if (!room || (e && e->code == ERR_FORBIDDEN))
        return NULL;
    return e ? e : take_readers(job, origin, room, readers, left);
}

const struct err *edu_in_receipt(struct job *job, const char *origin, const json_t *content)
{
    size_t left = LOOKED_AT_MAX;
    const char *room_id;
    json_t *types;
    json_object_foreach ((json_t *)content, room_id, types) {
        if (!left)
            break;
        left--;
        TRY(take_room(job, origin, room_id, types, &left));
    }
    return NULL;
}
