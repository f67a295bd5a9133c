#include "federation/routes/xmatrix.h"

#include "base/clock.h"
#include "federation/federation.h"
#include "federation/keys/keyring.h"
#include "federation/out/sender.h"
#include "federation/peer/request.h"
#include "federation/peer/xmatrix_sign.h"
#include "matrix/canonical_json.h"
#include "matrix/id.h"
#include "rooms/room_cache.h"
#include "rooms/servers.h"

enum { HEADERS_MAX = 4 };

/* ---- reading ---- */

struct claims {
    struct xmatrix of[HEADERS_MAX]; /* all with the same origin */
    size_t n;
};

static const struct err *unauthorized(const char *what)
{
    return err(ERR_UNAUTHORIZED, "%s", what);
}

static const struct err *add_claim(struct claims *c, const struct xmatrix *x, const char *our_name)
{
    if (!id_is_server_name(str_of(x->origin)))
        return unauthorized("The Authorization header's origin is not a server name");
    if (x->destination && strcmp(x->destination, our_name) != 0)
        return err(ERR_UNAUTHORIZED, "The request is for %.100s, but this is %.100s",
                   x->destination, our_name);
    if (c->n && strcmp(c->of[0].origin, x->origin) != 0)
        return unauthorized("The Authorization headers are of different servers");
    if (c->n == HEADERS_MAX)
        return unauthorized("There are too many Authorization headers");
    c->of[c->n++] = *x;
    return NULL;
}

static const struct err *xmatrix_read_claims(struct request *rq, const char *our_name,
                                             struct claims *ret)
{
    const char *const *headers;
    size_t n = request_header_all(rq, "Authorization", &headers);
    for (size_t i = 0; i < n; i++) {
        struct xmatrix x = {0};
        if (!xmatrix_is_scheme(str_of(headers[i])))
            continue;
        TRY(xmatrix_parse(rq->arena, str_of(headers[i]), &x));
        TRY(add_claim(ret, &x, our_name));
    }
    return ret->n ? NULL : unauthorized("The request needs an Authorization header: X-Matrix");
}

/* ---- checking ---- */

static bool is_signed(const struct xmatrix_request *r, const struct xmatrix *x, const char *key)
{
    buf_auto struct buf b = {0};
    xmatrix_signed_bytes(&b, r);
    return sign_check(str_of(key), buf_str(&b), str_of(x->signature));
}

/* Most servers send exactly the bytes that they signed, which need not be made canonical first. A
 * body that is not JSON is refused when it is read. */
static bool is_signed_as_sent_or_canonical(struct xmatrix_request *r, const struct xmatrix *x,
                                           const char *key, struct str body)
{
    r->content = str_trim(body, " \t\r\n");
    if (is_signed(r, x, key))
        return true;
    buf_auto struct buf canonical = {0};
    if (!r->content.n || canonical_json_add(&canonical, CANONICAL_LENIENT, r->content) ||
        str_eq(buf_str(&canonical), r->content))
        return false;
    r->content = buf_str(&canonical);
    return is_signed(r, x, key);
}

static const struct err *check_signature(struct job *job, const struct request *rq,
                                         const struct claims *c)
{
    struct key_wanted_of keys[HEADERS_MAX];
    bool have_key = false;
    for (size_t i = 0; i < c->n; i++)
        keys[i] = (struct key_wanted_of){c->of[i].origin, c->of[i].key_id, now_ms(), NULL};
    TRY(keyring_find_caller(job, keys, c->n));
    struct xmatrix_request r = {
        .method = http_method_names[rq->method],
        .target = request_target(rq),
        .origin = c->of[0].origin,
        .destination = job->config->server_name,
    };
    for (size_t i = 0; i < c->n; i++) {
        have_key = have_key || keys[i].ret_key;
        if (keys[i].ret_key &&
            is_signed_as_sent_or_canonical(&r, &c->of[i], keys[i].ret_key, rq->raw))
            return NULL;
    }
    return have_key ? err(ERR_UNAUTHORIZED, "The signature of %.200s is wrong", r.origin)
                    : err(ERR_UNAUTHORIZED, "The key %.60s of %.160s could not be found",
                          c->of[0].key_id, r.origin);
}

/* A request with {room} in its path is refused if the room denies the server, whatever else is
 * wrong with it (server-server-api, "Server Access Control Lists"). {root} of a space is not: the
 * space is hidden instead. */
static const struct err *check_acl(struct request *rq, const char *origin)
{
    const char *room_id = request_param(rq, "room");
    struct room *room = NULL;
    if (room_id)
        TRY(room_find(rq->job, room_id, &room));
    return room ? room_check_acl(rq->job, room, origin) : NULL;
}

const struct err *federation_authenticate(void *ctx, struct request *rq)
{
    struct job *job = rq->job;
    const struct config *config = job->config;
    struct claims claims = {.n = 0};
    TRY(xmatrix_read_claims(rq, config->server_name, &claims));
    const char *origin = claims.of[0].origin;
    if (!federation_may_contact(config, origin))
        return err(ERR_FORBIDDEN, "This server does not federate with %.200s", origin);
    TRY(check_signature(job, rq, &claims));
    sender_heard_from(job->federation->sender, origin);
    struct remote_server *caller = arena_alloc(rq->arena, sizeof *caller);
    caller->name = origin;
    rq->caller = caller;
    rq->caller_id = origin;
    return check_acl(rq, origin);
}

/* ---- the source ---- */

enum source_knowledge federation_source(void *ctx, const struct request *rq,
                                        char ret_name[SOURCE_NAME_MAX])
{
    arena_auto struct arena *a = arena_create();
    struct xmatrix x;
    const char *header = request_header(rq, "Authorization");
    if (!header || !xmatrix_is_scheme(str_of(header)) || xmatrix_parse(a, str_of(header), &x))
        return SOURCE_IS_ADDRESS;
    snprintf(ret_name, SOURCE_NAME_MAX, "%s", x.origin);
    return SOURCE_IS_CLAIMED;
}
