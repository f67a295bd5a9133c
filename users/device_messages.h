/* Delivers to-device messages from a client or another server to our users' devices
 * ("Send-to-Device messaging"). A large delivery is split into several writes, so that no commit
 * takes long. Each write has a number, under which its sender's transaction is noted. */
#ifndef USERS_DEVICE_MESSAGES_H
#define USERS_DEVICE_MESSAGES_H

#include "base/str.h"
#include "storage/db/write.h"

enum {
    DEVICE_MESSAGES_MAX = 10000,      /* (user, device) pairs in one request */
    DEVICE_TARGETS_MAX = 20000,       /* devices, after "*" has become devices */
    DEVICE_MESSAGE_BYTES_MAX = 65536, /* of one content, as of an event */
    DEVICE_PIECE_BYTES = 512 << 10,   /* approximate size of one write */
};

struct device_message {
    const char *sender, *type;
    int64_t source; /* storage/devices/to_device.h */
};

struct device_delivery {
    struct device_message message;
    const struct device_target *targets;
    const struct str *contents; /* by target.wanted */
    size_t n, next;
    size_t bytes; /* in the database, rows included */
};

struct device_content {
    const char *user_id, *device_id;
    struct str json; /* compact, keys sorted */
};

struct device_contents {
    struct device_content *list;
    size_t n, cap;
};

/* messages: user ids -> device ids or "*" -> content, as bytes of a VALID document
 * (matrix/json_scan.h). Unknown users and devices are ignored. ret_others receives the messages for
 * other servers' users, grouped by user; NULL ignores them. Messages from our users (source > 0)
 * must be canonical. M_BAD_JSON, M_TOO_LARGE or M_INVALID_PARAM if malformed or too large;
 * ERR_UNAVAILABLE if there is no memory for a content's tree. */
const struct err *device_messages_prepare(struct job *job, const struct device_message *m,
                                          struct str messages, struct device_delivery *ret,
                                          struct device_contents *ret_others);

/* Whether messages are left to add, and adding as many as fit into one write. */
bool device_messages_left(const struct device_delivery *d);
void device_messages_add(struct device_delivery *d, struct write *w, size_t *bytes);

/* Call once everything is committed: enforces the limits of users/message_quota.h. */
const struct err *device_messages_bound(struct job *job, const struct device_delivery *d);

#endif
