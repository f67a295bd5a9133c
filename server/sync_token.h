/* Tokens of /sync and of pagination: `s<position>_<serial>_<epoch>`. The serial is for what of
 * typing is not in the log; the epoch says which history of the log the position belongs to
 * (storage/db/epochs.h). Those of sliding sync go on with `_c<number>`, which names the state of
 * the connection (server/sliding/connection.h). Both kinds are accepted for any token parameter
 * (clients paginate back from a sync token), and so are those of earlier versions, which end after
 * the position or the serial. */
#ifndef SERVER_SYNC_TOKEN_H
#define SERVER_SYNC_TOKEN_H

#include "storage/db/job.h"

struct sync_token {
    /* In the current log. Below zero: a place in history that was fetched later. */
    int64_t position;
    int64_t serial; /* of typing; 0 when the token has none */
    int64_t number; /* of a connection's state; 0 when the token has none */
    /* The token's client has seen history that the database has lost: the position is where that
     * begins. */
    bool is_lost;
};

void sync_token_add(struct buf *b, const struct storage *storage, int64_t position, int64_t serial);

/* number: of a connection's state. */
void sync_token_add_pos(struct buf *b, const struct storage *storage, int64_t position,
                        int64_t serial, int64_t number);

/* Waits until this node has seen what the token's client has; NULL or "": what was committed
 * before.
 */
const struct err *sync_token_await(const struct storage *storage, const char *text);

/* M_INVALID_PARAM when it is not one of this server's. */
const struct err *sync_token_parse(const struct storage *storage, const char *text,
                                   struct sync_token *ret);

/* The same for readers of the log, which begins at zero; a token from beyond its head is lost, too.
 */
const struct err *sync_token_parse_since(const struct storage *storage, const char *text,
                                         struct sync_token *ret);

#endif
