/* Who has changed devices or cross-signing keys, and when last: device_list_changes, one row a
 * user. Clients that share a room with the user, and other servers, are told by it. */
#ifndef STORAGE_DEVICE_LISTS_H
#define STORAGE_DEVICE_LISTS_H

#include "storage/write.h"

/* Stores what the change `at` of this write, a CHANGE_DEVICE_LIST of the user, says. */
void device_lists_write(struct write *w, int64_t user, int at);

#endif
