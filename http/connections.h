/* How many connections there are, in all and of each address.
 *
 * An address (of IPv6: a /64) has a bound of its own; reverse proxies that are trusted and unix
 * sockets have none, since many clients stand behind them. When an address is at its bound, or
 * nearly all connections are taken, room is made: of that address, or of the one with the most,
 * those are closed that have waited longest for a request, a moment (DISPLACED_MS) at least: what
 * comes on a new connection may not have been read yet. So neither an idle nor a slow crowd keeps
 * others out. And while nearly all are taken, an address that has its share of them gets no more:
 * its newcomers are closed as they come, or others would have to wait behind them in the kernel's
 * queue, and longer when that is full. Thread-safe. */
#ifndef HTTP_CONNECTIONS_H
#define HTTP_CONNECTIONS_H

#include "base/lock.h"
#include "base/map.h"

struct http_server;
struct loop;
struct newcomer;

struct connections {
    struct lock lock;
    struct map by_address; /* key -> how many it has */
    int of_address_max;
    unsigned long displaced, refused;
};

void connections_init(struct connections *c, int of_address_max);
void connections_finish(struct connections *c);

/* Counts the newcomer and sets its key. False: its address has as many as it may. */
bool connections_add(struct http_server *s, struct newcomer *n);
void connections_remove(struct http_server *s, struct loop *l, uint64_t key);

enum { MAKE_ROOM_MS = 50, DISPLACED_MS = 100 };
bool connections_are_short(const struct http_server *s); /* nearly all are taken */
/* Asks the loops to make room where they are short. Those that are displaced take a moment to go,
 * so it does nothing when it did lately. */
void connections_make_room(struct http_server *s);
/* What a loop was asked for, in its thread. */
void connections_displace(struct loop *l);

#endif
