/* Server-server API, "Presence". */
#include "federation/in/edu_in.h"
#include "users/users.h"

#include "base/clock.h"
#include "federation/in/edu_read.h"
#include "matrix/id.h"
#include "rooms/servers.h"
#include "storage/db/intern.h"
#include "users/presence.h"

enum { PUSH_MAX = 1000 };

static const struct err *edu_in_presence_take(struct job *job, const char *origin,
                                              const json_t *push)
{
    struct presence_push p;
    int64_t user = 0, now = now_ms(), ago;
    if (!edu_read_presence(origin, push, &p))
        return NULL;
    TRY(intern_find(job->storage->intern, INTERN_USER, p.user_id, &user));
    if (!user) /* unknown: shares no room with our users */
        return NULL;
    ago = p.last_active_ago;
    presence_set_remote(job, user, p.user_id, p.state, p.status_msg,
                        ago >= 0 && ago < now ? now - ago : 0);
    return NULL;
}

const struct err *edu_in_presence(struct job *job, const char *origin, const json_t *content)
{
    const json_t *list = json_object_get(content, "push");
    if (!job->users->presence)
        return NULL;
    for (size_t i = 0; i < json_array_size(list) && i < PUSH_MAX; i++)
        TRY(edu_in_presence_take(job, origin, json_array_get(list, i)));
    return NULL;
}
