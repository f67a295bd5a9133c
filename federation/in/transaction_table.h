/* The transactions that are being received, by the server that sends them: one that is repeated
 * while the first is still at work gets the same answer, and no server has more at work than its
 * share ("Transactions"; the newest answers are kept in memory, older repeats find their events
 * known). */
#ifndef FEDERATION_IN_TRANSACTION_TABLE_H
#define FEDERATION_IN_TRANSACTION_TABLE_H

#include "base/str.h"
#include "base/waiter.h"

struct transaction_table;
struct transaction_table *transaction_table_create(size_t waiting_max); /* of one server */
void transaction_table_destroy(struct transaction_table *t);

enum admission {
    ADMIT_RUN,  /* do it, then transaction_finish() */
    ADMIT_WAIT, /* the waiter is woken when it is worth asking again */
    ADMIT_DONE, /* it was done before: *ret_reply, in the arena */
    ADMIT_BUSY  /* the server has too many waiting */
};
enum admission transaction_admit(struct transaction_table *t, struct arena *a, const char *origin,
                                 const char *txn, struct str body, struct waiter *w,
                                 struct str *ret_reply);

/* reply.p NULL: it failed, and is done anew when it is repeated. */
void transaction_finish(struct transaction_table *t, const char *origin, const char *txn,
                        struct str body, struct str reply);

#endif
