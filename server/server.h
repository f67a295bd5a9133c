/* What the server floor owns as long as the node lives. Its parts have locks of their own. */
#ifndef SERVER_SERVER_H
#define SERVER_SERVER_H

#include <stdbool.h>

struct server {
    struct auth *auth;        /* server/account/auth.h */
    struct media_repo *media; /* server/media/repo.h */
    struct rate_table *rates; /* http/rate.h: also of passwords (server/account/attempts.h) */
    struct pushes *pushes;    /* server/push/push.h; NULL: none are sent */
    struct sliding *sliding;  /* server/sliding/connections.h */
    struct sliding_requests *requests; /* server/sliding/requests.h */
    _Atomic bool is_stopping;          /* so /ready says no, while requests are still answered */
};

#endif
