/* Client-server API, "Third-party Lookup": no network is bridged here, so nothing is found. */
#include "server/account/caller.h"
#include "server/routes.h"

static const struct err *get_protocols(struct request *rq, struct reply *rp)
{
    return reply_empty(rp);
}

static const struct err *get_protocol(struct request *rq, struct reply *rp)
{
    return err(ERR_NOT_FOUND, "This server bridges no network \"%.100s\"",
               request_param(rq, "protocol"));
}

static const struct err *get_nothing(struct request *rq, struct reply *rp)
{
    BUF_LIT(&rp->body, "[]");
    return reply_body(rp, 200);
}

#define LOOKUP(path_, handler_)                                                                    \
    {                                                                                              \
        .method = GET, .path = "/_matrix/client/v3/thirdparty/" path_, .handler = handler_,        \
        .who = WHO_GUEST_TOO, .spec = "Third-party Lookup"                                         \
    }

const struct route third_party_lookup_routes[] = {
    LOOKUP("protocols", get_protocols),
    LOOKUP("protocol/{protocol}", get_protocol),
    LOOKUP("location", get_nothing),
    LOOKUP("location/{protocol}", get_nothing),
    LOOKUP("user", get_nothing),
    LOOKUP("user/{protocol}", get_nothing),
    {.path = NULL},
};
