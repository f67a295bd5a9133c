/* Shared by the files of http/: the server, its loops and pools, and the life of one request.
 *
 * An exchange belongs to its connection and serves one request after the other. It has one owner at
 * a time: the loop's thread reads the request, then a worker (or none, while it is parked) has it,
 * then the loop sends the reply. Only a streamed reply has two owners; the loop's lock guards what
 * they share. */
#ifndef HTTP_INTERNAL_H
#define HTTP_INTERNAL_H

#include "base/budget.h"
#include "base/lock.h"
#include "base/sha256.h"
#include "http/connections.h"
#include "http/fair_queue.h"
#include "http/proxy.h"
#include "http/query.h"
#include "http/rate.h"
#include "http/router.h"
#include "http/server.h"

#include <microhttpd.h>
#include <stdatomic.h>

/* What the loop's thread is doing with a connection. */
enum phase {
    PHASE_HEAD,  /* waiting for or reading a request's head */
    PHASE_BODY,  /* reading its body */
    PHASE_ADMIT, /* an upload whose head a worker is checking */
    PHASE_WORK,  /* with the workers, or parked */
    PHASE_REPLY, /* sending */
};

/* Who runs the handler next. A wake moves RUNNING to WOKEN and PARKED to QUEUED. */
enum run_state {
    RUN_NONE,    /* no handler has it */
    RUN_RUNNING, /* a worker has it, or it is queued for its first run */
    RUN_WOKEN,   /* the same, and it must run again instead of being parked */
    RUN_PARKED,
    RUN_QUEUED, /* woken, waiting for a worker */
};

enum { BODY_UNKNOWN = -1 }; /* chunked */

/* Exists only while a handler runs. */
struct run {
    bool left; /* the exchange has left its source in this pool: the worker reports it */
    const char *params[ROUTER_PARAMS_MAX];
    struct url_query query;
    bool admitting; /* only the head of an upload is checked */
};

struct stream {
    struct buf data; /* the loop sends it from `taken` on, then the file */
    size_t taken;
    int file; /* the rest for a slow client; -1: none was needed */
    int64_t file_written, file_taken;
    pthread_cond_t moved; /* the loop took something, or the client went */
    bool starved;         /* the loop found nothing and suspended the connection */
    bool ended;           /* nothing follows */
    bool broken;          /* the handler failed: the connection must be cut */
    bool gone;            /* the client went */
    bool in_worker;       /* a worker still has the exchange */
    bool closed;          /* the connection is closed: the worker frees the exchange */
};

struct exchange {
    struct request rq; /* first, so that a request can be cast to its exchange */
    struct http_server *server;
    struct loop *loop;
    struct daemon_slot *daemon;
    struct MHD_Connection *mhd;
    int fd;
    uint64_t key; /* of its address among the connections */

    struct exchange *before, *after; /* the loop's list of connections */
    struct exchange *next;           /* in a queue: pool, woken, done */
    struct exchange *next_begun;     /* in the loop's list of those that await a body */
    bool is_begun;
    enum phase phase;
    int64_t phase_since_ms;
    int64_t announced; /* bytes of the body by its head, or BODY_UNKNOWN */
    int64_t received;  /* so far */

    char *uri; /* as sent; split at the '?' */
    size_t uri_size;
    const char *query;
    struct router_match match;
    struct buf body;
    size_t body_max;
    size_t body_drawn; /* from the budget of all bodies */
    uint64_t body_of;  /* the source that it was drawn for */
    bool keeps_body;   /* otherwise what arrives is dropped */
    bool unread_body;  /* refused while the body was still arriving */
    bool ends;         /* the connection, with this reply */
    bool admitted;     /* BODY_FILE: its head was checked */
    bool charged;      /* the rate limit was applied */
    bool counted_active;
    bool secure;

    atomic_int run_state;
    atomic_bool hung_up; /* the client closed its side: not worth parking */
    atomic_bool gone;    /* it closed both sides: no answer can reach it */
    bool was_parked;     /* before this run */
    bool bearer_is_hashed;
    unsigned char bearer_hash[SHA256_BYTES];
    bool last_run; /* the server stops: a further wait is refused */
    struct run *run;
    struct queue_source *source; /* in the queue of its pool, from submit to its end */
    int64_t queued_us, busy_us;
    int64_t deadline_ms;   /* while parked; guarded by the loop's lock, as the next two */
    size_t deadline_place; /* in the loop's heap, counted from 1; 0: not in it */
    bool expired;

    struct MHD_Response *response;
    int status;
    struct stream *stream;
    struct address peer, client;
    bool peer_is_local; /* a unix socket */
    char address[INET6_ADDRSTRLEN];
    char id[20];
};

/* Connections come in kinds: plain (0), and one kind for each TLS listener. A loop has SLOTS
 * daemons of each kind, since to resume one connection libmicrohttpd walks over all that its daemon
 * has suspended. */
enum { SLOTS = 16 };

struct daemon_slot {
    struct loop *loop;
    struct MHD_Daemon *mhd;
    int epoll_fd;
    int connections_n;
    int64_t due_ms; /* when its next timeout is */
    bool due;       /* it must run now */
    bool tls;
};

/* A connection on its way from the thread that accepts to its loop. */
struct newcomer {
    int fd;
    size_t kind;
    uint64_t key;
    socklen_t address_n;
    struct sockaddr_storage address;
};

/* A connection that ends, but whose client may still send. */
struct lingering {
    int fd;
    int64_t until_ms;
};

enum { LINGER_MAX = 64 };

struct loop {
    struct http_server *server;
    pthread_t thread;
    bool started;
    int epoll_fd, event_fd;
    struct daemon_slot *daemons;
    size_t daemons_n;
    struct exchange *connections;
    struct exchange *begun; /* those whose head announced a body, in this run of their daemon */
    int64_t swept_ms;
    struct lingering lingering[LINGER_MAX];
    size_t lingering_n;
    atomic_int connections_n;
    _Atomic(struct exchange *) done; /* a stack of exchanges to be resumed */
    atomic_bool sleeping;
    atomic_bool wake_all;    /* wake every parked request */
    atomic_ullong displace;  /* key of the address whose connections to close; 0: none */
    int64_t displace_due_ms; /* not before */
    struct lock lock;        /* guards the members below, parked deadlines and streams */
    struct exchange **deadlines;
    size_t deadlines_n, deadlines_size;
    struct newcomer *newcomers;
    size_t newcomers_n, newcomers_size;
    struct newcomer arriving; /* while MHD_add_connection runs */
};

struct worker {
    struct pool *pool;
    pthread_t thread;
    bool started;
    pthread_cond_t called;
    bool awake;
    struct worker *next_idle;
    struct arena *arena;
    void *job;
};

struct pool {
    struct http_server *server;
    enum route_pool kind;
    struct lock lock;
    struct fair_queue queue;
    unsigned long refused; /* because their source had too many */
    unsigned long moved;   /* here from another pool */
    struct worker
        *idle; /* the last to fall asleep is the first to be called: its caches are warm */
    int busy;
    bool stopping;
    _Atomic(struct exchange *) woken; /* a stack: parked requests to run again */
    struct worker *workers;
    int workers_n;
};

struct listening {
    int fd;
    size_t kind;
    char *unix_path; /* to be unlinked */
    bool more;       /* the last accept left some waiting */
};

enum { LATENCY_BUCKETS = 10 };

/* The replies of one route and class of status; times are from the end of the head to the reply. */
struct answered {
    atomic_ulong n, us, by_time[LATENCY_BUCKETS];
};

struct metrics {
    struct answered *by_class; /* routes_n + 1 rows (the last: no route) of 5 status classes */
    atomic_ulong limited[RATE_COUNT]; /* 429 */
    atomic_ulong latency[LATENCY_BUCKETS + 1];
    atomic_ulong latency_us, accepted;
    atomic_int active;  /* requests between their last byte and their reply's */
    atomic_int working; /* of them, queued, running or parked */
    atomic_int parked;
};

struct http_server {
    struct http_hooks hooks;
    struct rate_limit rates[RATE_COUNT];
    size_t body_max, upload_max;
    char *upload_dir;
    int idle_timeout_s, connections_max, cpus;
    struct address_ranges *proxies;
    struct router *router;
    struct rate_table *rate_table; /* borrowed */
    struct pool pools[POOL_COUNT];
    struct loop *loops;
    int loops_n;
    struct listening *listening;
    size_t listening_n;
    struct http_listener *tls; /* by kind, from 1: the PEM texts, not their paths */
    size_t kinds_n;
    bool accepting;       /* this and the next two: the first loop only */
    int refused_at;       /* connections when descriptors ran out; 0: they have not */
    int64_t made_room_ms; /* mono_unmoved_ms */
    struct metrics metrics;
    struct connections connections;
    struct budget bodies; /* bytes of bodies in memory, beyond a few KiB of each */
    atomic_int connections_n;
    atomic_ulong next_id;
    unsigned id_prefix;
    atomic_bool leaving;  /* connections end with their next reply */
    atomic_bool stopping; /* drain */
    atomic_bool aborting; /* run no further handler */
    atomic_bool quit;     /* the loops end */
};

/* listen.c */
const struct err *listen_open(const struct http_listener *l, struct listening *ret);
void listen_close(struct listening *l);
int listen_port(const struct listening *l);
void listen_accept(struct loop *l, size_t listening);
/* Accepts more if more waited than are accepted at once: between other work of the loop, or new
 * clients would fill the kernel's queue, and have to try again after a second. */
void listen_accept_more(struct loop *l);
void listen_watch(struct http_server *s); /* by the first loop, in every round */

/* daemon.c */
const struct err *daemon_start(struct loop *l, const struct http_listener *tls,
                               struct daemon_slot *ret);

/* loop.c */
const struct err *loop_create(struct http_server *s, struct loop *l);
const struct err *loop_start(struct loop *l);
const struct err *loop_watch_listening(struct loop *l, int fd, size_t listening);
void loop_destroy(struct loop *l);
void loop_notify(struct loop *l);
void loop_deliver(struct exchange *ex); /* resumes the connection; any thread */
void loop_add_newcomer(struct loop *l, const struct newcomer *n);

void loop_watch_hang_up(struct exchange *ex);
/* Its head announced a body: the loop asks for it, unless it arrives at once. */
void loop_await_body(struct exchange *ex);
void loop_forget_body(struct exchange *ex);
void loop_forget_hang_up(struct exchange *ex);

/* linger.c */
void linger_begin(struct exchange *ex);
void linger_run(struct loop *l, int64_t now_ms);

/* deadlines.c */
void deadlines_add(struct exchange *ex, int64_t deadline_ms);
bool deadlines_remove(struct exchange *ex);                              /* true: it had expired */
int64_t deadlines_earliest(struct loop *l);                              /* INT64_MAX: none */
struct exchange *deadlines_take_expired(struct loop *l, int64_t now_ms); /* NULL: no more */

/* exchange.c: libmicrohttpd's callbacks */
void *exchange_on_uri(void *slot, const char *uri, struct MHD_Connection *c);
void exchange_on_connection(void *slot, struct MHD_Connection *c, void **context,
                            enum MHD_ConnectionNotificationCode what);
enum MHD_Result exchange_on_access(void *slot, struct MHD_Connection *c, const char *url,
                                   const char *method, const char *version, const char *upload,
                                   size_t *upload_n, void **context);
void exchange_on_completed(void *slot, struct MHD_Connection *c, void **context,
                           enum MHD_RequestTerminationCode why);
void exchange_destroy(struct exchange *ex);

/* head.c */
enum { HEAD_MAX = 16 * 1024 };
const struct err *head_check(struct exchange *ex, const char *method, const char *url,
                             const char *version);

/* own_errors.c: in place of MHD_queue_response */
enum MHD_Result queue_response(struct MHD_Connection *c, int status, struct MHD_Response *response);

/* body.c */
const struct err *body_measure(struct exchange *ex, const char *version);
const struct err *body_begin(struct exchange *ex);
const struct err *body_add(struct exchange *ex, const char *bytes, size_t n);
const struct err *body_finish(struct exchange *ex); /* rq->raw or rq->upload_fd are ready */
void body_free(struct exchange *ex);

/* pool.c */
const struct err *pool_start(struct http_server *s, enum route_pool kind,
                             const struct http_pool *size);
void pool_stop(struct pool *p);
/* Adds the exchange to the source in rq->pool, in that order. M_LIMIT_EXCEEDED: the source has too
 * many there. */
const struct err *pool_take_in(struct exchange *ex, uint64_t source, enum queue_order order);
void pool_submit(struct exchange *ex); /* for a worker to run, after pool_take_in */
const struct err *pool_submit_new(struct exchange *ex, uint64_t source); /* both */
void pool_wake(struct waiter *w);

/* source.c */
void source_identify(struct exchange *ex); /* before the first run: id, client's address, TLS */
uint64_t source_claimed(const struct exchange *ex); /* before the caller was authenticated */
uint64_t source_certain(const struct exchange *ex); /* the same, without claimed names */
uint64_t source_proven(const struct exchange *ex);  /* in a run of the handler */

/* run.c: true when the exchange has left its source in this pool */
bool run_exchange(struct worker *w, struct exchange *ex);

/* reply.c, error_reply.c */
enum outcome_kind { OUTCOME_NONE, OUTCOME_BODY, OUTCOME_FILE, OUTCOME_WAIT, OUTCOME_MOVE };
enum { REPLY_HEADERS_MAX = 24 };
struct reply_outcome {
    enum outcome_kind kind;
    size_t headers_n;
    struct reply_header {
        const char *name, *value; /* in the request's arena */
    } headers[REPLY_HEADERS_MAX];
    int fd; /* OUTCOME_FILE */
    int64_t offset, bytes;
    int64_t deadline_ms;  /* OUTCOME_WAIT */
    enum route_pool pool; /* OUTCOME_MOVE, as is `order` */
    enum queue_order order;
};
struct MHD_Response *reply_response(struct reply *rp); /* empties the reply */
void reply_drop(struct reply *rp);
void reply_add_headers(struct reply *rp, struct MHD_Response *response);
void reply_error(struct reply *rp, const struct err *e);
void reply_now(struct exchange *ex, const struct err *e); /* made by the loop; NULL: a preflight */

/* stream.c */
void stream_finish(struct reply *rp, bool broken); /* afterwards the exchange is not the worker's */
bool stream_on_completed(struct exchange *ex);     /* true: a worker still has the exchange */
bool stream_on_closed(struct exchange *ex);        /* true: the worker will free it */
void stream_destroy(struct exchange *ex);

/* metrics.c */
void metrics_create(struct http_server *s);
void metrics_destroy(struct http_server *s);
void metrics_count(struct exchange *ex);

#endif
