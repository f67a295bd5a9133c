/* Names to bigint ids and back, cached both ways: users (local and remote), rooms, event types.
 * Interning a new name commits on its own; ids are never reused. Returned strings live as long as
 * the process (the cache keeps them). */
#ifndef STORAGE_DB_INTERN_H
#define STORAGE_DB_INTERN_H

#include "storage/db/db.h"

struct intern;
struct intern *intern_create(struct db *db);
void intern_destroy(struct intern *in); /* NULL-safe */
void intern_add_metrics(struct intern *in, struct buf *out);

enum intern_kind { INTERN_USER, INTERN_ROOM, INTERN_TYPE, INTERN_KIND_COUNT };

/* The id of a name; allocated when it is new. Not for rooms: a room's row has more than its name,
 * so the function that creates a room writes the row and then calls intern_remember. */
const struct err *intern_id(struct intern *in, enum intern_kind kind, const char *name,
                            int64_t *ret);
/* Many at once, in at most three round trips for those not cached. */
const struct err *intern_ids(struct intern *in, enum intern_kind kind, const char *const *names,
                             size_t n, int64_t *ret);
/* Puts a committed row's name and id into the cache. */
void intern_remember(struct intern *in, enum intern_kind kind, const char *name, int64_t id);
/* The id of a name; 0 when it was never interned (nothing is written). */
const struct err *intern_find(struct intern *in, enum intern_kind kind, const char *name,
                              int64_t *ret);
/* The same from the database: for a room whose row is gone, since another node may have deleted a
 * noted room, which then was made again with another id. */
const struct err *intern_find_again(struct intern *in, enum intern_kind kind, const char *name,
                                    int64_t *ret);
/* The name of an id that exists. */
const struct err *intern_name(struct intern *in, enum intern_kind kind, int64_t id,
                              const char **ret);
/* Many at once, one round trip for those not cached. */
const struct err *intern_names(struct intern *in, enum intern_kind kind, const int64_t *ids,
                               size_t n, const char **ret);

#endif
