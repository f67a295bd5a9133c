#include "server/node_parts.h"

#include "base/cache.h"
#include "base/sha256.h"
#include "federation/federation.h"
#include "http/rate.h"
#include "rooms/account_cache.h"
#include "rooms/read/directory.h"
#include "rooms/read/erasure.h"
#include "rooms/read/outlines.h"
#include "rooms/read/search_index.h"
#include "rooms/room_cache.h"
#include "rooms/rooms.h"
#include "rooms/state/auth_index.h"
#include "rooms/write/txn.h"
#include "server/account/auth.h"
#include "server/media/repo.h"
#include "server/push/push.h"
#include "server/server.h"
#include "server/sliding/connections.h"
#include "server/sliding/requests.h"
#include "storage/db/epochs.h"
#include "storage/db/feed.h"
#include "storage/db/intern.h"
#include "storage/job_pool.h"
#include "storage/nodes/lease.h"
#include "users/device_state.h"
#include "users/filters.h"
#include "users/message_quota.h"
#include "users/presence.h"
#include "users/session.h"
#include "users/typing.h"
#include "users/unread.h"
#include "users/users.h"

/* The nodes of a deployment share the signing key, and nothing else that is secret. */
static struct rate_table *make_rates(const struct signing_key *key)
{
    const struct str parts[] = {STR("rate limits"),
                                {(const char *)key->secret, sizeof key->secret}};
    unsigned char hash[SHA256_BYTES];
    sha256_parts(parts, sizeof parts / sizeof *parts, hash);
    return rate_table_create(hash);
}

const struct err *node_create_parts(struct node *node, const struct node_sizes *sizes,
                                    int64_t position, bool is_server,
                                    struct feed_listener listeners[static LISTENERS_N])
{
    node_pools_create(node);
    if (is_server)
        node->storage->leases = leases_create(node);
    node->storage->feed = feed_create(sizes->feed_entries, sizes->feed_bytes, position);
    node->caches = cache_budget_create(sizes->cache_bytes);
    node->storage->epochs = epochs_create();
    node->storage->intern = intern_create(node->storage->db);
    node->server->auth = auth_create(node);
    node->rooms->erasures = erasures_create(node);
    node->users->device_states = device_states_create(node->caches);
    node->users->message_quota = message_quota_create();
    node->rooms->cache = room_cache_create(node);
    node->rooms->auth_indexes = auth_indexes_create(node);
    node->users->sessions = session_table_create(node);
    node->rooms->directory = directory_create(node);
    node->rooms->outlines = outlines_create(node->caches);
    node->rooms->txns = txn_memory_create(node->caches);
    node->server->sliding = sliding_create(node->caches);
    node->server->requests = sliding_requests_create(node->caches);
    node->users->filters = filter_cache_create(node->caches);
    node->rooms->account_cache = account_cache_create(node);
    node->users->typing = typing_create(node);
    node->users->unread = unread_cache_create(node);
    if (node->config->presence_enabled)
        node->users->presence = presence_create(node);
    node->rooms->indexer = search_indexer_create(node);
    node->server->media = media_repo_create();
    node->server->rates = make_rates(&node->keys->current);
    if (is_server)
        TRY(federation_create(node));
    if (is_server)
        TRY(pushes_create(node));
    feed_set_listeners(node->storage->feed, listeners, listeners_of(node, listeners));
    return NULL;
}

void node_destroy_parts(struct node *node)
{
    pushes_destroy(node->server->pushes);
    federation_destroy(node->federation);
    search_indexer_destroy(node->rooms->indexer);
    auth_destroy(node->server->auth);
    erasures_destroy(node->rooms->erasures);
    presence_destroy(node->users->presence);
    unread_cache_destroy(node->users->unread);
    typing_destroy(node->users->typing);
    account_cache_destroy(node->rooms->account_cache);
    filter_cache_destroy(node->users->filters);
    rate_table_destroy(node->server->rates);
    media_repo_destroy(node->server->media);
    sliding_requests_destroy(node->server->requests);
    sliding_destroy(node->server->sliding);
    txn_memory_destroy(node->rooms->txns);
    outlines_destroy(node->rooms->outlines);
    session_table_destroy(node->users->sessions);
    directory_destroy(node->rooms->directory);
    auth_indexes_destroy(node->rooms->auth_indexes);
    room_cache_destroy(node->rooms->cache);
    device_states_destroy(node->users->device_states);
    message_quota_destroy(node->users->message_quota);
    leases_destroy(node->storage->leases);
    node_pools_destroy(node);
    if (node->storage->intern)
        intern_destroy(node->storage->intern);
    cache_budget_destroy(node->caches);
    if (node->storage->feed)
        feed_destroy(node->storage->feed);
    epochs_destroy(node->storage->epochs);
}
