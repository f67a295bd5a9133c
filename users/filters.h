/* Filters named by requests: inline JSON, or the id of a stored filter (immutable, so cached by
 * id). */
#ifndef USERS_FILTERS_H
#define USERS_FILTERS_H

#include "matrix/filter.h"
#include "storage/db/job.h"

/* param: the query parameter; NULL gives the default filter. M_INVALID_PARAM if it is malformed or
 * unknown. The filter lives in the job's arena. */
const struct err *filter_load(struct job *job, int64_t user, const char *param, struct filter *ret);

struct filter_cache;
struct filter_cache *filter_cache_create(struct cache_budget *b);
void filter_cache_destroy(struct filter_cache *c);

#endif
