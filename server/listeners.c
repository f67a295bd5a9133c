#include "server/listeners.h"

#include "federation/federation.h"
#include "federation/in/inbound.h"
#include "federation/out/sender.h"
#include "federation/rooms/guests.h"
#include "rooms/account_cache.h"
#include "rooms/read/directory.h"
#include "rooms/read/erasure.h"
#include "rooms/read/outlines.h"
#include "rooms/read/search_index.h"
#include "rooms/room_cache.h"
#include "rooms/rooms.h"
#include "rooms/state/auth_index.h"
#include "server/account/auth.h"
#include "server/push/push.h"
#include "server/server.h"
#include "users/presence.h"
#include "users/session.h"
#include "users/typing.h"
#include "users/unread.h"
#include "users/users.h"

/* Readers are woken, and writers answered, after all of them: each finds an ended token forgotten,
 * for example. So an order is only needed where a listener, or a thread that it wakes at once,
 * looks at what another one keeps. */
#define AFTER(listener) (1u << LISTENER_##listener)

static const struct {
    void (*on_changes)(void *ctx, const struct change *changes, size_t n);
    void (*on_settled)(void *ctx);
    unsigned after; /* those that must come before it */
} table[LISTENERS_N] = {
    [LISTENER_AUTH] = {auth_on_changes},
    [LISTENER_ERASURES] = {erasures_on_changes},
    [LISTENER_ROOMS] = {room_cache_on_changes},
    [LISTENER_AUTH_INDEXES] = {auth_indexes_on_changes},
    [LISTENER_SESSIONS] = {session_table_on_changes, session_table_on_settled},
    [LISTENER_DIRECTORY] = {directory_on_changes},
    [LISTENER_OUTLINES] = {outlines_on_changes},
    [LISTENER_ACCOUNT_CACHE] = {account_cache_on_changes},
    [LISTENER_TYPING] = {typing_on_changes},
    [LISTENER_UNREAD] = {unread_cache_on_changes},
    [LISTENER_PRESENCE] = {presence_on_changes, presence_on_settled},
    [LISTENER_SEARCH] = {search_indexer_on_changes, search_indexer_on_settled},
    /* The servers of a room are found in the room as it is after the changes. */
    [LISTENER_SENDER] = {sender_on_changes, .after = AFTER(ROOMS)},
    /* Wakes threads that accept events, on the room's state. */
    [LISTENER_INBOUND] = {inbound_on_changes, .after = AFTER(ROOMS)},
    /* Wakes a thread that looks for guests in the room, and at its guest access. */
    [LISTENER_GUESTS] = {guest_watch_on_changes, .after = AFTER(ROOMS)},
    [LISTENER_PUSHES] = {pushes_on_changes, pushes_on_settled},
};

bool listener_follows(enum listener later, enum listener earlier)
{
    return table[later].after & 1u << earlier;
}

/* What it belongs to; NULL: this node has none. */
static void *listener_ctx(struct node *node, enum listener l)
{
    const struct federation *f = node->federation;
    switch (l) {
    case LISTENER_AUTH:
        return node->server->auth;
    case LISTENER_ERASURES:
        return node->rooms->erasures;
    case LISTENER_ROOMS:
        return node->rooms->cache;
    case LISTENER_AUTH_INDEXES:
        return node->rooms->auth_indexes;
    case LISTENER_SESSIONS:
        return node->users->sessions;
    case LISTENER_DIRECTORY:
        return node->rooms->directory;
    case LISTENER_OUTLINES:
        return node->rooms->outlines;
    case LISTENER_ACCOUNT_CACHE:
        return node->rooms->account_cache;
    case LISTENER_TYPING:
        return node->users->typing;
    case LISTENER_UNREAD:
        return node->users->unread;
    case LISTENER_PRESENCE:
        return node->users->presence;
    case LISTENER_SEARCH:
        return node->rooms->indexer;
    case LISTENER_SENDER:
        return f ? f->sender : NULL;
    case LISTENER_INBOUND:
        return f ? f->inbound : NULL;
    case LISTENER_GUESTS:
        return f ? f->guest_watch : NULL;
    case LISTENER_PUSHES:
        return node->server->pushes;
    case LISTENERS_N:
        break;
    }
    return NULL;
}

size_t listeners_of(struct node *node, struct feed_listener ret[static LISTENERS_N])
{
    size_t n = 0;
    for (enum listener l = 0; l < LISTENERS_N; l++) {
        void *ctx = listener_ctx(node, l);
        if (ctx)
            ret[n++] = (struct feed_listener){table[l].on_changes, table[l].on_settled, ctx};
    }
    return n;
}
