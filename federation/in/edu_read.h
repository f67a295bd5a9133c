/* Parses EDUs (server-server-api, "EDUs"): pure functions, used by the handlers
 * (federation/in/edu_in.h). content is hostile; results point into it. A function that takes the
 * origin only accepts users of that server. */
#ifndef FEDERATION_IN_EDU_READ_H
#define FEDERATION_IN_EDU_READ_H

#include "base/json.h"
#include "storage/users/receipts.h"
#include "users/presence.h"

struct typing_edu {
    const char *room_id, *user_id;
    bool typing;
};
const struct err *edu_read_typing(const char *origin, const json_t *content,
                                  struct typing_edu *ret);

/* m.receipt, in one room: the users under "m.read". Malformed ones and those of other servers'
 * users are skipped. left: how many more may be examined. `user` and `event` stay 0. */
size_t edu_read_receipts(struct arena *a, const char *origin, const json_t *readers, size_t *left,
                         struct receipt **ret);

/* One member of the list "push" of m.presence. False if it is malformed. */
struct presence_push {
    const char *user_id, *status_msg; /* NULL: none */
    enum presence_state state;
    int64_t last_active_ago; /* ms; -1: unknown */
};
bool edu_read_presence(const char *origin, const json_t *push, struct presence_push *ret);

struct device_list_update {
    const char *user_id, *device_id, *display_name;
    int64_t stream_id;
    const json_t *prev_id, *keys; /* NULL: none */
    bool deleted;
};
const struct err *edu_read_device_list_update(const json_t *content,
                                              struct device_list_update *ret);

struct signing_key_update {
    const char *user_id;
    const json_t *master, *self_signing; /* NULL: none */
};
const struct err *edu_read_signing_key_update(const json_t *content,
                                              struct signing_key_update *ret);

/* content: the bytes of an object of a VALID document. */
struct direct_to_device {
    const char *sender, *type, *message_id; /* in the arena */
    struct str messages;
};
const struct err *edu_read_direct_to_device(struct arena *a, const char *origin, struct str content,
                                            struct direct_to_device *ret);

#endif
