#include "users/device_changes.h"

#include "users/session.h"

#include <assert.h>

/* Each device gets a position of its own: the stream_id by which other servers know the change. */
const struct err *device_changes_add(struct job *job, struct write *w, int64_t user,
                                     const char *user_id, const char *const *device_ids, size_t n)
{
    assert(n > 0);
    struct change change = {
        .kind = CHANGE_DEVICE_LIST, .user = user, .device_list.user_id = user_id};
    int at = 0;
    TRY(session_fill_audience(job, &change));
    for (size_t i = 0; i < n; i++) {
        at = write_change(w, &change);
        device_change_write(w, user, device_ids[i], at);
    }
    device_changes_prune(w, user);
    device_lists_write(w, user, at);
    return NULL;
}

const struct err *remote_devices_change_add(struct job *job, struct write *w, int64_t user,
                                            const char *user_id)
{
    struct change change = {
        .kind = CHANGE_DEVICE_LIST, .user = user, .device_list.user_id = user_id};
    TRY(session_fill_audience(job, &change));
    device_lists_write(w, user, write_change(w, &change));
    return NULL;
}
