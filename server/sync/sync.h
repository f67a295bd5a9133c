/* GET /sync (client-server-api, "Syncing"), version 2, and the routes before it. Private to
 * server/sync/, but for what other routes that wait need as well.
 *
 * A token (server/sync_token.h) says how far the client has read the log and the typing notices.
 * What is new is read by the readers in server/sync/read/, each of one stream, and written by the
 * functions declared here, in the order and the format of /sync. */
#ifndef SERVER_SYNC_SYNC_H
#define SERVER_SYNC_SYNC_H

#include "http/reply.h"
#include "matrix/filter.h"
#include "rooms/read/serialize.h"
#include "server/sync/read/rooms.h"

struct sync_to_device;

struct sync {
    struct reply *rp;
    struct sync_reader who;
    struct sync_range range;
    struct filter filter;
    struct viewer viewer;
    bool full_state;
    const char *state_after; /* the key to use, when the client asked for it; else NULL */
    bool members_changed;    /* a user joined or left a room of this one: devices to track */
    struct sync_account account;
    const struct session_room *rooms; /* those with changes */
    size_t rooms_n;
    bool any; /* the reply is not empty */
};

/* sync.c */
struct sync sync_of(struct request *rq, struct reply *rp);
/* set_presence as the client gave it; NULL: online. */
const struct err *sync_touch_presence(struct request *rq, const char *set_presence);
/* Passes `e` on, unless a parked request was woken while the database cannot be reached: it stays
 * parked, and soon runs once more. */
const struct err *sync_keep_parked(struct request *rq, struct reply *rp, const struct err *e);
const struct err *sync_choose_rooms(struct sync *s); /* needs s->account */
/* Whether it is an initial sync, or has very many changes that are not in the feed: such requests
 * move to POOL_INITIAL. Call it before any room is read. */
bool sync_must_move(const struct sync *s, const struct request *rq);

/* write_room.c: a member of rooms.join, rooms.leave, or another section. *ret_any false: it is
 * empty. */
const struct err *sync_write_room(struct sync *s, const struct sync_room *room, struct buf *out,
                                  bool *ret_any);
/* write_rooms.c */
const struct err *sync_write_rooms(struct sync *s, struct buf *out);
/* write_user.c: parts that the older routes and sliding sync write, too: one event of account data,
 * that of the push rules, `"events":[…]` and `"KEY":[…]` */
void sync_add_account_event(const char *type, struct str content, bool *any, struct buf *out);
const struct err *sync_add_push_rules(const struct sync_reader *who, bool *any, struct buf *out);
void sync_add_messages(const struct sync_to_device *read, struct buf *out);
void sync_add_users(struct buf *out, const char *key, const char *const *users, size_t n);
/* account data, presence, to-device messages, device lists, key counts. */
const struct err *sync_write_account_data(struct sync *s, struct buf *out);
const struct err *sync_add_account_events(struct sync *s, struct buf *out); /* the bare list */
const struct err *sync_write_to_device(struct sync *s, struct buf *out);
void sync_write_presence(struct sync *s, struct buf *out);
const struct err *sync_write_device_lists(struct sync *s, struct buf *out);
const struct err *sync_write_key_counts(struct sync *s, struct buf *out);

#endif
