/* The directory of published rooms (client-server-api, "Published room directory").
 *
 * The database has the list of published rooms; their entries are cached, except long texts, each
 * until the room's state or members change. Entries are read some hundred at a time, without the
 * cache of rooms, and searched in memory. */
#ifndef ROOMS_READ_DIRECTORY_H
#define ROOMS_READ_DIRECTORY_H

#include "storage/db/job.h"

struct change;

struct directory;
struct directory *directory_create(struct node *node);
void directory_destroy(struct directory *d); /* NULL-safe */
void directory_on_changes(void *directory, const struct change *changes,
                          size_t n); /* a listener (storage/db/feed.h) */

enum { DIRECTORY_PAGE_DEFAULT = 100, DIRECTORY_PAGE_MAX = 500 };

struct directory_query {
    int64_t limit;            /* 1 to DIRECTORY_PAGE_MAX */
    const char *since;        /* token of an earlier page; NULL: the first */
    const char *term;         /* to be contained in name, topic or alias; NULL: any */
    const json_t *room_types; /* array of strings and null (rooms without a type); NULL: any */
};

/* Writes the whole reply; a page ends when it is long. M_INVALID_PARAM for an invalid token. */
const struct err *directory_list(struct job *job, const struct directory_query *q, struct buf *out);

#endif
