/* The parts of federation, which live as long as the process: created by server/node.c before
 * the committer starts, found at node->federation. Its threads stop before the committer does. */
#ifndef FEDERATION_FEDERATION_H
#define FEDERATION_FEDERATION_H

#include "http/request.h"
#include "storage/db/job.h"

#include <stdatomic.h>

/* Tracks which servers are reachable. Requests that do not insist ask it first, and each that ends
 * reports to it. It uses the sender's back-off, but no request depends on the sender's queue. */
struct peer_watch {
    void *of;
    bool (*is_backed_off)(void *of, const char *server);
    void (*request_ended)(void *of, const char *server, bool reached);
};

struct federation {
    struct node *node;
    struct http_client *http;    /* http/client/client.h */
    struct discovery *discovery; /* federation/peer/discovery.h */
    struct keyring *keyring;     /* federation/keys/keyring.h */
    struct answers *answers;     /* federation/peer/answers.h */
    struct sender *sender;       /* federation/out/sender.h */
    struct peer_watch watch;     /* implemented by the sender */
    struct inbound *inbound;     /* federation/in/inbound.h */
    struct device_watch
        *device_watch;          /* federation/users/device_watch.h: stale lists of remote devices */
    struct helpers *key_askers; /* federation/helpers.h: for federation/users/remote_keys.h */
    struct helpers *judges;     /* for the signatures of many events; NULL: one processor */
    struct worker_pool *tasks;  /* federation/tasks.h: work that is retried until it is done */
    struct worker_kind *resyncs, *leaves, *early, *old_gaps; /* its kinds */
    struct task_kind *task_kinds;                            /* what they are */
    struct lease_job *room_lease;                            /* federation/room_tasks.h */
    struct guest_watch *guest_watch;                         /* federation/rooms/guests.h */
    struct keyed_lock *joins;            /* federation/keyed_lock.h: one join of a room at a time */
    struct late_receipts *late_receipts; /* federation/in/late_receipts.h: for events to come */
    struct worker_kind *receipts;        /* retries them */
    atomic_bool is_draining;             /* other nodes are not waited for any more */
    struct pauses *pauses; /* federation/peer/pauses.h: rate limits of other servers */
};

/* Without its threads; node->federation is set. */
const struct err *federation_create(struct node *node);
void federation_start(struct federation *f); /* its threads, once the committer runs */
/* From now on every request to another server ends within that time. The leases may be given back
 * afterwards. */
void federation_drain(struct federation *f, int within_ms); /* NULL-safe */
void federation_stop(struct federation *f);                 /* ends the threads, once; NULL-safe */
void federation_destroy(struct federation *f); /* once nothing is committed any more; NULL-safe */
void federation_add_metrics(struct federation *f, struct buf *out);

/* The caller of a route with WHO_SERVER. */
struct remote_server {
    const char *name;
};
static inline const struct remote_server *remote_of(const struct request *rq)
{
    return rq->caller;
}

/* The authenticate hook of WHO_SERVER (federation/routes/xmatrix.c): checks the X-Matrix signature,
 * the destination, and closed federation. M_UNAUTHORIZED, M_FORBIDDEN. */
const struct err *federation_authenticate(void *ctx, struct request *rq);
/* The source hook of WHO_SERVER: the server that the request claims to be from. */
enum source_knowledge federation_source(void *ctx, const struct request *rq,
                                        char ret_name[SOURCE_NAME_MAX]);

#endif
