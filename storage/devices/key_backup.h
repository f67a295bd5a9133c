/* Backups of room keys, encrypted by the clients (end-to-end encryption, "Server-side key
 * backups").
 *
 * A user's backups are numbered 1, 2, …; keys are written to the newest one that is not deleted.
 * The etag counts how often the keys of a backup have changed. */
#ifndef STORAGE_DEVICES_KEY_BACKUP_H
#define STORAGE_DEVICES_KEY_BACKUP_H

#include "storage/db/write.h"

struct key_backup {
    int64_t version, etag, count;
    const char *algorithm; /* NULL: no such backup */
    struct str auth_data;  /* JSON object */
    bool deleted;
};

enum { KEY_BACKUPS_MAX = 100 }; /* of one user, without deleted ones */

/* ERR_TOO_LARGE when there are too many, ERR_CONFLICT when another request of the user was first:
 * retry. */
const struct err *key_backup_create(struct tx *tx, int64_t user, const char *algorithm,
                                    struct str auth_data, int64_t *ret_version);
/* Also finds a deleted one; version 0: the newest that is not deleted. */
const struct err *key_backup_get(struct tx *tx, int64_t user, int64_t version,
                                 struct key_backup *ret);
/* The same, and keeps every other writer of it out until the transaction ends. */
const struct err *key_backup_lock(struct tx *tx, int64_t user, int64_t version,
                                  struct key_backup *ret);
const struct err *key_backup_set_auth_data(struct tx *tx, int64_t user, int64_t version,
                                           struct str auth_data);
/* Its keys cannot be read any more, and are deleted in the background (key_backups_sweep). */
const struct err *key_backup_delete(struct tx *tx, int64_t user, int64_t version);
void key_backups_delete(struct write *w, int64_t user); /* all of them, as part of a write */
/* Deletes a bounded number of keys of deleted backups. */
const struct err *key_backups_sweep(struct tx *tx);

struct backup_session {
    const char *room_id, *session_id;
    int64_t first_message_index, forwarded_count;
    bool is_verified;
    struct str session_data; /* JSON object */
};

/* Stores keys, but keeps a stored one that is better (verified, then lower first index, then
 * forwarded less often). Inside a transaction that has locked the backup; `keys` must have no
 * duplicates. */
const struct err *backup_sessions_put(struct tx *tx, int64_t user, int64_t version,
                                      const struct backup_session *sessions, size_t n,
                                      struct key_backup *ret);

/* Which keys: of one room, of one session of it, or (both NULL) all. */
struct backup_scope {
    const char *room_id, *session_id;
};

/* At most limit keys in order of room and session; `after` (NULL: from the start) is the last one
 * of the previous page. The rows live in the arena until rows_finish(ret_rows). */
const struct err *backup_sessions_read(struct tx *tx, int64_t user, int64_t version,
                                       struct backup_scope scope,
                                       const struct backup_session *after, int limit,
                                       struct rows *ret_rows, struct backup_session *ret,
                                       size_t *ret_n);

/* The size of the keys in all backups of a user. */
const struct err *key_backups_used_by(struct tx *tx, int64_t user, int64_t *ret_bytes);

/* Also inside a transaction that has locked the backup. */
const struct err *backup_sessions_delete(struct tx *tx, int64_t user, int64_t version,
                                         struct backup_scope scope, struct key_backup *ret);

#endif
