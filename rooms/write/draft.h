/* A draft: events built, one after the other, on the head of a room that the caller has locked. The
 * room is not changed before draft_apply_head. */
#ifndef ROOMS_WRITE_DRAFT_H
#define ROOMS_WRITE_DRAFT_H

#include "rooms/write/append.h"
#include "storage/db/write.h"
#include "storage/rooms/events.h"
#include "storage/rooms/rooms.h"

struct draft_event {
    const struct event *event;      /* kept by the arena */
    const struct new_event *wanted; /* what it was built from; NULL: an event of another server */
    struct str stripped;            /* of an invite or knock; p NULL: made here */
    enum event_status status;
    int64_t moved_from;  /* its position off the timeline; 0: it is new */
    bool is_lost;        /* a state event that does not become the current one */
    bool follows_gap;    /* the state before it was received from another server */
    bool resets_room;    /* so much changes with it that caches must reload the room */
    int64_t redacted_by; /* position of an earlier redaction; event is then redacted */
    int at;              /* its change in the write */
    int64_t type;        /* event_types.id */
    struct str once; /* an annotation of ours, by name (rooms/write/relations.h); p NULL: none */
    struct room_member member; /* of a member event that becomes current; user 0: none */
    struct draft_event *next;  /* the one built before it */
};

/* State that a change of the draft made current without a new event. */
struct draft_set {
    const struct event *event; /* NULL: the key has no event any more */
    int at;
};

struct draft {
    struct job *job;
    struct room *room;
    const struct author *author;
    struct write *write;
    struct draft_event *newest;
    size_t events_n;
    struct map *by_key; /* "type NUL state_key" -> struct draft_event; NULL: they are few */
    struct map *sets;   /* "type NUL state_key" -> struct draft_set; NULL: none. May be many */
    int64_t built_on;   /* the version of the room's head */
    int64_t version, depth, notify_total, highlight_total;
    const char **extremities;
    size_t extremities_n;
    struct str awaited;  /* a queued annotation, which must not be sent twice; p NULL: none */
    int64_t rules_as_of; /* what it knows of members' push rules is from then, or later */
    int last_state_at;   /* the newest change of state in the write; 0: none */
    bool changes_state;  /* or data cached of it */
    bool is_alone;       /* nothing can be built on it before it is committed */
};

void draft_init(struct draft *d, struct job *job, struct room *room, const struct author *author,
                struct write *w);

/* The state event of that key after the draft; NULL: none. */
const struct err *draft_state(struct draft *d, const char *type, const char *state_key,
                              const struct event **ret);

/* Builds and checks an event without adding it. M_FORBIDDEN if it is not allowed. */
const struct err *draft_build(struct draft *d, const struct new_event *wanted,
                              const struct event **ret);

/* Builds, checks and adds one event to the write. M_FORBIDDEN if it is not allowed. */
const struct err *draft_add(struct draft *d, const struct new_event *wanted,
                            const struct event **ret);

/* Adds an event that is already built and checked: of another server. */
const struct err *draft_put(struct draft *d, struct draft_event *e);

/* The drafted event of that id; NULL: none. */
const struct draft_event *draft_find(const struct draft *d, const char *event_id);

/* A change of state without a new event: the stored event becomes current again (is_end: its key
 * has no event any more). */
const struct err *draft_set_state(struct draft *d, const struct stored_event *e, bool is_end);

/* The head that the write stores. */
void draft_head(const struct draft *d, struct room_head *ret);
/* Makes it the head that the next writer builds on. */
void draft_apply_head(const struct draft *d);
/* The head as other nodes learn of it; in the job's arena. */
const struct change_head *draft_change_head(const struct draft *d);
/* The same for its state (rooms/ahead.h). Not for a draft with is_alone. */
void draft_apply_state(const struct draft *d);

#endif
