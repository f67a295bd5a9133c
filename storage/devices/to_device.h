/* To-device messages: one row for each target device until the device has acknowledged it, or for
 * each remote server until it was sent there ("Send-to-Device messaging"). A message to several
 * devices is stored once (to_device_contents); their rows refer to it, and it is deleted with the
 * last of them.
 *
 * A device's /sync reads the messages between its token and the end of the log. If it does not
 * return all of them, its next token must be the position of the last message that it did return:
 * messages at or before a token that is used count as delivered. */
#ifndef STORAGE_DEVICES_TO_DEVICE_H
#define STORAGE_DEVICES_TO_DEVICE_H

#include "storage/db/write.h"

/* A device of ours. */
struct to_device_address {
    int64_t user, device;
    const char *device_id;
};

/* Stores a message for a local device and wakes it. json: the whole event (sender, type, content);
 * it must live until the write is committed. source: the sender, a user of ours or, below zero,
 * another server. */
void to_device_write(struct write *w, const struct to_device_address *to, struct str json,
                     int64_t source);
/* The same message for several: its content is stored once. */
void to_device_write_shared(struct write *w, const struct to_device_address *to, size_t n,
                            struct str json, int64_t source);

/* Stores an EDU (content of m.direct_to_device, canonical) for another server. */
void to_device_outbound_write(struct write *w, const char *server, struct str json, int64_t source);

struct to_device_message {
    int64_t position;
    struct str json;
};

/* The device's oldest messages with since < position <= until, at most limit. */
const struct err *to_device_read(struct tx *tx, int64_t device, int64_t since, int64_t until,
                                 int limit, const struct to_device_message **ret, size_t *ret_n,
                                 bool *ret_more);
/* Deletes what the device has acknowledged: position <= until. */
const struct err *to_device_delete(struct tx *tx, int64_t device, int64_t until);

/* What a device's /sync returns on its keys, as JSON, and the positions of its oldest and newest
 * waiting message (0: none). users/device_state.h keeps it. */
struct device_summary {
    const char *one_time_key_counts;   /* object; signed_curve25519 is always in it */
    const char *unused_fallback_types; /* array */
    int64_t first_message, last_message;
};
const struct err *device_summary_read(struct tx *tx, int64_t device, struct device_summary *ret);

/* The messages that wait for another server. */
const struct err *to_device_outbound_read(struct tx *tx, const char *server, int64_t since,
                                          int limit, const struct to_device_message **ret,
                                          size_t *ret_n);
const struct err *to_device_outbound_delete(struct tx *tx, const char *server, int64_t until);

/* Local devices by user id and device id; "*" is every device of the user. Unknown ones are left
 * out. At most limit. */
struct device_target {
    struct to_device_address to;
    size_t wanted; /* index of the pair that selected it; ascending */
};
const struct err *to_device_targets(struct tx *tx, const char *const *user_ids,
                                    const char *const *device_ids, size_t n, int64_t limit,
                                    const struct device_target **ret, size_t *ret_n);

/* The bytes that wait from a source, here and for other servers, and the bytes that wait for a
 * device. Each reads all of the rows: users/message_quota.h calls it rarely. */
enum { TO_DEVICE_ROW_BYTES = 256 }; /* counted for a row besides its text */
struct to_device_amount {
    int64_t n, bytes;
};
const struct err *to_device_caused(struct tx *tx, int64_t source, struct to_device_amount *ret);
const struct err *to_device_waiting(struct tx *tx, int64_t device, struct to_device_amount *ret);
/* Deletes the oldest messages from a source (at most max here, and max for other servers); and the
 * oldest that wait for a device, from the source that has most there. */
const struct err *to_device_drop_caused(struct tx *tx, int64_t source, int64_t max, int64_t *ret_n);
const struct err *to_device_drop_waiting(struct tx *tx, int64_t device, int64_t max,
                                         int64_t *ret_n);
/* Deletes messages for deleted devices, and contents without references: a bounded number, from
 * *place on, which becomes 0 at the end. */
const struct err *to_device_sweep(struct tx *tx, int64_t *place);

/* Transaction ids (hashed with the endpoint's path): a repeated request sends nothing. The write
 * fails with ERR_CONFLICT when another request with the same id was first. */
const struct err *to_device_txn_exists(struct tx *tx, int64_t device, struct str txn, bool *ret);
void to_device_txn_write(struct write *w, int64_t device, struct str txn, int64_t ts);
const struct err *to_device_txns_delete_before(struct tx *tx, int64_t ts);

#endif
