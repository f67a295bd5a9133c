/* Fetches the keys of servers: one request; its answer is checked and stored. */
#ifndef FEDERATION_KEYS_KEY_FETCH_H
#define FEDERATION_KEYS_KEY_FETCH_H

#include "federation/keys/key_response.h"
#include "federation/keys/key_settings.h"
#include "federation/keys/key_table.h"

/* The keys of an answer, and how far they are trusted. */
struct key_answer {
    struct key_response keys;
    enum key_source source;
};

/* GET /_matrix/key/v2/server of the server itself. */
const struct err *key_fetch_direct(struct job *job, const char *server, struct key_answer *ret);

struct key_query {
    const char *server;
    const char *key_id; /* NULL: all */
};
/* POST /_matrix/key/v2/query to a notary. Answers about other servers, and those that are invalid
 * or not signed by the notary, are skipped. */
const struct err *key_fetch_from_notary(struct job *job, const struct server_key *notary,
                                        const struct key_query *queries, size_t n,
                                        const struct key_answer **ret, size_t *ret_n);

#endif
