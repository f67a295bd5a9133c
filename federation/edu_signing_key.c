/* m.signing_key_update: another server's user has new cross-signing keys (server-server-api,
 * "End-to-End Encryption"). Such updates have no place in the chain of device updates. */
#include "federation/edu.h"
#include "federation/remote_user.h"
#include "federation/told_keys.h"
#include "rooms/device_changes.h"

const struct err *edu_signing_key_update(struct job *job, const char *origin, const json_t *content)
{
    const char *user_id;
    const json_t *master, *self_signing;
    struct remote_list l;
    bool heed, differs = true;
    TRY(json_need_string(content, "user_id", &user_id));
    TRY(json_want_object(content, "master_key", &master));
    TRY(json_want_object(content, "self_signing_key", &self_signing));
    TRY(remote_user_heed(job, origin, user_id, &l, &heed));
    if (!heed)
        return NULL;
    struct write *w = write_begin(job);
    if (l.exists) {
        struct told_keys told = {.user_id = user_id, .user = l.user};
        struct stored_keys stored;
        told_keys_add_cross_signing(job->arena, &told, KEY_MASTER, master);
        told_keys_add_cross_signing(job->arena, &told, KEY_SELF_SIGNING, self_signing);
        TRY(stored_keys_read(job, &user_id, 1, &stored));
        differs = told_keys_write(job, w, &told, &stored, false);
        remote_list_write_touched(w, l.user);
    }
    if (differs)
        TRY(remote_devices_change_add(job, w, l.user, user_id));
    if (write_is_empty(w))
        return NULL;
    return write_commit(job, w, NULL);
}
