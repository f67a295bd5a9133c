/* The servers to ask about a room that this server is not in, their order, and the error that
 * counts. */
#ifndef FEDERATION_PEER_CANDIDATES_H
#define FEDERATION_PEER_CANDIDATES_H

#include "federation/rooms/join.h"

enum { CANDIDATES_MAX = 16 };

struct candidates {
    const char *servers[CANDIDATES_MAX];
    size_t n;
    bool left_out; /* some were excluded, since they are not allowed */
};

/* First the servers of `via`, then those of the user who sent the invite and of the senders of the
 * stripped state, the one in the room id, and those known to be in the room. Each once, only
 * allowed ones. */
const struct err *candidates_find(struct job *job, const char *room_id, const char *user_id,
                                  const struct via *via, struct candidates *ret);

typedef const struct err *candidate_fn(void *ctx, const char *server);

/* Asks one after the other until one succeeds or the time (ms) is over. Otherwise the most useful
 * error: a server's answer rather than a failed connection. Errors that are not our client's fault
 * become M_BAD_STATUS. */
const struct err *candidates_ask(const struct candidates *c, int64_t time_ms, candidate_fn *ask,
                                 void *ctx);

/* Whether the error means that the server was unreachable, rather than that it refused. */
bool candidate_was_away(const struct err *e);

#endif
