#include "federation/peer/candidates.h"

#include "base/clock.h"
#include "federation/peer/request.h"
#include "matrix/id.h"
#include "matrix/json_scan.h"
#include "rooms/room_cache.h"
#include "rooms/servers.h"
#include "storage/db/intern.h"
#include "storage/rooms/events.h"

static bool candidates_has(const struct candidates *c, const char *server)
{
    for (size_t i = 0; i < c->n; i++)
        if (strcmp(c->servers[i], server) == 0)
            return true;
    return false;
}

static void candidates_add(struct job *job, struct candidates *c, struct str server)
{
    const struct config *config = job->config;
    if (!id_is_server_name(server))
        return;
    const char *name = str_dup(job->arena, server);
    if (config_is_own_server(config, name))
        return;
    if (!federation_may_contact(config, name))
        c->left_out = true;
    else if (c->n < CANDIDATES_MAX && !candidates_has(c, name))
        c->servers[c->n++] = name;
}

/* The servers of the senders of the stripped state: in version 12 the room id names no server. */
static void add_writers(struct job *job, struct str stripped, struct candidates *c)
{
    struct json_member entry;
    for (size_t pos = 0; stripped.p && json_scan_next(stripped, &pos, &entry);) {
        const char *sender = json_scan_string(job->arena, json_scan_get(entry.value, "sender"));
        if (sender)
            candidates_add(job, c, id_server(str_of(sender)));
    }
}

/* The servers of the sender of the user's member event, and of the senders of its stripped
 * state. */
static const struct err *add_inviter(struct job *job, struct room *room, const char *user_id,
                                     struct candidates *c)
{
    int64_t user;
    const struct stored_event *e = NULL;
    struct str stripped;
    TRY(intern_find(job->storage->intern, INTERN_USER, user_id, &user));
    struct room_member member = user ? room_member(room, user) : (struct room_member){0};
    if (member.membership == MEMBERSHIP_NONE)
        return NULL;
    TRY(events_get(job_tx(job), member.position, &e));
    if (e)
        candidates_add(job, c, id_server(str_of(e->event->sender)));
    TRY(members_stripped(job_tx(job), room->id, user, &stripped));
    add_writers(job, stripped, c);
    return NULL;
}

const struct err *candidates_find(struct job *job, const char *room_id, const char *user_id,
                                  const struct via *via, struct candidates *ret)
{
    struct candidates c = {0};
    struct room *room;
    for (size_t i = 0; via && i < via->n; i++)
        candidates_add(job, &c, str_of(via->servers[i]));
    TRY(room_find(job, room_id, &room));
    if (room)
        TRY(add_inviter(job, room, user_id, &c));
    candidates_add(job, &c, id_server(str_of(room_id)));
    const char *const *servers = NULL;
    size_t n = 0;
    if (room)
        room_list_servers(job, room, &servers, &n);
    for (size_t i = 0; i < n && c.n < CANDIDATES_MAX; i++)
        candidates_add(job, &c, str_of(servers[i]));
    *ret = c;
    return NULL;
}

/* ---- asking ---- */

bool candidate_was_away(const struct err *e)
{
    return e->code == ERR_CONNECTION_FAILED || e->code == ERR_CONNECTION_TIMEOUT ||
           e->code == ERR_BAD_STATUS || e->code == ERR_LIMIT_EXCEEDED;
}

static int weight(const struct err *e)
{
    return candidate_was_away(e) ? 0 : e->code == ERR_NOT_FOUND ? 1 : 2;
}

/* Our own failures: they would be the same with other servers. */
static bool candidates_is_local_failure(const struct err *e)
{
    return e->code == ERR_INTERNAL || e->code == ERR_UNAVAILABLE;
}

/* Errors of the other server about our request, or of ours about its reply, cannot be fixed by the
 * client (server-server-api, send_join, 400). */
static void blame_server(struct err *e, const char *server)
{
    if (e->errcode[0]) /* the other server's */
        return;
    switch (e->code) {
    case ERR_MISSING_PARAM:
    case ERR_INVALID_PARAM:
    case ERR_BAD_JSON:
    case ERR_NOT_JSON:
    case ERR_TOO_LARGE:
    case ERR_UNKNOWN:
    case ERR_UNRECOGNIZED:
    case ERR_UNAUTHORIZED:
        *e = *err(ERR_BAD_STATUS, "%s and this server did not understand each other: %s", server,
                  e->text);
        break;
    default:
        break;
    }
}

const struct err *candidates_ask(const struct candidates *c, int64_t time_ms, candidate_fn *ask,
                                 void *ctx)
{
    int64_t deadline = mono_ms() + time_ms;
    struct err best;
    bool any = false;
    for (size_t i = 0; i < c->n && mono_ms() < deadline; i++) {
        const struct err *e = ask(ctx, c->servers[i]);
        if (!e || candidates_is_local_failure(e))
            return e;
        struct err said = *e;
        blame_server(&said, c->servers[i]);
        if (!any || weight(&said) >= weight(&best))
            best = said;
        any = true;
        if (said.code == ERR_INCOMPATIBLE_ROOM_VERSION)
            break;
    }
    if (any)
        return err_copy(&best);
    return c->left_out ? err(ERR_FORBIDDEN, "This server may not contact any server of that room")
                       : err(ERR_NOT_FOUND, "No server in that room is known");
}
