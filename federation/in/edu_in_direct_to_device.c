/* m.direct_to_device: messages for devices of our users (server-server-api, "Send-to-device
 * messaging"). A server repeats what was not acknowledged; each message is delivered once. */
#include "base/clock.h"
#include "base/sha256.h"
#include "federation/in/edu_in.h"
#include "federation/in/edu_read.h"
#include "rooms/room_quota.h"
#include "storage/devices/remote_devices.h"
#include "users/device_messages.h"
#include "users/message_quota.h"

enum {
    HASH_BYTES = 16,
    KEPT_MS = 14 * 24 * 3600 * 1000 /* longer than any server's back-off */
};

/* The hash of one of the writes into which a message is split. */
static struct str message_hash(struct arena *a, const char *origin, const char *message_id,
                               int piece)
{
    unsigned char hash[SHA256_BYTES];
    const struct str parts[] = {str_of(origin), STR("\0"), str_of(message_id), STR("\0"),
                                str_of(arena_printf(a, "%d", piece))};
    sha256_parts(parts, piece ? 5 : 3, hash);
    return (struct str){arena_memdup(a, hash, HASH_BYTES), HASH_BYTES};
}

/* A conflict means that another thread has delivered it, which counts as success. */
static const struct err *edu_in_direct_to_device_settle(struct job *job, struct str hash,
                                                        const struct err *e)
{
    bool received = false;
    if (!e || e->code != ERR_CONFLICT)
        return e;
    TRY(to_device_was_received(job_tx(job), hash, &received));
    return received ? NULL : err_copy(e);
}

static const struct err *deliver(struct job *job, const char *origin, const char *message_id,
                                 struct device_delivery *d)
{
    for (int piece = 0; device_messages_left(d); piece++) {
        struct str hash = message_hash(job->arena, origin, message_id, piece);
        struct write *w = write_begin(job);
        size_t bytes = 0;
        device_messages_add(d, w, &bytes);
        to_device_received_write(w, hash, now_ms());
        TRY(edu_in_direct_to_device_settle(job, hash, write_commit(job, w, NULL)));
    }
    return device_messages_bound(job, d);
}

const struct err *edu_in_direct_to_device(struct job *job, const char *origin, struct str content)
{
    struct direct_to_device d;
    struct device_delivery delivery;
    bool received;
    TRY(edu_read_direct_to_device(job->arena, origin, content, &d));
    const struct device_message m = {d.sender, d.type, quota_source_of_server(origin)};
    TRY(device_messages_prepare(job, &m, d.messages, &delivery, NULL));
    if (!delivery.n)
        return NULL;
    struct str hash = message_hash(job->arena, origin, d.message_id, 0);
    TRY(to_device_was_received(job_tx(job), hash, &received));
    if (received && delivery.bytes <= DEVICE_PIECE_BYTES)
        return NULL;
    if (hash.p[0] == 0) /* one message in 256 deletes old hashes */
        TRY(to_device_received_delete_before(job_tx(job), now_ms() - KEPT_MS));
    TRY(deliver(job, origin, d.message_id, &delivery));
    return message_quota_caused(job, m.source, delivery.bytes);
}
