/* The first events of a new room, gathered by createRoom and by upgrades and then appended as one
 * write (room_append_new). */
#ifndef ROOMS_WRITE_FIRST_EVENTS_H
#define ROOMS_WRITE_FIRST_EVENTS_H

#include "rooms/write/append.h"

struct first_events {
    struct job *job;
    const struct author *author; /* the creator */
    const struct room_version *version;
    struct new_event *list; /* in the job's arena */
    size_t n, size;
};

void first_events_init(struct first_events *f, struct job *job, const struct author *author,
                       const struct room_version *version);

/* A state event; steals the content. */
void first_events_add(struct first_events *f, const char *type, const char *state_key,
                      json_t *content);
/* The same with a content that is raw JSON of the arena. */
void first_events_add_raw(struct first_events *f, const char *type, const char *state_key,
                          struct str content);

/* m.room.create. `content` (borrowed, may be NULL) has further keys; `creators` (n of them) are
 * added to its additional_creators if the version has those. M_INVALID_PARAM when its
 * additional_creators are not a list of user ids. */
const struct err *first_events_add_create(struct first_events *f, const json_t *content,
                                          const char *const *creators, size_t n);

/* The creator's join, with their profile. */
const struct err *first_events_add_creator(struct first_events *f);

/* The default content of m.room.power_levels. Owned. */
json_t *first_events_power_levels(const struct first_events *f);

/* False if the creator has infinite power in this version, and must not be listed. */
static inline bool first_events_lists_creator(const struct first_events *f)
{
    return !f->version->privileged_creators;
}

/* Creates the room. M_INVALID_ROOM_STATE if an event is not allowed. */
const struct err *first_events_make_room(const struct first_events *f, struct new_room *new_room,
                                         const char **ret_room_id);

#endif
