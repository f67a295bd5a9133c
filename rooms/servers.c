#include "rooms/servers.h"
#include "rooms/rooms.h"

#include "base/mem.h"
#include "matrix/id.h"
#include "matrix/server_acl.h"
#include "rooms/room_internal.h"
#include "storage/servers/server_rooms.h"

#include <stdatomic.h>

/* A server in a room. */
struct room_server {
    int64_t joined; /* members */
    bool named;     /* listed by the resident server, while the state is partial */
    char name[];
};

/* ---- counting ---- */

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
    if (s->joined > 0 || s->named)
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

void room_servers_add_named_locked(struct room *r, const char *server)
{
    server_of_locked(r, str_of(server))->named = true;
}

void room_servers_finish(struct room *r)
{
    for (struct map_slot *slot = NULL; (slot = map_next(&r->servers, slot));)
        free(slot->value);
    map_finish(&r->servers);
}

/* ---- reading ---- */

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
        if (!config_is_own_server(job->config, s->name))
            list[n++] = arena_strdup(job->arena, s->name);
    }
    *ret = list;
    *ret_n = n;
}

bool room_each_server(struct node *node, int64_t room, int64_t until,
                      void (*each)(void *ctx, const char *server), void *ctx)
{
    struct room *r = room_take_cached(node->rooms->cache, room);
    if (!r)
        return false;
    lock_take(&r->lock);
    bool is_as_of = r->state_position <= until;
    for (struct map_slot *slot = NULL; is_as_of && (slot = map_next(&r->servers, slot));) {
        const struct room_server *s = slot->value;
        if (!config_is_own_server(node->config, s->name))
            each(ctx, s->name);
    }
    lock_release(&r->lock);
    room_give_back(node->rooms->cache, r);
    return is_as_of;
}

int64_t room_server_joined(struct node *node, int64_t room, const char *server)
{
    struct room *r = room_take_cached(node->rooms->cache, room);
    if (!r)
        return 0;
    lock_take(&r->lock);
    const struct room_server *s = map_get(&r->servers, str_of(server));
    int64_t joined = s ? s->joined : 0;
    lock_release(&r->lock);
    room_give_back(node->rooms->cache, r);
    return joined;
}

bool room_was_joined_with(struct node *node, int64_t room, int64_t position)
{
    struct room *r = room_take_cached(node->rooms->cache, room);
    if (!r)
        return false;
    bool joined_at = room_join_position(r) == position;
    room_give_back(node->rooms->cache, r);
    return joined_at;
}

/* Recent results of ACL checks: a list of thousands of patterns takes milliseconds, and is checked
 * for each EDU and for each server that is sent an event. The lowest bit of a word is the result,
 * the others are of the keyed hash of the arguments. */
enum { ACL_ANSWERS = 16384 };
static _Atomic uint64_t acl_answers[ACL_ANSWERS];

static bool acl_allows(const struct event *acl, const char *server)
{
    /* The length distinguishes a redacted list from the original. */
    uint64_t parts[3] = {hash_bytes(acl->event_id, strlen(acl->event_id)), acl->content.n,
                         hash_bytes(server, strlen(server))};
    uint64_t asked = hash_bytes(parts, sizeof parts) & ~UINT64_C(1);
    _Atomic uint64_t *slot = &acl_answers[(asked >> 1) % ACL_ANSWERS];
    uint64_t known = atomic_load_explicit(slot, memory_order_relaxed);
    if ((known & ~UINT64_C(1)) == asked)
        return known & 1;
    bool allows = server_acl_allows(event_content(acl), server);
    atomic_store_explicit(slot, asked | allows, memory_order_relaxed);
    return allows;
}

const struct err *room_check_acl(struct job *job, struct room *r, const char *server)
{
    const struct event *acl;
    TRY(room_state(job, r, "m.room.server_acl", "", &acl));
    if (!acl || acl_allows(acl, server))
        return NULL;
    return err(ERR_FORBIDDEN, "The room's access control list denies %s", server);
}
