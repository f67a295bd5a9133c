#include "storage/db/job.h"

void job_init(struct job *job, const struct node *node, struct arena *arena)
{
    *job = (struct job){.node = node,
                        .config = node->config,
                        .keys = node->keys,
                        .storage = node->storage,
                        .rooms = node->rooms,
                        .users = node->users,
                        .federation = node->federation,
                        .server = node->server,
                        .arena = arena};
    tx_init(&job->tx, node->storage->db, arena);
    tx_init(&job->replica_tx, node->storage->db, arena);
    job->replica_tx.may_lag = true;
}

void job_finish(struct job *job)
{
    tx_finish(&job->replica_tx);
    tx_finish(&job->tx);
}

void job_use_arena(struct job *job, struct arena *arena)
{
    job->arena = arena;
    job->tx.arena = job->replica_tx.arena = arena;
}
