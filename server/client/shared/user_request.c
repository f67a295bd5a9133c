#include "server/client/shared/user_request.h"

#include "matrix/id.h"
#include "storage/db/intern.h"
#include "storage/db/retry.h"
#include "storage/users/account_data.h"

enum { EDITED_BYTES_MAX = 1 << 20 };

const struct err *need_own_user(const struct request *rq)
{
    if (strcmp(request_param(rq, "user"), caller_of(rq)->user_id) != 0)
        return err(ERR_FORBIDDEN, "That belongs to another user");
    return NULL;
}

const struct err *room_number_of_request(struct request *rq, int64_t *ret)
{
    const char *room_id = request_param(rq, "room");
    if (!id_is_room(str_of(room_id)))
        return err(ERR_INVALID_PARAM, "That is not a room id");
    return intern_find(job_of(rq)->storage->intern, INTERN_ROOM, room_id, ret);
}

static const struct err *try_edit(struct job *job, const struct account_edit *e)
{
    struct str content;
    int64_t seen;
    json_t *before = NULL, *after;
    TRY(account_data_get_position(job_tx(job), e->user, e->room, e->type, &content, &seen));
    if (content.p)
        TRY(json_read_own(job->arena, content, &before));
    TRY(e->edit(e->ctx, before, &after));
    json_keep(job->arena, after);
    if (before && json_equal(before, after))
        return NULL;
    struct str text = str_of(json_write(job->arena, after));
    if (text.n > EDITED_BYTES_MAX)
        return err(ERR_TOO_LARGE, "That is more than can be stored");
    if (!content.p)
        TRY(account_data_check_space(job_tx(job), e->user, e->room, e->type, text.n));
    struct write *w = write_begin(job);
    account_data_replace(w, e->user, e->room, e->type, text, seen);
    return write_commit(job, w, NULL);
}

const struct err *account_data_edit(struct job *job, const struct account_edit *e)
{
    struct retry retry = {0};
    const struct err *bad;
    do
        bad = try_edit(job, e);
    while (retry_conflict(&retry, bad));
    return bad;
}
