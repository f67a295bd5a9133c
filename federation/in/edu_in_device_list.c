/* m.device_list_update: a device of another server's user changed (server-server-api, "Device
 * Management").
 *
 * An update names the update before it. If that is the newest one we know, it is applied;
 * otherwise, and at the first update of a user, device_watch fetches the whole list. */
#include "federation/federation.h"
#include "federation/in/edu_in.h"
#include "federation/in/edu_read.h"
#include "federation/peer/remote_user.h"
#include "federation/users/device_watch.h"
#include "federation/users/received_keys.h"
#include "users/device_changes.h"

/* True if every update that this one follows is known. */
static bool follows(const struct device_list_update *u, const struct remote_list *l)
{
    size_t i;
    json_t *one;
    json_array_foreach ((json_t *)u->prev_id, i, one)
        if (!json_is_integer(one) || json_integer_value(one) != l->stream_id)
            return false;
    return json_array_size(u->prev_id) > 0;
}

static const struct err *edu_in_device_list_add_device(struct job *job, struct write *w,
                                                       const struct device_list_update *u,
                                                       int64_t user, bool *ret_differs)
{
    struct received_keys received = {.user_id = u->user_id, .user = user};
    struct stored_keys stored;
    struct public_key old;
    if (!u->deleted)
        received_keys_add_device(job->arena, &received, u->device_id, u->keys, u->display_name);
    if (received.n) {
        TRY(stored_keys_read(job, &u->user_id, 1, &stored));
        *ret_differs = received_keys_write(job, w, &received, &stored, false);
        return NULL;
    }
    TRY(device_keys_get(job_tx(job), user, u->device_id, &old));
    *ret_differs = old.json.p != NULL;
    if (*ret_differs)
        device_keys_delete(w, user, u->device_id);
    return NULL;
}

static const struct err *edu_in_device_list_apply(struct job *job,
                                                  const struct device_list_update *u,
                                                  const struct remote_list *l)
{
    bool differs;
    struct write *w = write_begin(job);
    remote_list_write_update(w, l, u->stream_id);
    TRY(edu_in_device_list_add_device(job, w, u, l->user, &differs));
    if (differs)
        TRY(remote_devices_change_add(job, w, l->user, u->user_id));
    return write_commit(job, w, NULL);
}

/* Clients are notified once the list is fetched, or found to be unavailable. */
static const struct err *ask_for_all(struct job *job, const struct remote_list *l)
{
    if (!l->exists)
        TRY(remote_lists_open(job_tx(job), &l->user, 1));
    TRY(remote_list_set_stale(job_tx(job), l->user));
    device_watch_poke(job->federation->device_watch);
    return NULL;
}

const struct err *edu_in_device_list_update(struct job *job, const char *origin,
                                            const json_t *content)
{
    struct device_list_update u = {0};
    struct remote_list l;
    bool relevant;
    TRY(edu_read_device_list_update(content, &u));
    TRY(remote_user_check(job, origin, u.user_id, &l, &relevant));
    if (!relevant)
        return NULL;
    if (l.state == REMOTE_LIST_FRESH && l.stream_id == u.stream_id)
        return NULL; /* clients were notified already */
    if (l.state == REMOTE_LIST_FRESH && follows(&u, &l)) {
        const struct err *e = edu_in_device_list_apply(job, &u, &l);
        if (!e || e->code != ERR_CONFLICT)
            return e;
    }
    return ask_for_all(job, &l);
}
