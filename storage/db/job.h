/* What every request or background job carries: its arena and its database connection. */
#ifndef STORAGE_DB_JOB_H
#define STORAGE_DB_JOB_H

#include "base/config/config.h"
#include "matrix/id.h"
#include "matrix/sign.h"
#include "storage/db/db.h"

struct auth;
struct cache_budget; /* base/cache.h */
struct committer;
struct epochs;
struct feed;
struct intern;
struct room_cache;    /* rooms/room.h */
struct auth_indexes;  /* rooms/state/auth_index.h */
struct session_table; /* users/session.h */
struct txn_memory;
struct device_states; /* users/device_state.h */
struct message_quota; /* users/message_quota.h */
struct directory;     /* rooms/read/directory.h */
struct media_repo;    /* server/media/repo.h */
struct federation;    /* federation/federation.h */
struct erasures;      /* rooms/read/erasure.h */

/* One server process and what lives as long as it. Made by server/node.c, shared by all threads. */
struct node {
    const struct config *config;
    struct signing_key signing_key;
    const struct signing_key *further_keys; /* further lines of the key file: published, unused */
    size_t further_keys_n;
    struct db *db;
    _Atomic int64_t
        schema_good_until; /* mono_ms() until which the schema need not be checked again */
    struct committer *committer;
    struct feed *feed;
    struct cache_budget *caches; /* the memory of all caches */
    struct epochs *epochs;       /* storage/db/epochs.h */
    struct intern *intern;
    struct room_cache *rooms;
    struct auth_indexes *auth_indexes;
    struct session_table *sessions;
    struct txn_memory *txns;             /* rooms/write/txn.h */
    struct typing *typing;               /* users/typing.h */
    struct presence_table *presence;     /* users/presence.h; NULL: switched off */
    struct unread_cache *unread;         /* users/unread.h */
    struct device_states *device_states; /* users/device_state.h */
    struct message_quota *message_quota; /* users/message_quota.h */
    struct directory *directory;         /* rooms/read/directory.h */
    struct filter_cache *filters;        /* users/filters.h */
    struct account_cache *account_cache; /* rooms/account_cache.h */
    struct erasures *erasures;           /* rooms/read/erasure.h */
    struct auth *auth;                   /* server/account/auth.h */
    struct media_repo *media;            /* server/media/repo.h */
    struct federation *federation;       /* federation/federation.h; NULL: not started */
};

/* Whether an id of a user, room, alias or event (NULL: no) names this server, or another one. A
 * room id without a server part is neither. */
static inline bool id_is_local(const struct node *node, const char *id)
{
    return id_is_of(id, node->config->server_name);
}
static inline bool id_is_remote(const struct node *node, const char *id)
{
    return id && id_server(str_of(id)).n && !id_is_local(node, id);
}

struct job {
    struct node *node;
    struct arena *arena;
    struct tx tx; /* statements outside of an explicit transaction: job_tx(job) */
};

void job_init(struct job *job, struct node *node, struct arena *arena);
void job_finish(struct job *job); /* gives the connection back; the arena is the caller's */

/* From now on everything is allocated in that arena, for piecewise work in bounded memory. */
void job_use_arena(struct job *job, struct arena *arena);

static inline struct tx *job_tx(struct job *job)
{
    return &job->tx;
}

#endif
