/* The load generator's HTTP: many keep-alive connections driven by one epoll loop, so that the
 * generator does not limit the result. Requests are answered through callbacks, from which the next
 * request may be sent. */
#ifndef BENCH_ENGINE_H
#define BENCH_ENGINE_H

#include "base/str.h"

struct client;
typedef void client_reply(struct client *c, int status, struct str body);

struct client {
    int index;
    int fd, port;
    char token[160];
    char since[48]; /* of /sync */
    client_reply *on_reply;
    void *ctx;
    int64_t sent_us; /* mono_us() of the request under way */
    bool waiting;    /* a reply is outstanding */
    struct buf out, in;
    size_t out_done;
};

struct engine;

/* address: "127.0.0.1:8008". */
struct engine *engine_create(const char *address);
void engine_destroy(struct engine *e);
/* New connections are to this server. */
void engine_turn_to(struct engine *e, const char *address);

/* A new connection; the client belongs to the engine. */
struct client *engine_connect(struct engine *e);
size_t engine_clients_n(const struct engine *e);
struct client *engine_client(struct engine *e, size_t i);

/* Sends a request with the client's token; body NULL: none. */
void client_send(struct engine *e, struct client *c, const char *method, const char *path,
                 const char *body, client_reply *on_reply);

/* Ends the connection, whatever is outstanding, as a phone does that loses its network; the next
 * request is on a new one. */
void client_drop(struct engine *e, struct client *c);

/* Runs the loop until done() is true, or for max_ms (0: no limit). */
void engine_run(struct engine *e, bool (*done)(void *ctx), void *ctx, int64_t max_ms);

/* One request, blocking; the body lives until the client's next request. Ends the program when
 * the status is not 200: a benchmark on errors is worth nothing. */
struct str client_call(struct engine *e, struct client *c, const char *method, const char *path,
                       const char *body);

/* The string at "key":"..." of a flat reply; ends the program when it is missing. */
void take_string(struct str json, const char *key, char *ret, size_t size);

#endif
