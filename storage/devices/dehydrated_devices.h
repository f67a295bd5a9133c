/* Dehydrated devices (MSC3814): at most one a user. It is a device with keys and waiting messages
 * on which the user is not signed in; the data is for rehydrating it. */
#ifndef STORAGE_DEVICES_DEHYDRATED_DEVICES_H
#define STORAGE_DEVICES_DEHYDRATED_DEVICES_H

#include "storage/devices/devices.h"

struct dehydrated_device {
    struct device device; /* id 0: the user has none; else id and device_id are filled */
    struct str data;      /* JSON object */
};

const struct err *dehydrated_device_get(struct tx *tx, int64_t user, struct dehydrated_device *ret);
/* Replaces the user's previous one. It is deleted with its device (e2ee_delete_devices). */
void dehydrated_device_write(struct write *w, int64_t user, int64_t device, struct str data);

#endif
