/* End-to-end encryption, "Tracking the device list for a user". */
#include "storage/devices/key_changes.h"

#include "server/account/caller.h"
#include "server/routes.h"
#include "server/sync_token.h"

static const struct err *token_position(struct request *rq, const char *name, int64_t *ret)
{
    const char *text = request_query(rq, name);
    struct sync_token token;
    if (!text)
        return err(ERR_MISSING_PARAM, "`%s` is missing", name);
    TRY(sync_token_parse_since(job_of(rq)->storage, text, &token));
    *ret = token.is_lost ? 0 : token.position; /* all changes */
    return NULL;
}

static json_t *texts(const char *const *items, size_t n)
{
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, json_string(items[i]));
    return list;
}

static const struct err *get_changes(struct request *rq, struct reply *rp)
{
    struct job *job = job_of(rq);
    const struct caller *c = caller_of(rq);
    int64_t from = 0, to = 0;
    TRY(token_position(rq, "from", &from));
    TRY(token_position(rq, "to", &to));
    const char *const *changed, *const *left;
    size_t changed_n, left_n;
    /* `to` is a hint: users who changed since would come with the next /sync anyway. */
    TRY(key_changes_read(job_tx(job), c->user, c->user_id, from, to, true, &changed, &changed_n,
                         &left, &left_n));
    return reply_json(rp, 200, "{s:o, s:o}", "changed", texts(changed, changed_n), "left",
                      texts(left, left_n));
}

const struct route key_changes_routes[] = {
    {.method = GET,
     .path = "/_matrix/client/v3/keys/changes",
     .handler = get_changes,
     .who = WHO_USER,
     .spec = "end-to-end encryption"},
    {.path = NULL},
};
