/* m.direct_to_device: messages for devices of our users (server-server-api, "Send-to-device
 * messaging"). A server repeats what it is not sure that we got: a message counts once. */
#include "base/clock.h"
#include "base/sha256.h"
#include "federation/edu.h"
#include "federation/remote_user.h"
#include "rooms/device_messages.h"
#include "storage/remote_devices.h"

enum {
    TYPE_BYTES_MAX = 255,
    MESSAGE_ID_BYTES_MAX = 255, /* 32 code points, says the specification; be lenient */
    HASH_BYTES = 16,
    KEPT_MS = 14 * 24 * 3600 * 1000 /* longer than anybody waits before trying again */
};

static struct str message_hash(struct arena *a, const char *origin, const char *message_id)
{
    unsigned char hash[SHA256_BYTES];
    const struct str parts[] = {str_of(origin), STR("\0"), str_of(message_id)};
    sha256_parts(parts, sizeof parts / sizeof *parts, hash);
    return (struct str){arena_memdup(a, hash, HASH_BYTES), HASH_BYTES};
}

/* Delivered before, by somebody who was faster: that is as good. */
static const struct err *settle(struct job *job, struct str hash, const struct err *e)
{
    bool received = false;
    if (!e || e->code != ERR_CONFLICT)
        return e;
    TRY(to_device_was_received(job_tx(job), hash, &received));
    return received ? NULL : err_copy(e);
}

const struct err *edu_direct_to_device(struct job *job, const char *origin, const json_t *content)
{
    struct device_message m = {0};
    const char *message_id;
    const json_t *messages;
    bool received;
    TRY(json_need_string(content, "sender", &m.sender));
    TRY(json_need_string(content, "type", &m.type));
    TRY(json_need_string(content, "message_id", &message_id));
    TRY(json_need_object(content, "messages", &messages));
    if (!is_user_of(origin, m.sender))
        return err(ERR_FORBIDDEN, "%.100s is not a user of %.100s", m.sender, origin);
    if (strlen(m.type) > TYPE_BYTES_MAX || strlen(message_id) > MESSAGE_ID_BYTES_MAX)
        return err(ERR_INVALID_PARAM, "The type or the id of a message is too long");

    struct str hash = message_hash(job->arena, origin, message_id);
    TRY(to_device_was_received(job_tx(job), hash, &received));
    if (received)
        return NULL;
    if (hash.p[0] == 0) /* one message in 256 clears away */
        TRY(to_device_received_delete_before(job_tx(job), now_ms() - KEPT_MS));
    struct write *w = write_begin(job);
    TRY(device_messages_add(job, w, &m, messages, NULL));
    if (write_is_empty(w))
        return NULL;
    to_device_received_write(w, hash, now_ms());
    return settle(job, hash, write_commit(job, w, NULL));
}
