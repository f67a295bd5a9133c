#include "server/account/sessions_end.h"

#include "storage/devices/e2ee_keys.h"
#include "storage/users/users.h"
#include "users/device_changes.h"

static const struct err *write_end(struct job *job, struct write *w, int64_t user,
                                   const char *user_id, const struct device *devices, size_t n)
{
    if (n == 0)
        return NULL;
    const char **device_ids = arena_alloc_array(job->arena, n, sizeof *device_ids);
    for (size_t i = 0; i < n; i++)
        device_ids[i] = devices[i].device_id;
    e2ee_delete_devices(w, user, devices, n);
    devices_write_deletion(w, devices, n);
    return device_changes_add(job, w, user, user_id, device_ids, n);
}

static const struct err *sessions_end_end(struct job *job, int64_t user, const char *user_id,
                                          const struct device *devices, size_t n)
{
    if (n == 0)
        return NULL;
    struct write *w = write_begin(job);
    users_write_changed(w, user, user_id);
    const struct err *e = write_end(job, w, user, user_id, devices, n);
    if (!e)
        return write_commit(job, w, NULL);
    write_abandon(w);
    return e;
}

const struct err *sessions_end_device(struct job *job, int64_t user, const char *user_id,
                                      const char *device_id)
{
    return sessions_end_devices(job, user, user_id, &device_id, 1);
}

static bool sessions_end_is_listed(const char *device_id, const char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(list[i], device_id) == 0)
            return true;
    return false;
}

const struct err *sessions_end_devices(struct job *job, int64_t user, const char *user_id,
                                       const char *const *device_ids, size_t n)
{
    const struct device *all;
    size_t all_n, gone_n = 0;
    TRY(devices_list(job_tx(job), user, &all, &all_n));
    struct device *gone = arena_alloc_array(job->arena, all_n, sizeof *gone);
    for (size_t i = 0; i < all_n; i++)
        if (sessions_end_is_listed(all[i].device_id, device_ids, n))
            gone[gone_n++] = all[i];
    return sessions_end_end(job, user, user_id, gone, gone_n);
}

static const struct err *list_but(struct job *job, int64_t user, int64_t but_device,
                                  const struct device **ret, size_t *ret_n)
{
    const struct device *all;
    size_t all_n, n = 0;
    TRY(devices_list(job_tx(job), user, &all, &all_n));
    struct device *some = arena_alloc_array(job->arena, all_n, sizeof *some);
    for (size_t i = 0; i < all_n; i++)
        if (all[i].id != but_device)
            some[n++] = all[i];
    *ret = some;
    *ret_n = n;
    return NULL;
}

const struct err *sessions_end_all(struct job *job, int64_t user, const char *user_id,
                                   int64_t but_device)
{
    const struct device *devices;
    size_t n;
    TRY(list_but(job, user, but_device, &devices, &n));
    return sessions_end_end(job, user, user_id, devices, n);
}

const struct err *sessions_write_end_all(struct job *job, struct write *w, int64_t user,
                                         const char *user_id, int64_t but_device)
{
    const struct device *devices;
    size_t n;
    TRY(list_but(job, user, but_device, &devices, &n));
    return write_end(job, w, user, user_id, devices, n);
}
