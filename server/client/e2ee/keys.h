/* Uploading the keys of a device: /keys/upload, and the same for a dehydrated device. */
#ifndef SERVER_CLIENT_E2EE_KEYS_H
#define SERVER_CLIENT_E2EE_KEYS_H

#include "storage/db/write.h"
#include "users/device_state.h"

/* The owner of the keys. */
struct key_owner {
    int64_t user, device;
    const char *user_id, *device_id;
};

/* Checks device_keys, one_time_keys and fallback_keys of a request's body and adds new ones to the
 * write. Nothing is written when all are stored already. */
const struct err *keys_upload_add(struct job *job, const struct key_owner *owner,
                                  const json_t *body, struct write *w);

#endif
