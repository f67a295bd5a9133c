/* Presence (client-server-api, "Presence"): kept in memory and, when it changes, in the log.
 *
 * Each device has its own word, the newest replaces its earlier one, and the highest over all
 * devices counts. A sync or an act keeps a word for KEEP_MS, setting a state for IDLE_MS; what is
 * longer ago than that ends by itself. Requests only touch memory: a thread looks once a second at
 * what has changed, writes it all as one write, and wakes those who share a room, so that a
 * thousand users who come at once cost one commit and one wake each. Rooms of more than
 * ROOM_MEMBERS_MAX members carry no presence. */
#ifndef USERS_PRESENCE_H
#define USERS_PRESENCE_H

#include "matrix/filter.h"
#include "storage/users/presence.h"
#include "users/session.h"

struct presence_table;
struct presence_table *presence_create(struct node *node); /* listens to the feed */
/* The thread: started when the committer runs, stopped before it ends. NULL-safe. */
const struct err *presence_start(struct presence_table *p, struct arena *a);
void presence_stop(struct presence_table *p);
void presence_destroy(struct presence_table *p);

struct presence_who {
    int64_t user, device; /* devices.id */
    const char *user_id;
};

/* A client syncs, with this set_presence: "offline" leaves alone what the device said otherwise.
 * Cheap when nothing changes. Never fails the request that it is part of. */
void presence_sync(struct job *job, const struct presence_who *who, enum presence_state state);
/* A client sends, reads or types: it is online, unless it said that it is not to be seen. As cheap;
 * nothing when presence is switched off. */
void presence_act(struct job *job, const struct presence_who *who);

/* "online", "unavailable" or "offline"; false for anything else. */
bool presence_state_parse(const char *text, enum presence_state *ret);

/* What a user sets explicitly. status_msg NULL: none. Committed when it returns. */
const struct err *presence_set(struct job *job, const struct presence_who *who,
                               enum presence_state state, const char *status_msg);

/* What another server says of its user; believed for a while. Written and told within a second.
 * last_active_ts 0: not said. */
void presence_set_remote(struct job *job, int64_t user, const char *user_id,
                         enum presence_state state, const char *status_msg, int64_t last_active_ts);

/* Who changed in (since, until], and the rooms where it is told: for other servers. In the arena.
 */
struct presence_update {
    struct presence_row row;
    const int64_t *rooms;
    size_t rooms_n;
};
void presence_list_updates(struct job *job, int64_t since, int64_t until,
                           const struct presence_update **ret, size_t *ret_n);

/* Of anybody; offline when nothing is known. */
const struct err *presence_get(struct job *job, int64_t user, struct presence_row *ret);
/* Appends the content of an m.presence event. */
void presence_add_content(const struct presence_row *r, struct buf *out);

/* Appends the m.presence events, comma-separated, of users who share a room with this one and
 * changed in (since, until]; since 0: those who are online now. without: a set of user ids who are
 * left out; NULL: none. */
const struct err *presence_add_events(struct job *job, struct session *s, int64_t since,
                                      int64_t until, const struct event_filter *filter,
                                      const struct map *without, struct buf *out, size_t *ret_n);

/* Appends the m.presence events of who is there and told of in this room. */
void presence_add_room(struct job *job, int64_t room, const struct map *without, struct buf *out);

#endif
