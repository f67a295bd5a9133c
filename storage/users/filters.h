/* filters: uploaded by clients, immutable and numbered. */
#ifndef STORAGE_USERS_FILTERS_H
#define STORAGE_USERS_FILTERS_H

#include "storage/db/db.h"

enum { FILTERS_MAX = 1000 }; /* of one user */

/* Stores a filter (raw JSON); the same JSON of the same user keeps its id. M_TOO_LARGE beyond the
 * limit. */
const struct err *filters_add(struct tx *tx, int64_t user, struct str json, int64_t *ret_id);
/* json.p == NULL when this user has no such filter. */
const struct err *filters_get(struct tx *tx, int64_t user, int64_t id, struct str *ret_json);

#endif
