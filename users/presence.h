/* Presence (client-server-api, "Presence"): kept in memory and, when it changes, in the log.
 *
 * Each device has its own state; the highest over all devices counts. A sync or another request
 * keeps a state for KEEP_MS, setting it explicitly for IDLE_MS; then it expires. Requests only
 * touch memory. Once a second a thread writes all changes as one write and wakes the users who
 * share a room, so a thousand users who come online at once cost one commit and one wake each.
 * Rooms of more than ROOM_MEMBERS_MAX members carry no presence. */
#ifndef USERS_PRESENCE_H
#define USERS_PRESENCE_H

#include "matrix/filter.h"
#include "storage/users/presence.h"
#include "users/session.h"

struct change;

struct presence_table;
struct presence_table *presence_create(struct node *node);
/* Start the thread after the committer, and stop it before. NULL-safe. */
const struct err *presence_start(struct presence_table *p, struct arena *a);
void presence_stop(struct presence_table *p);
void presence_destroy(struct presence_table *p);
void presence_on_changes(void *presence, const struct change *changes,
                         size_t n); /* a listener (storage/db/feed.h) */

void presence_on_settled(void *presence); /* wakes readers for what other nodes wrote */

struct presence_who {
    int64_t user, device; /* devices.id */
    const char *user_id;
};

/* A client syncs with this set_presence; "offline" does not change the device's state. Cheap if
 * nothing changes. Never fails the request that it is part of. */
void presence_sync(struct job *job, const struct presence_who *who, enum presence_state state);
/* A client sends, reads or types: it is online unless it set itself "offline". As cheap; no effect
 * if presence is disabled. */
void presence_act(struct job *job, const struct presence_who *who);

/* "online", "unavailable" or "offline"; false for anything else. */
bool presence_state_parse(const char *text, enum presence_state *ret);

/* Sets the state explicitly. status_msg NULL: none. Committed when it returns. */
const struct err *presence_set(struct job *job, const struct presence_who *who,
                               enum presence_state state, const char *status_msg);

/* A state that another server sent for its user; it expires after REMOTE_MS. Written within a
 * second. last_active_ts 0: unknown. */
void presence_set_remote(struct job *job, int64_t user, const char *user_id,
                         enum presence_state state, const char *status_msg, int64_t last_active_ts);

/* Users whose presence changed in (since, until], and the rooms where it is sent: for other
 * servers. In the arena. */
struct presence_update {
    struct presence_row row;
    const int64_t *rooms;
    size_t rooms_n;
};
void presence_list_updates(struct job *job, int64_t since, int64_t until,
                           const struct presence_update **ret, size_t *ret_n);

/* Of any user; offline if nothing is known. */
const struct err *presence_get(struct job *job, int64_t user, struct presence_row *ret);
/* Appends the content of an m.presence event. */
void presence_add_content(const struct presence_row *r, struct buf *out);

/* The presence of users who share a room with this one and changed in (since, until], in the job's
 * arena, without SQL; since 0: those who are online now. None if presence is disabled. without: a
 * set of user ids to leave out, or NULL. */
void presence_read(struct job *job, struct session *s, int64_t since, int64_t until,
                   const struct event_filter *filter, const struct map *without,
                   const struct presence_row **ret, size_t *ret_n);
/* Appends them as m.presence events, comma-separated. */
void presence_add_events(const struct presence_row *list, size_t n, struct buf *out);

/* Appends the m.presence events of the users whose presence is known in this room. */
void presence_add_room(struct job *job, int64_t room, const struct map *without, struct buf *out);

#endif
