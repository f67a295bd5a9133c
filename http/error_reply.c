/* Errors as the spec's JSON, and the replies that the loop makes without a worker. */
#include "http/internal.h"

enum { UNAVAILABLE_RETRY_MS = 2000 };

static void add_retry_after(struct reply *rp, int ms)
{
    reply_header(rp, "Retry-After", arena_printf(rp->rq->arena, "%d", (ms + 999) / 1000));
}

void reply_error(struct reply *rp, const struct err *e)
{
    reply_drop(rp);
    buf_printf(&rp->body, "{\"errcode\":\"%s\",\"error\":", err_errcode(e));
    buf_add_json_string(&rp->body, str_of(e->text));
    if (e->fields[0]) {
        buf_add_char(&rp->body, ',');
        buf_add_text(&rp->body, e->fields);
    }
    buf_add_char(&rp->body, '}');
    int ms = e->retry_after_ms;
    if (!ms && err_status(e) == 503)
        ms = UNAVAILABLE_RETRY_MS;
    if (ms > 0)
        add_retry_after(rp, ms);
    reply_body(rp, err_status(e));
}

void reply_now(struct exchange *ex, const struct err *e)
{
    arena_auto struct arena *a = arena_create();
    struct reply_outcome outcome = {0};
    struct reply rp = {.status = 200, .rq = &ex->rq, .outcome = &outcome};
    ex->rq.arena = a;
    if (e)
        reply_error(&rp, e);
    else
        reply_empty(&rp);
    ex->response = reply_response(&rp);
    ex->status = rp.status;
    ex->rq.arena = NULL;
    body_free(ex);
    metrics_count(ex);
}
