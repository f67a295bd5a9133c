/* Asking for the keys of servers: one request, its answer checked and kept in the database. */
#ifndef FEDERATION_KEYS_KEY_FETCH_H
#define FEDERATION_KEYS_KEY_FETCH_H

#include "federation/keys/key_response.h"
#include "federation/keys/key_settings.h"
#include "federation/keys/key_table.h"

/* What was learnt, and how much is to be made of it. */
struct key_answer {
    struct key_response keys;
    enum key_source source;
};

/* GET /_matrix/key/v2/server of the server itself. */
const struct err *key_fetch_direct(struct job *job, const char *server, struct key_answer *ret);

struct key_query {
    const char *server;
    const char *key_id; /* NULL: all it has */
};
/* POST /_matrix/key/v2/query to a notary. Answers about others than were asked for, and those that
 * are wrong or not signed by the notary, are left out. */
const struct err *key_fetch_from_notary(struct job *job, const struct server_key *notary,
                                        const struct key_query *queries, size_t n,
                                        const struct key_answer **ret, size_t *ret_n);

#endif
