/* The lists of a connection in order: which rooms match the filters, the one with the newest
 * activity first. They belong to one request at a time, and are brought up to date by what has
 * changed. 16 bytes for each room of a list. */
#ifndef SERVER_SLIDING_ORDER_H
#define SERVER_SLIDING_ORDER_H

#include "base/str.h"

struct ordered_room {
    int64_t room;     /* rooms.id */
    int64_t activity; /* a position: descending */
};

struct sliding_order {
    char *filters; /* their text */
    struct ordered_room *rooms;
    size_t n, cap;
};

struct sliding_orders {
    int64_t number;      /* the state of the connection that they go with */
    int64_t until;       /* the position of the log up to which they are right */
    uint64_t rules_hash; /* of the request that they were last used for */
    bool is_settled;     /* all rooms that the request asks for were sent, up to `until` */
    struct sliding_order *lists;
    size_t n;
};

struct sliding_orders *sliding_orders_create(size_t n);
void sliding_orders_destroy(struct sliding_orders *o); /* NULL-safe */
size_t sliding_orders_bytes(const struct sliding_orders *o);
/* The list with these filters; NULL if there is none, or it was taken. Moves it to the caller. */
bool sliding_orders_take(struct sliding_orders *o, struct str filters, struct sliding_order *ret);

/* Adds a room anywhere, to be sorted later. */
void sliding_order_add(struct sliding_order *o, int64_t room, int64_t activity);
void sliding_order_sort(struct sliding_order *o);
/* The place of a room; o->n if it is not in the list. */
size_t sliding_order_find(const struct sliding_order *o, int64_t room);
void sliding_order_remove(struct sliding_order *o, size_t at);
/* Where it belongs. */
void sliding_order_insert(struct sliding_order *o, int64_t room, int64_t activity);

#endif
