/* Accounts whose content was erased, and the membership intervals of rooms. */
#ifndef STORAGE_USERS_ERASURES_H
#define STORAGE_USERS_ERASURES_H

#include "storage/db/write.h"

/* From this write on the user's content is erased. If it was erased before, that position stays. */
void erasures_write(struct write *w, int64_t user, const char *user_id);

struct erasure_row {
    const char *user_id;
    int64_t position;
};
const struct err *erasures_list(struct tx *tx, const struct erasure_row **ret, size_t *ret_n);

/* Inside of a transaction: removes the messages of erased users from the next `limit` entries of
 * the search index; *ret_more: there are others. */
const struct err *erasures_forget_words(struct tx *tx, int64_t limit, bool *ret_more);

/* A membership interval: joined from one position to before another. */
struct join_interval {
    int64_t from, to;
};
const struct err *join_intervals_of_user(struct tx *tx, int64_t room, const char *user_id,
                                         const struct join_interval **ret, size_t *ret_n);
/* The intervals of all users of the server. */
const struct err *join_intervals_of_server(struct tx *tx, int64_t room, const char *server,
                                           const struct join_interval **ret, size_t *ret_n);

#endif
