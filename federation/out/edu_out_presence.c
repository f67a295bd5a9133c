/* m.presence of our users (server-server-api, "Presence"). */
#include "federation/out/edu_out.h"
#include "users/users.h"

#include "base/clock.h"
#include "matrix/id.h"
#include "rooms/room_cache.h"
#include "rooms/servers.h"
#include "users/presence.h"

enum { PUSH_AT_ONCE = 50, ACTIVE_MS = 60 * 1000 };

static const char *state_name(enum presence_state s)
{
    return s == PRESENCE_ONLINE ? "online" : s == PRESENCE_UNAVAILABLE ? "unavailable" : "offline";
}

static void add_push(struct buf *out, const struct presence_row *r)
{
    int64_t ago =
        r->last_active_ts && r->last_active_ts < now_ms() ? now_ms() - r->last_active_ts : 0;
    buf_printf(out, "%s{\"currently_active\":%s,\"last_active_ago\":%lld,\"presence\":\"%s\"",
               out->n ? "," : "", r->state == PRESENCE_ONLINE && ago < ACTIVE_MS ? "true" : "false",
               (long long)ago, state_name(r->state));
    if (r->status_msg) {
        BUF_LIT(out, ",\"status_msg\":");
        buf_add_json_string(out, str_of(r->status_msg));
    }
    BUF_LIT(out, ",\"user_id\":");
    buf_add_json_string(out, str_of(r->user_id));
    buf_add_char(out, '}');
}

/* from 0: the server is sent all who are online. */
static const struct err *is_sent(struct job *job, const struct presence_update *p,
                                 const char *server, int64_t from, bool *ret)
{
    *ret = false;
    if (from == 0 && p->row.state == PRESENCE_OFFLINE)
        return NULL;
    if (!id_is_local(job->node, p->row.user_id))
        return NULL;
    for (size_t i = 0; i < p->rooms_n && !*ret; i++) {
        struct room *room;
        TRY(room_get_by_id(job, p->rooms[i], &room));
        *ret = room && room_has_server(room, server);
    }
    return NULL;
}

static void edu_out_presence_add_edu(struct arena *a, struct edu_list *l, struct buf *pushes)
{
    if (!pushes->n)
        return;
    const char *content = arena_printf(a, "{\"push\":[%s]}", buf_str(pushes).p);
    edu_list_add(a, l, 0, "m.presence", str_of(content));
    buf_clear(pushes);
}

const struct err *edu_out_presence(struct job *job, const char *server, int64_t from,
                                   int64_t *until, struct edu_list *l)
{
    const struct presence_update *list;
    size_t n, in_edu = 0;
    buf_auto struct buf pushes = {0};
    if (!job->users->presence)
        return NULL;
    presence_list_updates(job, from, *until, &list, &n);
    for (size_t i = 0; i < n; i++) {
        bool sent;
        TRY(is_sent(job, &list[i], server, from, &sent));
        if (!sent)
            continue;
        add_push(&pushes, &list[i].row);
        if (++in_edu % PUSH_AT_ONCE == 0)
            edu_out_presence_add_edu(job->arena, l, &pushes);
    }
    edu_out_presence_add_edu(job->arena, l, &pushes);
    return NULL;
}
