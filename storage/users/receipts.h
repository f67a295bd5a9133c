/* receipts: how far users have read, one row for each user, type and thread of a room. */
#ifndef STORAGE_USERS_RECEIPTS_H
#define STORAGE_USERS_RECEIPTS_H

#include "storage/db/write.h"

enum receipt_type { RECEIPT_READ = 1, RECEIPT_READ_PRIVATE = 2 }; /* as stored */

struct receipt {
    int64_t user;
    const char *user_id;
    enum receipt_type type;
    const char *thread; /* "" unthreaded, "main", or the event id of the thread's root */
    const char *event_id;
    int64_t event; /* its position; 0: not stored */
    int64_t ts;
};

/* As change `at`; never moves one backwards. */
void receipts_write(struct write *w, int64_t room, const struct receipt *r, int at);

/* Deletes a user's oldest receipts in threads, down to `keep`. */
void receipts_drop_oldest(struct write *w, int64_t room, int64_t user, int64_t keep);

/* One user's in one room. user_id is not filled. */
const struct err *receipts_of_user(struct tx *tx, int64_t room, int64_t user,
                                   const struct receipt **ret, size_t *ret_n);
/* The receipts set in (since, until] that this user may see. since 0: all. */
const struct err *receipts_since(struct tx *tx, int64_t room, int64_t user, int64_t since,
                                 int64_t until, const struct receipt **ret, size_t *ret_n);
/* Those set up to `until` that this user may see: their own, and those for events at `from` and
 * later positions. */
const struct err *receipts_of_events(struct tx *tx, int64_t room, int64_t user, int64_t from,
                                     int64_t until, const struct receipt **ret, size_t *ret_n);

#endif
