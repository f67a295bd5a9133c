/* Shared by users/receipts.c (setting receipts) and users/receipts_event.c (writing m.receipt
 * events). */
#ifndef USERS_RECEIPTS_INTERNAL_H
#define USERS_RECEIPTS_INTERNAL_H

#include "storage/users/receipts.h"

const char *receipt_type_name(enum receipt_type type);
/* {"ts":…,"thread_id":…} */
void receipt_add_data(struct buf *out, const struct receipt *r);

#endif
