#include "federation/peer/request.h"

#include "base/clock.h"
#include "federation/federation.h"
#include "federation/peer/discovery.h"
#include "federation/peer/pauses.h"
#include "federation/peer/reply.h"
#include "federation/peer/xmatrix_sign.h"
#include "federation/routes/xmatrix.h"
#include "http/waits.h"
#include "matrix/canonical_json.h"
#include "matrix/id.h"

#include <assert.h>

enum { TIMEOUT_MS = 60 * 1000, REPLY_MAX = 8 << 20 };

bool federation_may_contact(const struct config *c, const char *server)
{
    const struct config_list *allowed = &c->federation_domain_whitelist;
    if (!id_is_server_name(str_of(server)) || config_is_own_server(c, server))
        return false;
    for (size_t i = 0; i < allowed->n; i++)
        if (strcmp(server, allowed->items[i]) == 0)
            return true;
    return !allowed->items;
}

/* ---- requests ---- */

static void free_bytes(void *bytes)
{
    free(bytes);
}

/* The signed bytes are the sent bytes: canonical JSON. Many servers check the signature of what
 * they parsed and encoded again, so floats (in other servers' events of old rooms) are written as
 * that encodes them. */
static const struct err *request_body_of(struct arena *a, const struct fed_request *r,
                                         struct str *ret)
{
    struct buf b = {0};
    const struct err *e = r->body         ? canonical_json_add_tree(&b, CANONICAL_SHORTEST, r->body)
                          : r->raw_body.n ? canonical_json_add(&b, CANONICAL_SHORTEST, r->raw_body)
                                          : NULL;
    if (e) {
        buf_finish(&b);
        return err_internal("the body for %s is not JSON: %s", r->path, e->text);
    }
    ret->p = buf_steal(&b, &ret->n);
    arena_defer(a, free_bytes, (char *)ret->p);
    return NULL;
}

static const char *const *headers_of(struct job *job, const struct fed_request *r,
                                     struct str content)
{
    const char **headers = arena_alloc_array(job->arena, 4, sizeof *headers);
    size_t n = 0;
    headers[n++] = "User-Agent: Concorde/" CONCORDE_VERSION;
    if (content.n)
        headers[n++] = "Content-Type: application/json";
    if (!r->unsigned_)
        headers[n++] =
            arena_printf(job->arena, "Authorization: %s",
                         xmatrix_header(job->arena, job->config->server_name, &job->keys->current,
                                        r->server, r->method, r->path, content));
    return headers;
}

static const struct err *request_check_allowed(const struct job *job, const struct fed_request *r)
{
    const struct federation *f = job->federation;
    if (!federation_may_contact(job->config, r->server))
        return err(ERR_FORBIDDEN, "This server does not federate with %.150s", r->server);
    if (!f)
        return err_unavailable(5000, "federation is not running");
    if (!r->now && f->watch.is_backed_off && f->watch.is_backed_off(f->watch.of, r->server))
        return err(ERR_CONNECTION_FAILED,
                   "%.150s did not answer lately and will be asked again later", r->server);
    int64_t pause = r->own_pauses ? 0 : pauses_left(f->pauses, r->server, r->path, mono_ms());
    return pause ? err_with_answer(err_limit_exceeded((int)pause), 429, NULL) : NULL;
}

static const struct err *send_request(struct job *job, const struct fed_request *r,
                                      struct http_answer *ret)
{
    struct federation *f = job->federation;
    int64_t timeout = r->timeout_ms ? r->timeout_ms : TIMEOUT_MS, began = mono_ms();
    struct server_endpoint to;
    struct str body = {0};
    TRY(request_body_of(job->arena, r, &body));
    TRY(discovery_find(f->discovery, job->arena, r->server, began + timeout, &to));
    int64_t left = began + timeout - mono_ms();
    const struct http_call call = {
        .method = r->method,
        .url = arena_printf(job->arena, "https://%s%s", to.authority, r->path),
        .peers = to.peers,
        .peers_n = to.peers_n,
        .headers = headers_of(job, r, body),
        .body = body,
        /* discovery may have used up the time: then a quarter more is allowed */
        .timeout_ms = left > timeout / 4 ? left : timeout / 4,
        .reply_max = r->reply_max ? r->reply_max : REPLY_MAX,
        .sink_fd = r->sink_fd,
    };
    return http_client_run(f->http, job->arena, &call, ret);
}

static void end_request(struct federation *f, const char *server, bool reached)
{
    if (f->watch.request_ended)
        f->watch.request_ended(f->watch.of, server, reached);
}

/* Reports the server's condition to discovery and to the sender's back-off. A 5xx to a GET or POST
 * (a lost file, say) does not count, only one to a PUT, or an unreachable server. Neither does a
 * 429, which only pauses requests of that kind. */
static void request_note_outcome(struct federation *f, const struct fed_request *r,
                                 const struct err *e, int status)
{
    bool is_failure = status >= 500;
    bool is_ill = federation_is_unreachable(e) || (is_failure && r->method == PUT);
    if (status == 429 || (is_failure && !is_ill))
        return;
    if (federation_is_unreachable(e))
        discovery_failed(f->discovery, r->server);
    if (!e || is_ill || e->code == ERR_TOO_LARGE) /* other errors are our own */
        end_request(f, r->server, !is_ill);
}

static void note_pause(struct federation *f, const struct fed_request *r,
                       const struct fed_reply *reply)
{
    if (reply->status == 429 && !r->own_pauses)
        pauses_note(f->pauses, r->server, r->path, fed_reply_pause_ms(reply), mono_ms());
}

const struct err *federation_exchange(struct job *job, const struct fed_request *r,
                                      struct fed_reply *ret)
{
    struct http_answer answer = {0};
    waits_assert(r->server);
    assert(!job->tx.in_transaction); /* no connection may be held while waiting for other servers */
    TRY(request_check_allowed(job, r));
    const struct err *e = send_request(job, r, &answer);
    request_note_outcome(job->federation, r, e, answer.status);
    TRY(e);
    fed_reply_read(job->arena, &answer, !r->no_tree || answer.status / 100 != 2, ret);
    note_pause(job->federation, r, ret);
    return NULL;
}

const struct err *federation_request(struct job *job, const struct fed_request *r,
                                     struct fed_reply *ret)
{
    struct fed_reply reply;
    TRY(federation_exchange(job, r, &reply));
    TRY(fed_reply_check(job->arena, r, &reply));
    *ret = reply;
    return NULL;
}
