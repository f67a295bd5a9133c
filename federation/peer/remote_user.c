#include "federation/peer/remote_user.h"

const struct err *remote_user_check(struct job *job, const char *origin, const char *user_id,
                                    struct remote_list *ret, bool *ret_relevant)
{
    if (!id_is_user_of(user_id, origin))
        return err(ERR_FORBIDDEN, "%.100s is not a user of %.100s", user_id, origin);
    TRY(remote_list_get(job_tx(job), user_id, ret));
    *ret_relevant = ret->user && ret->shares_room;
    return NULL;
}
