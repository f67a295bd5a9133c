/* The caller of a request: set by the authenticate hook, read by handlers through caller_of(). */
#ifndef SERVER_ACCOUNT_CALLER_H
#define SERVER_ACCOUNT_CALLER_H

#include "http/request.h"
#include "storage/db/job.h"
#include "users/presence.h"

struct caller {
    int64_t user;        /* users.id */
    const char *user_id; /* "@name:server" */
    int64_t device;      /* devices.id */
    const char *device_id;
    bool is_admin, is_guest;
    bool is_suspended; /* may read and leave, not write (M_USER_SUSPENDED) */
};

static inline struct job *job_of(struct request *rq)
{
    return rq->job;
}

/* NULL only on routes that need no caller. */
static inline const struct caller *caller_of(const struct request *rq)
{
    return rq->caller;
}

static inline struct presence_who presence_who_of(const struct request *rq)
{
    const struct caller *c = caller_of(rq);
    return (struct presence_who){.user = c->user, .device = c->device, .user_id = c->user_id};
}

#endif
