/* Delivering to-device messages to our own users' devices, whatever sent them: a client or another
 * server ("Send-to-Device messaging"). */
#ifndef ROOMS_DEVICE_MESSAGES_H
#define ROOMS_DEVICE_MESSAGES_H

#include "base/json.h"
#include "storage/write.h"

enum {
    DEVICE_MESSAGES_MAX = 10000,         /* (user, device) pairs in one request */
    DEVICE_MESSAGE_BYTES_MAX = 65536,    /* of one content, as for events in rooms */
    DEVICE_MESSAGES_BYTES_MAX = 32 << 20 /* of one request, after "*" has become devices */
};

struct device_message {
    const char *sender, *type;
};

/* messages: user ids -> device ids or "*" -> content. Adds a row for each device of ours to the
 * write; unknown users and devices are ignored. ret_others (may be NULL: they are ignored): what is
 * for users of other servers, as server names -> user ids -> devices -> content; it belongs to the
 * arena. M_BAD_JSON, M_TOO_LARGE or M_INVALID_PARAM for what is malformed or too much. */
const struct err *device_messages_add(struct job *job, struct write *w,
                                      const struct device_message *m, const json_t *messages,
                                      json_t **ret_others);

#endif
