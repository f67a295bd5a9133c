/* Account data of a user: what changed in a range, global and of rooms. */
#ifndef SERVER_SYNC_READ_ACCOUNT_H
#define SERVER_SYNC_READ_ACCOUNT_H

#include "matrix/filter.h"
#include "rooms/account_cache.h"
#include "server/sync/read/reader.h"
#include "storage/users/account_data.h"

struct sync_account {
    const struct account_data *list; /* in the arena, by position */
    size_t n;
    /* m.push_rules are due. Only the difference from the predefined rules is stored: their content
     * is read by sync_account_push_rules. */
    bool push_rules;
};

/* One query, unless the feed shows that nothing of this user has changed. */
const struct err *sync_account_read(const struct sync_reader *who, const struct sync_range *range,
                                    struct sync_account *ret);

/* The first of them after `after` (NULL: from the start) that belongs to the room (NULL: global)
 * and matches the filter; NULL if there is none. Stored push rules are left out. */
const struct account_data *sync_account_next(const struct sync_account *account,
                                             const struct account_data *after,
                                             const struct room *room,
                                             const struct event_filter *filter);

/* From the cache; else one query. Valid with the job's arena. */
const struct err *sync_account_push_rules(const struct sync_reader *who,
                                          const struct user_rules **ret);

#endif
