/* Limits on trying things whatever address it is tried from: passwords of one account. */
#ifndef SERVER_ATTEMPTS_H
#define SERVER_ATTEMPTS_H

#include "base/config.h"
#include "http/route.h"
#include "storage/job.h"

/* Counts one. M_LIMIT_EXCEEDED when there were too many of this kind for this key lately. */
const struct err *attempts_count(struct job *job, enum route_rate kind,
                                 const struct config_rate *limit, const char *key);

/* Writes to the log which user a client could not prove to be, and from where. */
void attempts_log_failure(const struct request *rq, const char *user_id, const char *why);

#endif
