#include "server/sync/read/account.h"

#include "rooms/room.h"

static bool account_is_push_rules(const struct account_data *d)
{
    return !d->room && strcmp(d->type, "m.push_rules") == 0;
}

const struct err *sync_account_read(const struct sync_reader *who, const struct sync_range *range,
                                    struct sync_account *ret)
{
    struct sync_account account = {.push_rules = range->is_initial};
    struct job *job = who->job;
    int64_t user = who->caller->user;
    if (!range->from_feed || feed_user_position(job->storage->feed, user) > range->since)
        TRY(account_data_since(job_tx(job), user, range->since, range->until, &account.list,
                               &account.n));
    for (size_t i = 0; i < account.n; i++)
        account.push_rules |= account_is_push_rules(&account.list[i]);
    *ret = account;
    return NULL;
}

const struct account_data *sync_account_next(const struct sync_account *account,
                                             const struct account_data *after,
                                             const struct room *room,
                                             const struct event_filter *filter)
{
    struct filter_subject subject = {.room_id = room ? room->room_id : NULL};
    for (size_t i = after ? (size_t)(after - account->list) + 1 : 0; i < account->n; i++) {
        const struct account_data *d = &account->list[i];
        subject.type = d->type;
        if (d->room == (room ? room->id : 0) && !account_is_push_rules(d) &&
            filter_matches(filter, &subject))
            return d;
    }
    return NULL;
}

const struct err *sync_account_push_rules(const struct sync_reader *who,
                                          const struct user_rules **ret)
{
    return user_rules_get(who->job, who->caller->user, who->caller->user_id, ret);
}
