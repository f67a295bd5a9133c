/* The directories of published rooms, ours and those of other servers (client-server-api and
 * server-server-api, "Published Room Directory"), which use the same parameters. */
#ifndef FEDERATION_ROUTES_PUBLIC_ROOMS_H
#define FEDERATION_ROUTES_PUBLIC_ROOMS_H

#include "http/reply.h"
#include "http/request.h"
#include "rooms/read/directory.h"

struct public_rooms {
    struct directory_query list; /* limit: within our bounds already */
    bool all_networks;
    const char *network; /* third_party_instance_id; NULL: Matrix rooms */
};

/* The query of a GET, the body of a POST. M_INVALID_PARAM, M_BAD_JSON. */
const struct err *public_rooms_of_url(const struct request *rq, struct public_rooms *ret);
const struct err *public_rooms_of_body(const json_t *body, struct public_rooms *ret);

/* Our directory, as the whole reply. */
const struct err *public_rooms_list(struct job *job, const struct public_rooms *q,
                                    struct reply *rp);

/* The part of another server's answer that clients get; owned. */
json_t *public_rooms_read_answer(const json_t *answer);

/* Another server's directory, checked; owned. Blocks: see federation/routes/query.h, also for
 * errors. */
const struct err *federation_public_rooms(struct job *job, const char *server,
                                          const struct public_rooms *q, json_t **ret);

#endif
