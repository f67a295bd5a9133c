/* What users/receipts.c (setting them) and users/receipts_event.c (telling of them) share. */
#ifndef USERS_RECEIPTS_INTERNAL_H
#define USERS_RECEIPTS_INTERNAL_H

#include "storage/users/receipts.h"

const char *receipt_type_name(enum receipt_type type);
/* {"ts":…,"thread_id":…} */
void receipt_add_data(struct buf *out, const struct receipt *r);

#endif
