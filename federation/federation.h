/* What federation keeps as long as the process: made by server/node.c after the log is open, found
 * at store->federation. Its threads stop before the committer does. */
#ifndef FEDERATION_FEDERATION_H
#define FEDERATION_FEDERATION_H

#include "http/route.h"
#include "storage/db/job.h"

/* What keeps account of which servers are there: asked before requests that do not insist, and
 * called when one has ended. So no question depends on the queue of what is sent, whose back-off it
 * is. */
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
    struct peer_watch watch;     /* the sender */
    struct inbound *inbound;     /* federation/in/inbound.h */
    struct device_watch
        *device_watch;          /* federation/users/device_watch.h: stale lists of remote devices */
    struct helpers *key_askers; /* federation/helpers.h: for federation/users/remote_keys.h */
    struct tasks *tasks;        /* federation/tasks.h: what is tried again until it is done */
    struct guest_watch *guest_watch;     /* federation/rooms/guests.h */
    struct keyed_lock *joins;            /* federation/keyed_lock.h: one join of a room at a time */
    struct late_receipts *late_receipts; /* federation/in/late_receipts.h: of events to come */
    struct early_pdus *early_pdus; /* federation/in/early_pdus.h: of rooms that are being joined */
    struct pauses *pauses; /* federation/peer/pauses.h: what others want no more of for now */
};

/* threads: false for commands, which only ask. */
const struct err *federation_start(struct node *node, bool threads, struct federation **ret);
/* From now on requests to other servers end within that time, so that no request waits longer. */
void federation_drain(struct federation *f, int within_ms); /* NULL-safe */
void federation_stop(struct federation *f);                 /* ends the threads, once; NULL-safe */
void federation_destroy(struct federation *f); /* when nothing is committed any more; NULL-safe */
void federation_add_metrics(struct federation *f, struct buf *out);

/* Who calls a route with WHO_SERVER. */
struct remote_server {
    const char *name;
};
static inline const struct remote_server *remote_of(const struct request *rq)
{
    return rq->caller;
}

/* The authenticate hook of WHO_SERVER (federation/routes/xmatrix.c): the X-Matrix signature, the
 * destination, closed federation. M_UNAUTHORIZED, M_FORBIDDEN. */
const struct err *federation_authenticate(void *ctx, struct request *rq);
/* The source hook of WHO_SERVER: the server by whose name the request claims to be signed. */
enum source_knowledge federation_source(void *ctx, const struct request *rq,
                                        char ret_name[SOURCE_NAME_MAX]);

#endif
