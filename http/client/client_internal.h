/* Shared by the files of the client. A transfer is one exchange with one address: the waiting
 * thread makes it, the client's thread runs it, and the first thread owns it again once it has
 * `ended`. */
#ifndef HTTP_CLIENT_CLIENT_INTERNAL_H
#define HTTP_CLIENT_CLIENT_INTERNAL_H

#include "base/lock.h"
#include "http/client/client.h"

#include <curl/curl.h>
#include <openssl/ssl.h>
#include <stdatomic.h>

/* Why this side cut a transfer. */
enum transfer_cut { CUT_NONE, CUT_TOO_LARGE, CUT_SLOW, CUT_SINK, CUT_STOPPING, CUT_NO_MEMORY };

struct transfer {
    struct http_client *client;
    const struct http_call *call;
    CURL *easy;
    struct curl_slist *headers, *connect_to;
    struct buf body, head;
    int64_t bytes;
    uint64_t source; /* the server that is asked */
    size_t drawn;    /* drawn by its reply from the budget of all replies in memory */
    int64_t deadline_ms, first_byte_ms; /* mono_ms; when the body began, 0: not yet */
    enum transfer_cut cut;
    CURLcode result;
    char why[CURL_ERROR_SIZE];
    bool ended; /* under the client's lock, as is the condition */
    pthread_cond_t has_ended;
    struct transfer *next, **at; /* in the queue, then among those that run */
};

enum client_outcome {
    OUTCOME_1XX, /* not seen */
    OUTCOME_2XX,
    OUTCOME_3XX,
    OUTCOME_4XX,
    OUTCOME_5XX,
    OUTCOME_UNREACHABLE, /* no connection, no such name, bad certificate */
    OUTCOME_TIMEOUT,
    OUTCOME_REFUSED, /* denied addresses */
    OUTCOME_TOO_LARGE,
    OUTCOME_FAILED,
    OUTCOME_COUNT
};

enum { DURATION_BUCKETS = 8 };

struct http_client {
    struct resolver *resolver;
    struct address_ranges *denied, *allowed;
    X509_STORE *authorities;
    bool verify, only_tls13;
    int grace_ms; /* http/client/client.h */
    char *proxy;
    CURLM *multi;
    pthread_t thread;
    bool has_thread;
    struct lock lock;
    struct transfer *queue;   /* under the lock: not yet taken by the thread */
    bool stopping;            /* under the lock */
    struct transfer *running; /* the thread's own */
    atomic_llong end_by_ms;   /* mono_ms at which all transfers end; 0: no limit */
    atomic_ulong outcomes[OUTCOME_COUNT], durations[DURATION_BUCKETS + 1], duration_us;
};

/* client_transfer.c */
const struct err *transfer_create(struct http_client *c, const struct http_call *call,
                                  const char *connect_to, int64_t deadline_ms, int64_t connect_ms,
                                  struct transfer **ret);
void transfer_destroy(struct transfer *t);
/* Whether it is past its deadline, or its body arrives too slowly. */
bool transfer_is_slow(const struct transfer *t);

/* The answer of a successful transfer; its bytes move to the arena. */
void transfer_answer(struct transfer *t, struct arena *a, struct http_answer *ret);

/* client_thread.c */
const struct err *client_thread_start(struct http_client *c);
void client_thread_stop(struct http_client *c);                    /* again does nothing */
void client_thread_run(struct http_client *c, struct transfer *t); /* blocks until it has ended */

/* client_metrics.c */
void client_count(struct http_client *c, enum client_outcome outcome, int64_t us);

#endif
