/* A handler's access to its request. */
#include "http/internal.h"

#include <strings.h>

const char *const http_method_names[METHOD_COUNT] = {
    [GET] = "GET",       [POST] = "POST", [PUT] = "PUT",
    [DELETE] = "DELETE", [HEAD] = "HEAD", [OPTIONS] = "OPTIONS"};

const char *request_param(const struct request *rq, const char *name)
{
    const struct exchange *ex = rq->exchange;
    const struct router_pattern *pattern = ex->match.pattern;
    for (size_t i = 0; i < pattern->params_n; i++)
        if (str_is(pattern->params[i], name))
            return ex->run->params[i];
    return NULL;
}

const char *request_query(const struct request *rq, const char *name)
{
    const struct url_query *q = &rq->exchange->run->query;
    for (size_t i = 0; i < q->n; i++)
        if (strcmp(q->pairs[i].name, name) == 0)
            return q->pairs[i].value;
    return NULL;
}

size_t request_query_all(const struct request *rq, const char *name, const char *const **ret)
{
    const struct url_query *q = &rq->exchange->run->query;
    const char **values = arena_alloc_array(rq->arena, q->n + 1, sizeof *values);
    size_t n = 0;
    for (size_t i = 0; i < q->n; i++)
        if (strcmp(q->pairs[i].name, name) == 0)
            values[n++] = q->pairs[i].value;
    *ret = values;
    return n;
}

const struct err *request_query_int(const struct request *rq, const char *name, int64_t def,
                                    int64_t min, int64_t max, int64_t *ret)
{
    const char *text = request_query(rq, name);
    int64_t v = def;
    if (text && (!str_to_int64(str_of(text), &v) || v < min || v > max))
        return err(ERR_INVALID_PARAM, "\"%s\" must be an integer from %lld to %lld", name,
                   (long long)min, (long long)max);
    *ret = v;
    return NULL;
}

const struct err *request_query_bool(const struct request *rq, const char *name, bool def,
                                     bool *ret)
{
    const char *text = request_query(rq, name);
    if (text && strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
        return err(ERR_INVALID_PARAM, "\"%s\" must be \"true\" or \"false\"", name);
    *ret = text ? text[0] == 't' : def;
    return NULL;
}

const char *request_header(const struct request *rq, const char *name)
{
    if (rq->exchange->stream)
        return NULL; /* once the reply is streamed, the connection may end at any time */
    return MHD_lookup_connection_value(rq->exchange->mhd, MHD_HEADER_KIND, name);
}

struct header_values {
    const char *name;
    const char **values; /* NULL: only count */
    size_t n;
};

static enum MHD_Result request_add_value(void *into, enum MHD_ValueKind kind, const char *name,
                                         const char *value)
{
    struct header_values *h = into;
    if (!value || strcasecmp(name, h->name) != 0)
        return MHD_YES;
    if (h->values)
        h->values[h->n] = value;
    h->n++;
    return MHD_YES;
}

size_t request_header_all(const struct request *rq, const char *name, const char *const **ret)
{
    struct header_values h = {.name = name};
    if (!rq->exchange->stream)
        MHD_get_connection_values(rq->exchange->mhd, MHD_HEADER_KIND, request_add_value, &h);
    h.values = arena_alloc_array(rq->arena, h.n + 1, sizeof *h.values);
    h.n = 0;
    if (!rq->exchange->stream)
        MHD_get_connection_values(rq->exchange->mhd, MHD_HEADER_KIND, request_add_value, &h);
    *ret = h.values;
    return h.n;
}

const char *request_target(const struct request *rq)
{
    const char *query = rq->exchange->query;
    return query ? arena_printf(rq->arena, "%s?%s", rq->path, query) : rq->path;
}

const char *request_bearer_token(const struct request *rq)
{
    static const char scheme[] = "Bearer ";
    enum { SCHEME_N = sizeof scheme - 1 };
    const char *header = request_header(rq, "Authorization");
    if (!header || strncasecmp(header, scheme, SCHEME_N) != 0)
        return NULL;
    return header + SCHEME_N + strspn(header + SCHEME_N, " ");
}

const unsigned char *request_bearer_hash(const struct request *rq)
{
    struct exchange *ex = rq->exchange;
    if (!ex->bearer_is_hashed) {
        const char *token = request_bearer_token(rq);
        if (!token)
            return NULL;
        sha256(str_of(token), ex->bearer_hash);
        ex->bearer_is_hashed = true;
    }
    return ex->bearer_hash;
}

const char *request_access_token(const struct request *rq)
{
    const char *token = request_bearer_token(rq);
    return token ? token : request_query(rq, "access_token");
}

bool request_is_stopping(const struct request *rq)
{
    return atomic_load(&rq->exchange->server->stopping);
}

bool request_is_secure(const struct request *rq)
{
    return rq->exchange->secure;
}
