/* rooms: one row a room, with the head that the next event is built on. */
#ifndef STORAGE_ROOMS_ROOMS_H
#define STORAGE_ROOMS_ROOMS_H

#include "matrix/room_version.h"
#include "storage/db/write.h"

struct room_head {
    int64_t id;
    const char *room_id;
    const struct room_version *room_version;
    int64_t version, depth;
    int64_t notify_total, highlight_total;
    const struct str *extremities; /* event ids as stored */
    size_t extremities_n;
    bool is_published;
    bool is_noted;     /* known, but never joined (storage/rooms/noted_rooms.h) */
    int64_t joined_at; /* position of our join through another server; 0: created here */
    int64_t gap;       /* the newest row of history_ends; 0: none */
    int64_t source;    /* of a new room: the user (below zero: the server) that caused it */
};

/* NULL if the room does not exist. */
const struct err *rooms_get(struct tx *tx, int64_t id, const struct room_head **ret);

/* An id for a new room. */
const struct err *rooms_next_id(struct tx *tx, int64_t *ret);
/* n ids; unused ones are lost. */
const struct err *rooms_reserve_ids(struct tx *tx, size_t n, const int64_t **ret);

/* How many rooms a source has caused, counted up to `most`. */
const struct err *rooms_count_of_source(struct tx *tx, int64_t source, int64_t most, int64_t *ret);

/* Adds a room. */
void rooms_write_new(struct write *w, const struct room_head *head);

/* Stores the new head; each has a unique version. The write fails with ERR_CONFLICT unless the
 * stored version is still `built_on`. Several in one batch merge into the last, checked against the
 * first. */
void rooms_write_head(struct write *w, const struct room_head *head, int64_t built_on);

/* Deletes a room's events, state and members. */
void rooms_write_drop_contents(struct write *w, int64_t room);
/* Deletes all that is stored of a room but its name: it was noted with a wrong version. */
void rooms_write_reset(struct write *w, int64_t room, const char *version);

/* Change `at` of the write is our server's join through another one. */
void rooms_write_joined_remotely(struct write *w, int64_t room, int at);

/* Sets ret[i] for those of the rooms that have events or receipts after the position. */
const struct err *rooms_changed_since(struct tx *tx, const int64_t *ids, size_t n, int64_t since,
                                      bool *ret);

/* The rooms in the public directory. */
const struct err *rooms_published(struct tx *tx, const int64_t **ret, size_t *ret_n);
const struct err *rooms_set_published(struct tx *tx, int64_t id, bool is_published);

#endif
