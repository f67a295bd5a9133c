/* m.signing_key_update: another server's user has new cross-signing keys (server-server-api,
 * "End-to-End Encryption"). Such updates have no stream_id, unlike device updates. */
#include "federation/in/edu_in.h"
#include "federation/in/edu_read.h"
#include "federation/peer/remote_user.h"
#include "federation/users/received_keys.h"
#include "users/device_changes.h"

const struct err *edu_in_signing_key_update(struct job *job, const char *origin,
                                            const json_t *content)
{
    struct signing_key_update u;
    struct remote_list l;
    bool relevant, differs = true;
    TRY(edu_read_signing_key_update(content, &u));
    TRY(remote_user_check(job, origin, u.user_id, &l, &relevant));
    if (!relevant)
        return NULL;
    struct write *w = write_begin(job);
    if (l.exists) {
        struct received_keys received = {.user_id = u.user_id, .user = l.user};
        struct stored_keys stored;
        received_keys_add_cross_signing(job->arena, &received, KEY_MASTER, u.master);
        received_keys_add_cross_signing(job->arena, &received, KEY_SELF_SIGNING, u.self_signing);
        TRY(stored_keys_read(job, &u.user_id, 1, &stored));
        differs = received_keys_write(job, w, &received, &stored, false);
        remote_list_write_touched(w, l.user);
    }
    if (differs)
        TRY(remote_devices_change_add(job, w, l.user, u.user_id));
    if (write_is_empty(w))
        return NULL;
    return write_commit(job, w, NULL);
}
