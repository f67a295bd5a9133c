/* What users outside of a room may know of it (client-server-api, definitions RoomSummary and
 * PublishedRoomsChunk): for the directory, room summaries and space hierarchies. */
#ifndef ROOMS_READ_SUMMARY_H
#define ROOMS_READ_SUMMARY_H

#include "rooms/room.h"

struct room_summary {
    const char *room_id, *room_version;
    const char *name, *topic, *avatar_url, *canonical_alias, *room_type, *encryption; /* or NULL */
    const char *join_rule;
    const json_t *allow; /* of a restricted room: its `allow` conditions; else NULL */
    int64_t joined_n;
    bool world_readable, guest_can_join;
};

/* Everything lives as long as the job's arena. */
const struct err *room_summary_read(struct job *job, struct room *room, struct room_summary *ret);

/* What a PublishedRoomsChunk needs, for many rooms and without loading them: those that exist,
 * sorted by rooms.id (ret_rooms). */
const struct err *room_summaries_read(struct job *job, const int64_t *ids, size_t n,
                                      const int64_t **ret_rooms, struct room_summary **ret,
                                      size_t *ret_n);

/* PublishedRoomsChunk, RoomSummary. Owned. */
json_t *room_summary_chunk(const struct room_summary *s);
json_t *room_summary_whole(const struct room_summary *s);

/* May the user see it? True for members, for users who may join or knock, and for all users if the
 * room is world-readable. user 0: not signed in. */
const struct err *room_summary_may_see(struct job *job, struct room *room,
                                       const struct room_summary *s, int64_t user, bool *ret);
/* The same for a room that we are not in, by the RoomSummary of another server. */
const struct err *remote_summary_may_see(struct job *job, const json_t *summary, int64_t user,
                                         bool *ret);
/* May users of that server see or join it, as far as that can be decided for all of them together?
 */
const struct err *room_summary_may_serve(struct job *job, struct room *room,
                                         const struct room_summary *s, const char *server,
                                         bool *ret);

#endif
