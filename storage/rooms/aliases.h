/* room_aliases: the aliases of this server (client-server-api, "Room aliases"). */
#ifndef STORAGE_ROOMS_ALIASES_H
#define STORAGE_ROOMS_ALIASES_H

#include "storage/db/write.h"

struct alias {
    const char *alias;
    int64_t room;    /* rooms.id */
    int64_t creator; /* users.id */
    const char *room_id;
};

/* Without such an alias, *ret_found is false. */
const struct err *aliases_find(struct tx *tx, const char *alias, bool *ret_found,
                               struct alias *ret);
/* All of a room, sorted. */
const struct err *aliases_of_room(struct tx *tx, int64_t room, const char *const **ret,
                                  size_t *ret_n);

enum { ALIASES_MAX = 1000 }; /* that one user has created, and of one room */
/* M_TOO_LARGE when the user or the room has ALIASES_MAX. room 0: a new one. */
const struct err *aliases_check_number(struct tx *tx, int64_t creator, int64_t room);

/* False when it is taken. */
const struct err *aliases_add(struct tx *tx, const char *alias, int64_t room, int64_t creator,
                              bool *ret_added);
/* The same as a part of a write, which fails with ERR_CONFLICT when it is taken. */
void aliases_write_new(struct write *w, const char *alias, int64_t room, int64_t creator);
/* Makes all aliases of one room lead to another. */
void aliases_write_move(struct write *w, int64_t from_room, int64_t to_room);

const struct err *aliases_remove(struct tx *tx, const char *alias);

#endif
