#include "server/uia.h"

#include "base/clock.h"
#include "matrix/id.h"
#include "server/credentials.h"
#include "storage/registration_tokens.h"
#include "storage/uia_sessions.h"

enum { SESSION_LETTERS = 24, SESSION_LIFETIME_MS = 60 * 60 * 1000 };

struct attempt {
    struct request *rq;
    const struct uia_flow *flows;
    size_t flows_n;
    const char *user_id; /* who asks; NULL: somebody who registers */
    struct uia_session session;
    bool stored;             /* the session is in the database */
    const struct err *wrong; /* why the stage failed, for the 401 reply; NULL: it did not */
};

/* ---- stages ---- */

static const struct err *check_password(struct attempt *t, const json_t *auth)
{
    struct job *job = job_of(t->rq);
    const char *user_id, *password;
    TRY(credentials_user_id(job, auth, &user_id));
    TRY(json_need_string(auth, "password", &password));
    if (!user_id)
        user_id = t->user_id;
    if (!user_id || strcmp(user_id, t->user_id) != 0)
        return err(ERR_FORBIDDEN, "That is another user than the one who asks");
    struct account a;
    bool right;
    TRY(credentials_check(job, user_id, password, &right, &a));
    if (!right)
        t->wrong = err(ERR_FORBIDDEN, "Wrong password");
    return NULL;
}

static const struct err *check_dummy(struct attempt *t, const json_t *auth)
{
    return NULL;
}

static const struct err *check_registration_token(struct attempt *t, const json_t *auth)
{
    const char *token;
    TRY(json_need_string(auth, "token", &token));
    struct registration_token found;
    bool valid;
    TRY(registration_token_get(job_tx(job_of(t->rq)), token, &valid, &found));
    if (!valid || !registration_token_is_usable(&found, now_ms()))
        t->wrong = err(ERR_UNAUTHORIZED, "The registration token is not valid");
    t->session.registration_token = token;
    return NULL;
}

static const struct stage {
    const char *name;
    const struct err *(*check)(struct attempt *t, const json_t *auth);
} stages[] = {
    {UIA_PASSWORD, check_password},
    {UIA_DUMMY, check_dummy},
    {UIA_REGISTRATION_TOKEN, check_registration_token},
};

static const struct stage *find_stage(const char *name)
{
    for (size_t i = 0; i < sizeof stages / sizeof *stages; i++)
        if (strcmp(stages[i].name, name) == 0)
            return &stages[i];
    return NULL;
}

/* ---- flows ---- */

static bool flow_begins_with_completed(const struct uia_flow *f, const struct uia_session *s)
{
    for (size_t i = 0; i < s->completed_n; i++)
        if (i == UIA_STAGES_MAX || !f->stages[i] || strcmp(f->stages[i], s->completed[i]) != 0)
            return false;
    return true;
}

/* NULL: the flow is complete. */
static const char *next_stage(const struct uia_flow *f, const struct uia_session *s)
{
    return s->completed_n < UIA_STAGES_MAX ? f->stages[s->completed_n] : NULL;
}

static bool is_complete(const struct attempt *t)
{
    for (size_t i = 0; i < t->flows_n; i++)
        if (flow_begins_with_completed(&t->flows[i], &t->session) &&
            !next_stage(&t->flows[i], &t->session))
            return true;
    return false;
}

static bool may_come_next(const struct attempt *t, const char *stage)
{
    for (size_t i = 0; i < t->flows_n; i++) {
        const char *next = next_stage(&t->flows[i], &t->session);
        if (next && strcmp(next, stage) == 0 &&
            flow_begins_with_completed(&t->flows[i], &t->session))
            return true;
    }
    return false;
}

static bool was_completed(const struct attempt *t, const char *stage)
{
    for (size_t i = 0; i < t->session.completed_n; i++)
        if (strcmp(t->session.completed[i], stage) == 0)
            return true;
    return false;
}

static const struct err *complete_stage(struct attempt *t, const json_t *auth, const char *type)
{
    TRY(find_stage(type)->check(t, auth));
    if (t->wrong)
        return NULL;
    struct uia_session *s = &t->session;
    const char **completed = arena_alloc_array(t->rq->arena, s->completed_n + 1, sizeof *completed);
    if (s->completed_n)
        memcpy(completed, s->completed, s->completed_n * sizeof *completed);
    completed[s->completed_n++] = type;
    s->completed = completed;
    return NULL;
}

/* Stages must be completed in the order of a flow, and cannot be repeated. */
static const struct err *take_stage(struct attempt *t, const json_t *auth, const char *type)
{
    if (was_completed(t, type))
        return NULL;
    if (may_come_next(t, type))
        return complete_stage(t, auth, type);
    t->wrong = err(ERR_UNRECOGNIZED, "That is not the next stage of any flow");
    return NULL;
}

/* ---- sessions ---- */

static void operation_of(const struct request *rq, unsigned char ret[SHA256_BYTES])
{
    static const char *const methods[METHOD_COUNT] = {"GET",    "POST", "PUT",
                                                      "DELETE", "HEAD", "OPTIONS"};
    const struct caller *caller = caller_of(rq);
    const struct str parts[] = {str_of(methods[rq->method]), STR("\n"), str_of(rq->path), STR("\n"),
                                str_of(caller ? caller->user_id : "")};
    sha256_parts(parts, sizeof parts / sizeof *parts, ret);
}

/* The client's session, or a new one: one that ran out costs only the stages it had. */
static const struct err *find_session(struct attempt *t, const json_t *auth)
{
    const char *id = NULL;
    const struct caller *caller = caller_of(t->rq);
    unsigned char operation[SHA256_BYTES];
    operation_of(t->rq, operation);
    if (auth)
        TRY(json_want_string(auth, "session", NULL, &id));
    if (id)
        TRY(uia_session_get(job_tx(job_of(t->rq)), id, &t->stored, &t->session));
    t->stored = t->stored && memcmp(t->session.operation, operation, sizeof operation) == 0;
    if (t->stored)
        return NULL;
    t->session = (struct uia_session){.id = id_random(t->rq->arena, SESSION_LETTERS),
                                      .user = caller ? caller->user : 0};
    memcpy(t->session.operation, operation, sizeof operation);
    return NULL;
}

/* ---- replies ---- */

static json_t *flows_json(const struct attempt *t)
{
    json_t *flows = json_array();
    for (size_t i = 0; i < t->flows_n; i++) {
        json_t *list = json_array();
        for (size_t k = 0; k < UIA_STAGES_MAX && t->flows[i].stages[k]; k++)
            json_array_append_new(list, json_string(t->flows[i].stages[k]));
        json_array_append_new(flows, json_pack("{s:o}", "stages", list));
    }
    return flows;
}

static const struct err *reply_more(struct attempt *t, struct reply *rp)
{
    TRY(uia_session_put(job_tx(job_of(t->rq)), &t->session, SESSION_LIFETIME_MS));
    json_t *o =
        json_pack("{s:o, s:{}, s:s}", "flows", flows_json(t), "params", "session", t->session.id);
    if (t->session.completed_n) {
        json_t *completed = json_array();
        for (size_t i = 0; i < t->session.completed_n; i++)
            json_array_append_new(completed, json_string(t->session.completed[i]));
        json_object_set_new(o, "completed", completed);
    }
    if (t->wrong) {
        json_object_set_new(o, "errcode", json_string(err_errcode(t->wrong)));
        json_object_set_new(o, "error", json_string(t->wrong->text));
    }
    return reply_tree(rp, 401, o);
}

const struct err *uia_require(struct request *rq, struct reply *rp, const struct uia_flow *flows,
                              size_t flows_n, bool *ret_done, const char **ret_registration_token)
{
    const struct caller *caller = caller_of(rq);
    struct attempt t = {
        .rq = rq, .flows = flows, .flows_n = flows_n, .user_id = caller ? caller->user_id : NULL};
    const json_t *auth;
    const char *type = NULL;
    TRY(json_want_object(rq->body, "auth", &auth));
    TRY(find_session(&t, auth));
    if (auth)
        TRY(json_want_string(auth, "type", NULL, &type));
    if (type)
        TRY(take_stage(&t, auth, type));
    *ret_done = !t.wrong && is_complete(&t);
    if (!*ret_done)
        return reply_more(&t, rp);
    if (t.stored)
        TRY(uia_session_end(job_tx(job_of(rq)), t.session.id));
    if (ret_registration_token)
        *ret_registration_token = t.session.registration_token;
    return NULL;
}

const struct err *uia_require_password(struct request *rq, struct reply *rp, bool *ret_done)
{
    static const struct uia_flow flow = {{UIA_PASSWORD}};
    return uia_require(rq, rp, &flow, 1, ret_done, NULL);
}

/* ---- outside of the client ---- */

static const struct err *find_waiting(struct attempt *t, const char *session_id, bool *ret_found)
{
    struct tx *tx = job_tx(job_of(t->rq));
    struct account a = {0};
    bool found;
    TRY(uia_session_get(tx, session_id, &found, &t->session));
    if (found && t->session.user)
        TRY(users_get(tx, t->session.user, &found, &a));
    t->user_id = a.user_id;
    *ret_found = found;
    return NULL;
}

const struct err *uia_find_session(struct request *rq, const char *session_id, bool *ret_found,
                                   const char **ret_user_id)
{
    struct attempt t = {.rq = rq};
    TRY(find_waiting(&t, session_id, ret_found));
    *ret_user_id = t.user_id;
    return NULL;
}

const struct err *uia_complete(struct request *rq, const char *session_id, const char *stage,
                               const json_t *auth, const struct err **ret_wrong)
{
    struct attempt t = {.rq = rq};
    bool found;
    TRY(find_waiting(&t, session_id, &found));
    if (!found || !find_stage(stage))
        return err(ERR_NOT_FOUND, "There is nothing to confirm: begin anew");
    if (!was_completed(&t, stage))
        TRY(complete_stage(&t, auth, stage));
    *ret_wrong = t.wrong;
    return t.wrong ? NULL : uia_session_put(job_tx(job_of(rq)), &t.session, SESSION_LIFETIME_MS);
}
