#include "federation/peer/remote_user.h"

#include "matrix/id.h"

bool is_user_of(const char *server, const char *user_id)
{
    return id_is_user(str_of(user_id)) && str_is(id_server(str_of(user_id)), server);
}

const struct err *remote_user_check(struct job *job, const char *origin, const char *user_id,
                                    struct remote_list *ret, bool *ret_relevant)
{
    if (!is_user_of(origin, user_id))
        return err(ERR_FORBIDDEN, "%.100s is not a user of %.100s", user_id, origin);
    TRY(remote_list_get(job_tx(job), user_id, ret));
    *ret_relevant = ret->user && ret->shares_room;
    return NULL;
}
