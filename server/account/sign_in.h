/* Signs in an authenticated user: a device and its tokens. Shared by login, registration and
 * refresh. */
#ifndef SERVER_ACCOUNT_SIGN_IN_H
#define SERVER_ACCOUNT_SIGN_IN_H

#include "base/json.h"
#include "server/account/caller.h"

enum { DEVICE_NAME_MAX = 255 }; /* bytes */

struct sign_in {
    const char *device_id;    /* NULL: one is made */
    const char *display_name; /* of a new device; NULL: none */
    bool refreshable;         /* the client can refresh: the access token expires */
};

/* device_id, initial_device_display_name and refresh_token of a request's body. */
const struct err *sign_in_read(const json_t *body, struct sign_in *ret);

/* Makes or reuses the device, ends its previous tokens, and makes new ones. ret: the members of the
 * reply (user_id, access_token, device_id, home_server, and those for refresh tokens); the caller
 * owns it. */
const struct err *sign_in(struct job *job, int64_t user, const char *user_id,
                          const struct sign_in *how, json_t **ret);

/* The reply to a refresh, which is charged to the token's owner (RATE_ACCOUNT). M_UNKNOWN_TOKEN
 * when the token is unknown or was replaced. */
const struct err *sign_in_refresh(struct request *rq, const char *refresh_token, json_t **ret);

#endif
