/* Accounts and rooms for the benchmarks, made through the client-server API, many at a time. */
#ifndef BENCH_SETUP_H
#define BENCH_SETUP_H

#include "bench/engine.h"

enum { ID_SIZE = 256 };

/* n new connections, each signed in as a new user. Returns the index of the first. */
size_t setup_users(struct engine *e, const char *prefix, size_t n);

/* Each of these clients uploads the keys of its device, and ten one-time keys. */
void setup_keys(struct engine *e, size_t first, size_t n);

/* A public room made by this client. */
void setup_room(struct engine *e, struct client *owner, const char *name, char ret[ID_SIZE]);

/* Every one of these clients joins the room. */
void setup_joins(struct engine *e, size_t first, size_t n, const char *room);

/* Each of these clients has a phone, with the app "bench". */
void setup_pushers(struct engine *e, size_t first, size_t n);

/* A room or user id in a URL path. */
void path_escape(const char *id, char *ret, size_t size);

#endif
