/* What all readers of a sync have in common: who reads, and which part of the log.
 *
 * A reader reads one stream (timeline, state, …) and yields values; it knows nothing of the reply.
 * GET /sync and the older routes write them, each in its format. Values live as long as the job's
 * arena. Readers take no locks that outlive the call; each header says what costs SQL. */
#ifndef SERVER_SYNC_READ_READER_H
#define SERVER_SYNC_READ_READER_H

#include "base/map.h"
#include "server/account/caller.h"
#include "users/session.h"

struct sync_reader {
    struct job *job;
    const struct caller *caller;
    struct session *session;   /* open; held by the job */
    const struct map *ignored; /* user ids; NULL: none */
    /* The recipient of lazily loaded members: a device, or a connection of sliding sync. */
    int64_t recipient;
};

/* (since, until] of the log, where every cache has seen `until`; and of the serials of typing, for
 * what of it is not in the log. */
struct sync_range {
    int64_t since, until;
    int64_t typing_since, typing_until;
    bool is_initial; /* since is 0: what there is, not what has changed */
    /* The token is from history that the database has lost: an initial sync, with additions for a
     * client that takes it for an incremental one. is_initial is set, too. */
    bool is_resync;
    bool from_feed; /* the ring reaches back to since */
};

/* Opens the reader's session, subscribes the waiter to it, and sets the end of the range, whose
 * beginning is set. Needs who's job, caller and recipient. */
const struct err *sync_reader_open(struct sync_reader *who, struct waiter *w,
                                   struct sync_range *range);

static inline bool sync_reader_ignores(const struct sync_reader *who, const char *user_id)
{
    return who->ignored && map_get(who->ignored, str_of(user_id));
}

#endif
