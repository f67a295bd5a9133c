/* Simplified sliding sync (MSC4186): POST /sync, in the deployed and in the accepted form. Private
 * to server/sliding/.
 *
 * It is a second writer on the readers of server/sync/read/. A request goes through these steps,
 * each in a file: what was sent on the connection (connections.h); the lists in order (lists.c);
 * which rooms are in a list's range or subscribed to, and what is known of each (choose.c); the
 * rooms (write_room.c); the extensions (extensions.c, room_extensions.c). With nothing to say it
 * parks as /sync does. A client that has all is sent a new message without SQL. */
#ifndef SERVER_SLIDING_SLIDING_H
#define SERVER_SLIDING_SLIDING_H

#include "base/map.h"
#include "http/reply.h"
#include "rooms/read/outlines.h"
#include "rooms/read/serialize.h"
#include "server/sliding/connections.h"
#include "server/sliding/order.h"
#include "server/sliding/request.h"
#include "server/sync/read/rooms.h"

/* A room that a list or a subscription of the request asks for. */
struct sliding_room {
    struct session_room at;
    const struct sliding_sent *sent; /* NULL: never */
    struct required required;
    int64_t timeline_limit;
    uint64_t lists[(SLIDING_LISTS_MAX + 63) / 64]; /* bits: those with the room in a range */
    bool is_subscribed;
    bool is_changed;    /* in the range of the request */
    int64_t since;      /* what the client has of the room; 0: nothing */
    int64_t bump;       /* of a joined room that is written: its bump_stamp */
    bool is_written;    /* in the reply's `rooms` */
    int64_t line_start; /* of what was written: position of the first event; 0: none */
};

struct sliding_sync {
    struct reply *rp;
    struct request *rq;
    const struct sliding_request *request;
    struct sliding_caller caller;
    struct sync_reader who;
    struct sync_range range;
    int64_t number; /* of the connection's state, in the client's token; 0: a new connection */
    struct viewer viewer;
    const struct sliding_state *base;
    struct sliding_draft draft;
    struct sliding_orders *orders;
    struct sync_account account;
    bool direct_changed;                /* m.direct is in it */
    const struct map *direct;           /* room ids of m.direct; NULL: not read yet */
    const struct session_room *changed; /* rooms with changes in the range, at its end */
    size_t changed_n;
    struct map changed_ids; /* room -> one of these; its memory is the request's */
    bool is_quick;          /* only changed rooms can have something to send */
    struct sliding_room *rooms;
    size_t rooms_n;
    bool members_changed; /* a user joined or left a room of this one */
    bool any;             /* the reply is not empty */
};

/* lists.c: s->orders, up to the end of the range. */
const struct err *sliding_open_lists(struct sliding_sync *s);
/* The ids of rooms in m.direct. */
const struct err *sliding_direct(struct sliding_sync *s, const struct map **ret);

/* choose.c: s->rooms: when s->is_quick only those that changed. Also marks rooms as behind that
 * changed and are not asked for. */
const struct err *sliding_choose_rooms(struct sliding_sync *s);

/* write_room.c: a member of `rooms`; nothing if nothing of it is new. The room is then live. */
const struct err *sliding_write_room(struct sliding_sync *s, struct sliding_room *room,
                                     struct buf *out, bool *ret_any);

/* extensions.c: the members of `extensions`. */
const struct err *sliding_write_extensions(struct sliding_sync *s, struct buf *out);
#endif
