#include "server/sync/read/reader.h"
#include "users/users.h"

#include "rooms/account_cache.h"
#include "users/typing.h"

const struct err *sync_reader_open(struct sync_reader *who, struct waiter *w,
                                   struct sync_range *range)
{
    const struct node *node = who->job->node;
    TRY(session_open(who->job, who->caller->user, who->caller->user_id, &who->session));
    session_subscribe(who->session, w); /* before reading, so that no wake is lost */
    range->typing_until = typing_serial_after(node->users->typing, range->typing_since);
    range->until = feed_position(node->storage->feed);
    job_renew_replica_tx(who->job);
    range->from_feed = !range->is_initial && feed_covers(node->storage->feed, range->since);
    session_begin_reply(who->session, who->recipient, range->since);
    return ignored_users(who->job, who->caller->user, &who->ignored);
}
