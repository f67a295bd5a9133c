#include "server/account/uia.h"

#include "base/clock.h"
#include "matrix/id.h"
#include "server/account/attempts.h"
#include "server/account/credentials.h"
#include "server/account/uia_memory.h"
#include "storage/users/registration_tokens.h"
#include "storage/users/uia_sessions.h"

enum { SESSION_LETTERS = 24, SESSION_LIFETIME_MS = 60 * 60 * 1000 };

struct attempt {
    struct request *rq;
    const struct uia_flow *flows;
    size_t flows_n;
    const char *user_id; /* the caller; NULL: a user who registers */
    struct uia_session session;
    bool stored;             /* the session is in the database, ... */
    size_t stored_n;         /* ... with so many completed stages */
    const struct err *wrong; /* why the stage failed, for the 401 reply; NULL: it did not */
};

/* ---- stages ---- */

static const struct err *uia_check_password(struct attempt *t, const json_t *auth)
{
    const char *user_id, *password;
    TRY(credentials_user_id(job_of(t->rq), auth, &user_id));
    TRY(json_need_string(auth, "password", &password));
    if (!user_id)
        user_id = t->user_id;
    if (!user_id || strcmp(user_id, t->user_id) != 0)
        return err(ERR_FORBIDDEN, "That is another user than the caller");
    struct account a;
    bool right;
    enum queue_order order; /* unused: the request is in this pool already */
    TRY(credentials_count(t->rq, user_id, &order));
    TRY(credentials_check(t->rq, user_id, password, &right, &a));
    if (!right) {
        t->wrong = err(ERR_FORBIDDEN, "Wrong password");
        attempts_log_failure(t->rq, user_id, t->wrong->text);
    }
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
    {UIA_PASSWORD, uia_check_password},
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

/* The session that the client names; not found without one, or when it has expired. */
static const struct err *find_named(struct request *rq, bool *ret_found, struct uia_session *ret)
{
    const json_t *auth;
    const char *id = NULL;
    unsigned char operation[SHA256_BYTES];
    *ret_found = false;
    TRY(json_want_object(rq->body, "auth", &auth));
    if (auth)
        TRY(json_want_string(auth, "session", NULL, &id));
    if (id)
        TRY(uia_session_get(job_tx(job_of(rq)), id, ret_found, ret));
    if (!*ret_found)
        return NULL;
    operation_of(rq, operation);
    return memcmp(ret->operation, operation, sizeof operation) == 0
               ? NULL
               : err(ERR_FORBIDDEN, "The session is for another operation");
}

static const char **flow_texts(const struct attempt *t)
{
    const char **texts = arena_alloc_array(t->rq->arena, t->flows_n, sizeof *texts);
    for (size_t i = 0; i < t->flows_n; i++) {
        buf_auto struct buf b = {0};
        for (size_t k = 0; k < UIA_STAGES_MAX && t->flows[i].stages[k]; k++)
            buf_printf(&b, "%s%s", k ? " " : "", t->flows[i].stages[k]);
        texts[i] = str_dup(t->rq->arena, buf_str(&b));
    }
    return texts;
}

static void make_session(struct attempt *t)
{
    const struct caller *caller = caller_of(t->rq);
    t->session = (struct uia_session){.id = id_random(t->rq->arena, SESSION_LETTERS),
                                      .user = caller ? caller->user : 0,
                                      .flows = flow_texts(t),
                                      .flows_n = t->flows_n};
    operation_of(t->rq, t->session.operation);
}

/* The client's session, or a new one: an expired session only loses its stages. */
static const struct err *find_session(struct attempt *t)
{
    TRY(find_named(t->rq, &t->stored, &t->session));
    t->stored_n = t->session.completed_n;
    if (!t->stored) {
        make_session(t);
        return NULL;
    }
    t->session.flows = flow_texts(t);
    t->session.flows_n = t->flows_n;
    return NULL;
}

/* Stages that were completed by earlier requests count once: for the request that ends the session.
 * Any other one begins anew. */
static const struct err *end_session(struct attempt *t, bool *ret_done)
{
    TRY(uia_session_end(job_tx(job_of(t->rq)), t->session.id, ret_done));
    if (!*ret_done && !t->stored_n)
        *ret_done = true; /* this request has completed all of them */
    if (!*ret_done)
        make_session(t);
    return NULL;
}

/* ---- the session's parameters and answer ---- */

/* The parameters of the request, which uia_recall has completed. */
static json_t *params_of(struct request *rq)
{
    json_t *params = json_keep(rq->arena, json_copy(rq->body));
    json_object_del(params, "auth");
    return params;
}

const struct err *uia_recall(struct request *rq, const json_t **ret_answer)
{
    struct uia_session s = {0};
    bool found;
    TRY(find_named(rq, &found, &s));
    json_t *params = found ? uia_memory_open(rq->arena, s.id, s.params) : NULL;
    json_t *answer = found ? uia_memory_open(rq->arena, s.id, s.answer) : NULL;
    if (params)
        json_object_update_missing(rq->body, params);
    if (answer && !json_equal(params_of(rq), params))
        return err(ERR_FORBIDDEN, "The session was used for another request");
    if (ret_answer)
        *ret_answer = answer;
    return NULL;
}

const struct err *uia_remember(struct request *rq, const struct uia_proof *p, const json_t *answer)
{
    if (!p->session)
        return NULL;
    const struct caller *caller = caller_of(rq);
    struct uia_session s = {.id = p->session, .user = caller ? caller->user : 0};
    operation_of(rq, s.operation);
    s.params = uia_memory_seal(rq->arena, s.id, params_of(rq));
    s.answer = uia_memory_seal(rq->arena, s.id, answer);
    return uia_session_put(job_tx(job_of(rq)), &s, SESSION_LIFETIME_MS);
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

static const struct err *reply_more(struct attempt *t, struct reply *rp, bool was_tried)
{
    t->session.params = uia_memory_seal(t->rq->arena, t->session.id, params_of(t->rq));
    TRY(uia_session_put(job_tx(job_of(t->rq)), &t->session, SESSION_LIFETIME_MS));
    json_t *o =
        json_pack("{s:o, s:{}, s:s}", "flows", flows_json(t), "params", "session", t->session.id);
    if (was_tried) {
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
                              size_t flows_n, bool *ret_done, struct uia_proof *ret_proof)
{
    const struct caller *caller = caller_of(rq);
    struct attempt t = {
        .rq = rq, .flows = flows, .flows_n = flows_n, .user_id = caller ? caller->user_id : NULL};
    const json_t *auth;
    const char *type = NULL;
    TRY(json_want_object(rq->body, "auth", &auth));
    TRY(find_session(&t));
    if (auth)
        TRY(json_want_string(auth, "type", NULL, &type));
    if (type)
        TRY(take_stage(&t, auth, type));
    *ret_done = !t.wrong && is_complete(&t);
    if (*ret_done && t.stored)
        TRY(end_session(&t, ret_done));
    if (!*ret_done)
        return reply_more(&t, rp, auth);
    if (ret_proof)
        *ret_proof =
            (struct uia_proof){t.stored ? t.session.id : NULL, t.session.registration_token};
    return NULL;
}

const struct err *uia_require_password(struct request *rq, struct reply *rp, bool *ret_done)
{
    static const struct uia_flow flow = {{UIA_PASSWORD}};
    return uia_require(rq, rp, &flow, 1, ret_done, NULL);
}

/* ---- fallback pages ---- */

static struct uia_flow parse_flow(struct arena *a, const char *text)
{
    struct uia_flow flow = {.stages = {NULL}};
    char *rest = arena_strdup(a, text);
    for (size_t i = 0; i < UIA_STAGES_MAX && rest; i++) {
        char *stage = strsep(&rest, " ");
        flow.stages[i] = *stage ? stage : NULL;
    }
    return flow;
}

/* Finds an open session, and the stage, which is the next one or completed already. */
static const struct err *find_waiting(struct attempt *t, const char *session_id, const char *stage,
                                      bool *ret_found)
{
    struct tx *tx = job_tx(job_of(t->rq));
    struct account a = {0};
    bool found;
    TRY(uia_session_get(tx, session_id, &found, &t->session));
    if (found && t->session.user)
        TRY(users_get(tx, t->session.user, &found, &a));
    t->user_id = a.user_id;
    struct uia_flow *flows = arena_alloc_array(t->rq->arena, t->session.flows_n, sizeof *flows);
    for (size_t i = 0; i < t->session.flows_n; i++)
        flows[i] = parse_flow(t->rq->arena, t->session.flows[i]);
    t->flows = flows;
    t->flows_n = t->session.flows_n;
    *ret_found = found && find_stage(stage) && (was_completed(t, stage) || may_come_next(t, stage));
    return NULL;
}

const struct err *uia_find_session(struct request *rq, const char *session_id, const char *stage,
                                   bool *ret_found, const char **ret_user_id)
{
    struct attempt t = {.rq = rq};
    TRY(find_waiting(&t, session_id, stage, ret_found));
    *ret_user_id = t.user_id;
    return NULL;
}

const struct err *uia_complete(struct request *rq, const char *session_id, const char *stage,
                               const json_t *auth, const struct err **ret_wrong)
{
    struct attempt t = {.rq = rq};
    bool found;
    TRY(find_waiting(&t, session_id, stage, &found));
    if (!found)
        return err(ERR_NOT_FOUND, "There is nothing to confirm: begin anew");
    if (!was_completed(&t, stage))
        TRY(complete_stage(&t, auth, stage));
    *ret_wrong = t.wrong;
    return t.wrong ? NULL : uia_session_put(job_tx(job_of(rq)), &t.session, SESSION_LIFETIME_MS);
}
