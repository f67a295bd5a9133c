#include "server/sync/read/device.h"

#include "storage/devices/key_changes.h"

static struct device_ref device_of(const struct sync_reader *who)
{
    return (struct device_ref){who->caller->user, who->caller->device, who->caller->device_id};
}

const struct err *sync_to_device_read(const struct sync_reader *who, int limit,
                                      struct sync_range *range, struct sync_to_device *ret)
{
    struct device_ref device = device_of(who);
    struct sync_to_device read;
    bool more;
    TRY(device_state_read_messages(who->job, &device, range->since, range->until, limit,
                                   &read.messages, &read.n, &more));
    if (more)
        range->until = read.messages[read.n - 1].position;
    *ret = read;
    return NULL;
}

const struct err *sync_device_lists_read(const struct sync_reader *who,
                                         const struct sync_range *range, bool members_changed,
                                         struct sync_device_lists *ret)
{
    struct job *job = who->job;
    struct sync_device_lists lists = {0};
    bool members_may_have_changed = members_changed || !range->from_feed;
    bool keys_changed = feed_kind_position(job->storage->feed, CHANGE_DEVICE_LIST) > range->since;
    if ((!range->is_initial || range->is_resync) && (members_may_have_changed || keys_changed))
        TRY(key_changes_read(job_tx(job), who->caller->user, who->caller->user_id, range->since,
                             range->until, members_may_have_changed, &lists.changed,
                             &lists.changed_n, &lists.left, &lists.left_n));
    *ret = lists;
    return NULL;
}

const struct err *sync_key_counts_read(const struct sync_reader *who, struct device_summary *ret)
{
    struct device_ref device = device_of(who);
    return device_state_get(who->job, &device, ret);
}
