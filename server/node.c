#include "server/node.h"

#include "base/worker/worker.h"
#include "federation/room_tasks.h"
#include "rooms/read/search_index.h"
#include "server/cli/data_dir.h"
#include "server/node_parts.h"
#include "server/node_rates.h"
#include "server/push/push.h"
#include "server/server.h"
#include "storage/db/committer.h"
#include "storage/db/epochs.h"
#include "storage/db/log.h"
#include "storage/db/session_check.h"
#include "storage/nodes/follower.h"
#include "storage/nodes/lease.h"
#include "storage/schema/deployment.h"
#include "storage/schema/migrate.h"
#include "storage/schema/schema_check.h"
#include "users/presence.h"
#include "users/typing.h"

#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

enum { FEED_ENTRIES = 1 << 16, FEED_SHARE = 4 };

static const struct err *find_database(struct running_node *n, enum node_kind kind)
{
    const struct config *config = n->node.config;
    struct data_dir_owner running = {0};
    TRY(kind == NODE_SERVER ? data_dir_make(config) : data_dir_need(config));
    TRY(data_dir_lock(n->arena, config->data_dir, &n->lock_fd, &running));
    if (n->lock_fd < 0 && kind == NODE_SERVER)
        return err(ERR_INVALID_PARAM, "Another server is using the data directory %s",
                   config->data_dir);
    if (config->database)
        n->uri = config->database;
    else if (n->lock_fd < 0)
        n->uri = running.uri;
    else if (kind == NODE_COMMAND && !embedded_exists(config->data_dir))
        return err(ERR_INVALID_PARAM,
                   "There is no database in %.120s, and `database` is not set: set it as "
                   "`concorde serve` has it",
                   config->data_dir);
    else
        TRY(embedded_start(config->data_dir, &n->embedded, &n->uri));
    if (!n->uri)
        return err(ERR_UNAVAILABLE, "The server is just starting or stopping; try again");
    return NULL;
}

static const struct err *read_signing_keys(struct running_node *n, enum node_kind kind)
{
    const struct signing_key *keys;
    size_t keys_n;
    TRY(data_dir_signing_keys(n->arena, n->node.config, kind == NODE_SERVER, &keys, &keys_n));
    n->keys =
        (struct signing_keys){.current = keys[0], .further = keys + 1, .further_n = keys_n - 1};
    return NULL;
}

/* The process stops itself with a signal, as an operator would; server/serve.c reports the failure.
 */
static void on_lost(void *ctx, const char *why)
{
    struct running_node *n = ctx;
    log_error("this server cannot go on and stops: %s", why);
    n->is_lost = true;
    if (n->kind == NODE_SERVER)
        kill(getpid(), SIGTERM);
}

/* `concorde drain`. */
static void on_drain(void *ctx)
{
    struct running_node *n = ctx;
    if (!n->server.is_stopping && !atomic_exchange(&n->is_asked_to_stop, true))
        kill(getpid(), SIGTERM);
}

static const struct err *node_open_log(struct running_node *n, enum node_kind kind)
{
    struct node *s = &n->node;
    int64_t position;
    struct tx tx;
    tx_init(&tx, s->storage->db, n->arena);
    const struct err *e = log_position(&tx, &position);
    tx_finish(&tx);
    TRY(e);
    size_t bytes = (size_t)s->config->cache_size, of_feed = bytes / FEED_SHARE;
    const struct node_sizes sizes = {FEED_ENTRIES, of_feed, bytes - of_feed};
    TRY(node_create_parts(s, &sizes, position, kind == NODE_SERVER, n->listeners));
    const struct committer_settings settings = {.log = {.uri = n->uri,
                                                        .feed = s->storage->feed,
                                                        .epochs = s->storage->epochs,
                                                        .is_server = kind == NODE_SERVER,
                                                        .data_dir = s->config->data_dir,
                                                        .on_lost = on_lost,
                                                        .on_drain = on_drain,
                                                        .ctx = n},
                                                .statement_timeout_ms =
                                                    (int)s->config->database_statement_timeout_ms};
    TRY(committer_start(&settings, &s->storage->committer));
    tx_init(&tx, s->storage->db, n->arena);
    e = epochs_load(s->storage->epochs, &tx);
    tx_finish(&tx);
    return e;
}

static int64_t count_nodes(void *view)
{
    return log_view_count(view);
}

/* From now on this node takes leases. */
static void node_start_leases(struct node *s)
{
    struct log_view *view = committer_view(s->storage->committer);
    leases_set_node(
        s->storage->leases,
        &(struct lease_settings){.node = view->node, .live_nodes = count_nodes, .of = view});
    leases_start(s->storage->leases);
}

/* Whether the data is complete, and belongs to this server. */
static const struct err *check_data(struct tx *tx, const struct config *config, enum node_kind kind,
                                    bool had_key)
{
    bool is_new;
    TRY(schema_check(tx));
    TRY(deployment_check(tx, config->server_name, kind == NODE_SERVER, &is_new));
    if (!had_key && !is_new)
        log_warn("%s did not exist: this server signs with a new key from now on. If there is a "
                 "backup of the old one, restore it",
                 config->signing_key_path);
    return NULL;
}

static const struct err *open_database(struct running_node *n, enum node_kind kind, bool had_key)
{
    struct node *s = &n->node;
    int applied = 0;
    if (kind == NODE_SERVER && s->config->database)
        TRY(session_check(n->uri));
    TRY(kind == NODE_SERVER ? migrate(n->uri, &applied) : migrate_check(n->uri));
    if (applied)
        log_info("database: applied %d migrations", applied);
    TRY(db_open(n->uri, (int)s->config->database_connections, &s->storage->db));
    if (kind == NODE_SERVER && s->config->database_replica)
        TRY(db_use_replica(s->storage->db, s->config->database_replica,
                           (int)s->config->database_connections));
    struct tx tx;
    tx_init(&tx, s->storage->db, n->arena);
    const struct err *e = check_data(&tx, s->config, kind, had_key);
    tx_finish(&tx);
    return e;
}

/* Another node has given back leases. */
static void on_lease(void *leases, const char *payload)
{
    leases_look(leases);
}

/* Nodes came or went: the leases are shared out anew, and a new one learns who types. */
static void on_members(void *of)
{
    struct node *s = of;
    leases_look(s->storage->leases);
    typing_share(s->users->typing);
    room_tasks_look(s->federation);
}

static const struct err *follow_log(struct running_node *n)
{
    n->channels[0] = (struct follower_channel){"concorde_lease", on_lease, n->storage.leases};
    n->channels[1] =
        (struct follower_channel){NODE_RATES_CHANNEL, node_rates_on_notify, n->server.rates};
    n->channels[2] =
        (struct follower_channel){ROOM_TASKS_CHANNEL, room_tasks_on_notify, n->node.federation};
    const struct follower_settings settings = {.uri = n->uri,
                                               .view = committer_view(n->storage.committer),
                                               .on_members = on_members,
                                               .ctx = &n->node,
                                               .channels = n->channels};
    TRY(follower_start(&settings, &n->storage.follower));
    n->rates = node_rates_start(&n->node);
    return NULL;
}

static const struct err *server_node_start(struct running_node *n, enum node_kind kind)
{
    struct node *s = &n->node;
    TRY(find_database(n, kind));
    bool had_key = access(s->config->signing_key_path, F_OK) == 0;
    TRY(read_signing_keys(n, kind));
    TRY(open_database(n, kind, had_key));
    TRY(node_open_log(n, kind));
    if (kind == NODE_SERVER)
        TRY(follow_log(n));
    if (kind == NODE_SERVER)
        TRY(presence_start(s->users->presence, n->arena));
    if (kind == NODE_SERVER)
        search_indexer_start(s->rooms->indexer);
    if (kind == NODE_SERVER)
        federation_start(s->federation);
    if (kind == NODE_SERVER)
        pushes_start(s->server->pushes);
    if (kind == NODE_SERVER)
        node_start_leases(s);
    if (kind == NODE_SERVER)
        TRY(data_dir_publish(n->lock_fd, n->uri));
    return NULL;
}

const struct err *node_start(struct running_node *n, const struct config *config,
                             enum node_kind kind)
{
    *n = (struct running_node){.node = {.config = config,
                                        .keys = &n->keys,
                                        .storage = &n->storage,
                                        .rooms = &n->rooms,
                                        .users = &n->users,
                                        .server = &n->server},
                               .arena = arena_create(),
                               .lock_fd = -1,
                               .kind = kind};
    const struct err *e = server_node_start(n, kind);
    if (e)
        node_stop(n);
    return e;
}

void node_stop(struct running_node *n)
{
    struct node *s = &n->node;
    leases_give_back(s->storage->leases);
    pushes_stop(s->server->pushes);
    federation_stop(s->federation);
    typing_stop(s->users->typing);
    presence_stop(s->users->presence);
    search_indexer_stop(s->rooms->indexer);
    worker_kind_destroy(n->rates);
    follower_stop(s->storage->follower);
    committer_stop(s->storage->committer);
    node_destroy_parts(s);
    if (s->storage->db)
        db_close(s->storage->db);
    embedded_stop(n->embedded);
    if (n->lock_fd >= 0)
        close(n->lock_fd);
    arena_destroy(n->arena);
    *n = (struct running_node){.lock_fd = -1};
}
