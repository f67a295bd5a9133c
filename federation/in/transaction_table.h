/* The transactions that are being received, by sending server. One that is repeated while the first
 * is still being processed gets the same answer, and no server has more in progress than its share
 * ("Transactions"). The newest answers are kept in memory; events of older repeats are known
 * already. */
#ifndef FEDERATION_IN_TRANSACTION_TABLE_H
#define FEDERATION_IN_TRANSACTION_TABLE_H

#include "base/str.h"
#include "base/waiter.h"

struct transaction_table;
/* waiting_max: of one server */
struct transaction_table *transaction_table_create(size_t waiting_max);
void transaction_table_destroy(struct transaction_table *t);

enum admission {
    ADMIT_RUN,  /* process it, then transaction_finish() */
    ADMIT_WAIT, /* the waiter is woken; then call again */
    ADMIT_DONE, /* processed before: *ret_reply, in the arena */
    ADMIT_BUSY  /* the server has too many waiting */
};
enum admission transaction_admit(struct transaction_table *t, struct arena *a, const char *origin,
                                 const char *txn, struct str body, struct waiter *w,
                                 struct str *ret_reply);

/* reply.p NULL: it failed, and is processed again if it is repeated. */
void transaction_finish(struct transaction_table *t, const char *origin, const char *txn,
                        struct str body, struct str reply);

#endif
