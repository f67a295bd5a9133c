/* Which servers to ask about a room that is elsewhere, in which order, and whose answer counts. */
#ifndef FEDERATION_PEER_CANDIDATES_H
#define FEDERATION_PEER_CANDIDATES_H

#include "federation/rooms/join.h"

enum { CANDIDATES_MAX = 16 };

struct candidates {
    const char *servers[CANDIDATES_MAX];
    size_t n;
    bool left_out; /* there were others, which we may not contact */
};

/* Those of `via` first, then the servers of the user who sent the invite and of those who wrote
 * what an invite or knock shows, the one in the room's id, and what we know of the room. Each once,
 * none that closed federation forbids. */
const struct err *candidates_find(struct job *job, const char *room_id, const char *user_id,
                                  const struct via *via, struct candidates *ret);

typedef const struct err *candidate_fn(void *ctx, const char *server);

/* Asks one after the other until one succeeds or the time (ms) is over. Otherwise the error that
 * says most: what a server answered rather than that another was not reached. Errors that are no
 * fault of our client's become M_BAD_STATUS. */
const struct err *candidates_ask(const struct candidates *c, int64_t time_ms, candidate_fn *ask,
                                 void *ctx);

/* Does the error say that the server was not there, rather than what it decided? */
bool candidate_was_away(const struct err *e);

#endif
