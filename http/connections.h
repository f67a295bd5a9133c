/* Bounds the connections, in all and of each address.
 *
 * An address (IPv6: a /64) has a bound of its own; trusted reverse proxies and unix sockets have
 * none, since many clients share them. When an address is at its bound, or nearly all connections
 * are in use, those connections of that address, or of the one with the most, are closed that have
 * waited longest for a request, at least DISPLACED_MS: the first bytes of a new connection may not
 * have been read yet. So neither idle nor slow clients keep others out. While nearly all are in
 * use, an address that has its share gets no more: its new connections are closed at once, or
 * others would have to wait behind them in the kernel's queue, and longer when that is full.
 * Thread-safe. */
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

/* Counts the newcomer and sets its key. False: its address is at its bound. */
bool connections_add(struct http_server *s, struct newcomer *n);
void connections_remove(struct http_server *s, struct loop *l, uint64_t key);

enum { MAKE_ROOM_MS = 50, DISPLACED_MS = 100 };
bool connections_are_short(const struct http_server *s); /* nearly all are in use */
/* Asks the loops to make room where needed. Displaced connections take a little time to close, so
 * it does nothing shortly after it has asked. */
void connections_make_room(struct http_server *s);
/* Makes the room that a loop was asked for, in its thread. */
void connections_displace(struct loop *l);

#endif
