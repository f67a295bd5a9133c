#include "rooms/servers.h"

#include "base/mem.h"
#include "matrix/id.h"
#include "matrix/server_acl.h"
#include "rooms/room_internal.h"
#include "storage/server_rooms.h"

/* A server in a room. */
struct room_server {
    int64_t joined; /* members */
    bool told;      /* by the resident, while the member list is not complete */
    char name[];
};

/* ---- keeping count ---- */

static struct room_server *server_of_locked(struct room *r, struct str name)
{
    struct room_server *s = map_get(&r->servers, name);
    if (s)
        return s;
    s = mem_zalloc(sizeof *s + name.n + 1);
    memcpy(s->name, name.p, name.n);
    map_put(&r->servers, (struct str){s->name, name.n}, s);
    return s;
}

static void drop_if_gone_locked(struct room *r, struct room_server *s)
{
    if (s->joined > 0 || s->told)
        return;
    map_remove(&r->servers, str_of(s->name));
    free(s);
}

void room_servers_count_locked(struct room *r, const char *user_id, int by)
{
    struct room_server *s = server_of_locked(r, id_server(str_of(user_id)));
    s->joined += by;
    drop_if_gone_locked(r, s);
}

void room_servers_tell_locked(struct room *r, const char *server)
{
    server_of_locked(r, str_of(server))->told = true;
}

void room_servers_finish(struct room *r)
{
    for (struct map_slot *slot = NULL; (slot = map_next(&r->servers, slot));)
        free(slot->value);
    map_finish(&r->servers);
}

/* ---- asking ---- */

bool room_has_server(struct room *r, const char *server)
{
    LOCKED(&r->lock);
    return map_get(&r->servers, str_of(server)) != NULL;
}

void room_list_servers(struct job *job, struct room *r, const char *const **ret, size_t *ret_n)
{
    LOCKED(&r->lock);
    const char **list = arena_alloc_array(job->arena, r->servers.n + 1, sizeof *list);
    size_t n = 0;
    for (struct map_slot *slot = NULL; (slot = map_next(&r->servers, slot));) {
        const struct room_server *s = slot->value;
        if (strcmp(s->name, job->store->config->server_name) != 0)
            list[n++] = arena_strdup(job->arena, s->name);
    }
    *ret = list;
    *ret_n = n;
}

bool room_each_server(struct store *store, int64_t room,
                      void (*each)(void *ctx, const char *server), void *ctx)
{
    struct room *r = room_take_cached(store->rooms, room);
    if (!r)
        return false;
    lock_take(&r->lock);
    for (struct map_slot *slot = NULL; (slot = map_next(&r->servers, slot));) {
        const struct room_server *s = slot->value;
        if (strcmp(s->name, store->config->server_name) != 0)
            each(ctx, s->name);
    }
    lock_release(&r->lock);
    room_give_back(store->rooms, r);
    return true;
}

int64_t room_server_joined(struct store *store, int64_t room, const char *server)
{
    struct room *r = room_take_cached(store->rooms, room);
    if (!r)
        return 0;
    lock_take(&r->lock);
    const struct room_server *s = map_get(&r->servers, str_of(server));
    int64_t joined = s ? s->joined : 0;
    lock_release(&r->lock);
    room_give_back(store->rooms, r);
    return joined;
}

bool room_entered_with(struct store *store, int64_t room, int64_t position)
{
    struct room *r = room_take_cached(store->rooms, room);
    if (!r)
        return false;
    bool entered = room_entered(r) == position;
    room_give_back(store->rooms, r);
    return entered;
}

const struct err *room_check_acl(struct job *job, struct room *r, const char *server)
{
    const struct event *acl;
    TRY(room_state(job, r, "m.room.server_acl", "", &acl));
    if (server_acl_allows(acl ? event_content(acl) : NULL, server))
        return NULL;
    return err(ERR_FORBIDDEN, "The room's access control list denies %s", server);
}
