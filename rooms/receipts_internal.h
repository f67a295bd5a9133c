/* What rooms/receipts.c (setting them) and rooms/receipts_show.c (telling of them) share. */
#ifndef ROOMS_RECEIPTS_INTERNAL_H
#define ROOMS_RECEIPTS_INTERNAL_H

#include "storage/receipts.h"

const char *receipt_type_name(enum receipt_type type);
/* {"ts":…,"thread_id":…} */
void receipt_add_data(struct buf *out, const struct receipt *r);

#endif
