/* Server-server API, "Typing Notifications". */
#include "federation/in/edu_in.h"
#include "users/users.h"

#include "federation/in/edu_read.h"
#include "rooms/room_cache.h"
#include "rooms/servers.h"
#include "storage/db/intern.h"
#include "users/typing.h"

enum { TYPING_MS = 60 * 1000 }; /* servers repeat it sooner while the user types */

const struct err *edu_in_typing(struct job *job, const char *origin, const json_t *content)
{
    struct typing_edu t;
    struct room *room;
    int64_t user = 0;
    TRY(edu_read_typing(origin, content, &t));
    TRY(room_get(job, t.room_id, &room));
    TRY(room_check_acl(job, room, origin));
    TRY(intern_find(job->storage->intern, INTERN_USER, t.user_id, &user));
    if (!user)
        return err(ERR_FORBIDDEN, "%s is not in the room", t.user_id);
    TRY(room_need_joined(room, user));
    return typing_set(job, room->id, user, t.user_id, t.typing ? TYPING_MS : 0);
}
