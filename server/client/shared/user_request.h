/* Shared by the handlers below /user/{user}/. */
#ifndef SERVER_CLIENT_SHARED_USER_REQUEST_H
#define SERVER_CLIENT_SHARED_USER_REQUEST_H

#include "server/account/caller.h"

/* M_FORBIDDEN unless the path's {user} is the caller. */
const struct err *need_own_user(const struct request *rq);

/* rooms.id of the path's {room}: M_INVALID_PARAM for a malformed room id, 0 for an unknown room. */
const struct err *room_number_of_request(struct request *rq, int64_t *ret);

/* A change of an account data object based on its old content: `edit` makes the new content from
 * the old one (NULL: none), and is called again when another request was faster. It returns a
 * new reference. */
struct account_edit {
    int64_t user, room;
    const char *type;
    const struct err *(*edit)(void *ctx, const json_t *before, json_t **ret);
    void *ctx;
};
const struct err *account_data_edit(struct job *job, const struct account_edit *e);

#endif
