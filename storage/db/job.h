/* What every request or background job carries: its arena, its database connection, and what it
 * works on. */
#ifndef STORAGE_DB_JOB_H
#define STORAGE_DB_JOB_H

#include "base/config/config.h"
#include "matrix/id.h"
#include "matrix/sign.h"
#include "storage/db/db.h"
#include "storage/db/storage.h"

struct cache_budget; /* base/cache.h */
struct rooms;        /* rooms/rooms.h */
struct users;        /* users/users.h */
struct federation;   /* federation/federation.h */
struct server;       /* server/server.h */

/* One process, or one of several in a test: what each floor owns as long as it lives. Made by
 * server/node.c, shared by all threads. Storage does not look behind the names of the floors above
 * it. */
struct node {
    const struct config *config;
    const struct signing_keys *keys;
    struct cache_budget *caches; /* the memory of all caches */
    struct storage *storage;
    struct rooms *rooms;
    struct users *users;
    struct federation *federation; /* NULL: not started */
    struct server *server;
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
    const struct node *node; /* for what outlives the job, and for id_is_local() */
    /* What the node points to: most code of a job uses nothing else of it. */
    const struct config *config;
    const struct signing_keys *keys;
    struct storage *storage;
    struct rooms *rooms;
    struct users *users;
    struct federation *federation;
    struct server *server;
    struct arena *arena;
    struct tx tx;         /* statements outside of an explicit transaction: job_tx(job) */
    struct tx replica_tx; /* job_replica_tx(job) */
};

void job_init(struct job *job, const struct node *node, struct arena *arena);
void job_finish(struct job *job); /* gives the connection back; the arena is the caller's */

/* From now on everything is allocated in that arena, for piecewise work in bounded memory. */
void job_use_arena(struct job *job, struct arena *arena);

static inline struct tx *job_tx(struct job *job)
{
    return &job->tx;
}

/* For large reads of which the result goes only into a reply: a replica may answer them, as of the
 * first such read of the job, or later. */
static inline struct tx *job_replica_tx(struct job *job)
{
    return &job->replica_tx;
}

/* From now on such reads see all that is committed. */
static inline void job_renew_replica_tx(struct job *job)
{
    job->replica_tx.need = (struct replica_need){0};
}

#endif
