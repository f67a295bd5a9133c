/* Delivering to-device messages to our own users' devices, whatever sent them: a client or another
 * server ("Send-to-Device messaging"). What is much goes in several writes, so that no commit takes
 * long; each has a number, under which its sender's transaction is noted. */
#ifndef USERS_DEVICE_MESSAGES_H
#define USERS_DEVICE_MESSAGES_H

#include "base/str.h"
#include "storage/db/write.h"

enum {
    DEVICE_MESSAGES_MAX = 10000,      /* (user, device) pairs in one request */
    DEVICE_TARGETS_MAX = 20000,       /* devices, after "*" has become devices */
    DEVICE_MESSAGE_BYTES_MAX = 65536, /* of one content, as for events in rooms */
    DEVICE_PIECE_BYTES = 512 << 10,   /* of one write, about */
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
    size_t bytes; /* that it takes in the database, with rows */
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
 * (matrix/json_scan.h). Unknown users and devices are ignored. ret_others (may be NULL: they are
 * ignored): what is for users of other servers, a user's side by side. What comes from our users
 * (source > 0) has to be canonical. M_BAD_JSON, M_TOO_LARGE or M_INVALID_PARAM for what is
 * malformed or too much; ERR_UNAVAILABLE when there is no memory for a content's tree. */
const struct err *device_messages_prepare(struct job *job, const struct device_message *m,
                                          struct str messages, struct device_delivery *ret,
                                          struct device_contents *ret_others);

/* Adds what fits into one write, and how many bytes it is; until there is no more. */
bool device_messages_left(const struct device_delivery *d);
void device_messages_add(struct device_delivery *d, struct write *w, size_t *bytes);

/* After all is committed: what waits stays bounded (users/message_quota.h). */
const struct err *device_messages_bound(struct job *job, const struct device_delivery *d);

#endif
