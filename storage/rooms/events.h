/* Events, their relations and transaction ids as stored. State: storage/rooms/room_state.h. */
#ifndef STORAGE_ROOMS_EVENTS_H
#define STORAGE_ROOMS_EVENTS_H

#include "matrix/event.h"
#include "storage/db/write.h"

/* event_types.id of the types that code asks for by number (schema/0001-log.sql, same order). */
enum {
    TYPE_MEMBER = 1,
    TYPE_CREATE,
    TYPE_MESSAGE,
    TYPE_ENCRYPTED,
    TYPE_REDACTION,
    TYPE_REACTION,
    TYPE_POWER_LEVELS,
    TYPE_JOIN_RULES,
    TYPE_NAME,
    TYPE_TOPIC,
    TYPE_AVATAR,
    TYPE_CANONICAL_ALIAS,
    TYPE_HISTORY_VISIBILITY,
    TYPE_GUEST_ACCESS,
    TYPE_ENCRYPTION,
    TYPE_TOMBSTONE,
    TYPE_SERVER_ACL,
    TYPE_THIRD_PARTY_INVITE
};

/* The status of an event (stored as these numbers). Its position gives its place in the timeline
 * (schema/0050-event-graph.sql). */
enum event_status {
    EVENT_NORMAL = 0,
    EVENT_RELAYED = 1, /* received as resident server (send_join ...): we send it to the others */
    EVENT_OUTLIER = 2, /* the state before it is not known */
    EVENT_SOFT_FAILED = 3, /* allowed by the state before it, not by the current state */
    EVENT_REJECTED = 4
};
#define EVENT_OFF_TIMELINE_MAX (-(INT64_C(1) << 61)) /* positions up to here are in no timeline */
static inline bool event_is_off_timeline(int64_t position)
{
    return position <= EVENT_OFF_TIMELINE_MAX;
}

/* An event as stored, with its metadata. */
struct stored_event {
    int64_t position, room, sender, type;
    int64_t since; /* in lists of state: the position at which it became state; else 0 */
    enum event_status status;
    int64_t thread; /* position of the thread root, 0: main timeline */
    int64_t notify_total, highlight_total;
    int64_t redacted_by;   /* position of the redaction; 0: none */
    int64_t client_device; /* 0: none */
    const char *client_txn;
    bool is_state;
    bool is_withheld; /* a redaction that is not applied (yet), or a dummy: not shown to clients */
    const struct event *event; /* kept by the arena */
};

/* Stores a new event as change `at` of this write. position is ignored. */
void events_write(struct write *w, const struct stored_event *e, int at);

/* The transaction id of an event: the key is 16 bytes of a hash of its scope. */
void event_txns_write(struct write *w, int64_t device, struct str txn, int at);
/* The event that this transaction id was used for; 0 when none. */
const struct err *event_txns_find(struct tx *tx, int64_t device, struct str txn, int64_t *ret);

/* Positions for n events that get none of the log: in history (in descending order) or off the
 * timeline. */
const struct err *events_reserve(struct tx *tx, bool in_history, size_t n, const int64_t **ret);
/* Stores a new event at such a position. */
void events_write_at(struct write *w, const struct stored_event *e);
/* Moves an event from off the timeline into it: to change `at` of this write, or (at == 0) to
 * e->position. References to its old position are updated. */
void events_move(struct write *w, const struct stored_event *e, int64_t from, int at);

/* An event with the state before it, if that was not the current state at its position. */
struct known_event {
    struct stored_event e;
    int64_t state_ref; /* storage/rooms/state_refs.h; 0: none */
    bool is_stored;    /* read from the database; false: about to be written */
};
/* The stored ones of these events (ids of one room version). */
const struct err *events_find(struct tx *tx, const struct room_version *v, const char *const *ids,
                              size_t n, const struct known_event **ret, size_t *ret_n);
/* The same by position. */
const struct err *events_find_at(struct tx *tx, const int64_t *positions, size_t n,
                                 const struct known_event **ret, size_t *ret_n);

/* By position or id. A missing one gives NULL. The room version is looked up with it. */
const struct err *events_get(struct tx *tx, int64_t position, const struct stored_event **ret);
const struct err *events_get_by_id(struct tx *tx, const char *event_id,
                                   const struct stored_event **ret);
/* Many by position; the result has one entry for each found, in ascending order of position. */
const struct err *events_get_many(struct tx *tx, const int64_t *positions, size_t n,
                                  const struct stored_event **ret, size_t *ret_n);

/* Events of a room between two positions, newest first or oldest first: from < position <= to. */
const struct err *events_page(struct tx *tx, int64_t room, int64_t from, int64_t to,
                              bool newest_first, int64_t limit, const struct stored_event **ret,
                              size_t *ret_n);

/* Replaces the bytes of an event by its redacted form, marks it as redacted by change `at` and
 * drops its relation. */
void events_write_redaction(struct write *w, const char *event_id,
                            const struct room_version *version, struct str redacted, int at);

/* The same for a redaction that was stored before its target, at a position. */
void events_write_late_redaction(struct write *w, const char *event_id,
                                 const struct room_version *version, struct str redacted,
                                 int64_t redaction);
/* A redaction that is not applied: its target is not stored, or its sender may not redact it. It is
 * withheld from clients until its target is stored and it can be applied. */
void pending_redaction_write(struct write *w, const struct event *redaction, int64_t room);
/* Redactions that wait for these events: ids of the redactions, of the same room (0: any). */
const struct err *pending_redactions_find(struct tx *tx, const struct room_version *v, int64_t room,
                                          const char *const *targets, size_t n,
                                          const char *const **ret, size_t *ret_n);

struct relation {
    const char *parent; /* event id */
    const char *rel_type, *key;
};
void relations_write(struct write *w, const struct room_version *v, const struct relation *r,
                     int64_t room, int64_t sender, int64_t type, int at);

/* The same for a child in history, at that position. */
void relations_write_at(struct write *w, const struct room_version *v, const struct relation *r,
                        int64_t room, int64_t sender, int64_t type, int64_t position);

#endif
