/* What a handler asks of its request. */
#include "http/internal.h"

#include <strings.h>

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
    const struct query *q = &rq->exchange->run->query;
    for (size_t i = 0; i < q->n; i++)
        if (strcmp(q->pairs[i].name, name) == 0)
            return q->pairs[i].value;
    return NULL;
}

size_t request_query_all(const struct request *rq, const char *name, const char *const **ret)
{
    const struct query *q = &rq->exchange->run->query;
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
        return NULL; /* once the reply flows, the connection may go at any moment */
    return MHD_lookup_connection_value(rq->exchange->mhd, MHD_HEADER_KIND, name);
}

const char *request_access_token(const struct request *rq)
{
    const char *header = request_header(rq, "Authorization");
    if (header && strncasecmp(header, "Bearer ", 7) == 0) {
        header += 7;
        return header + strspn(header, " ");
    }
    return request_query(rq, "access_token");
}

bool request_is_stopping(const struct request *rq)
{
    return atomic_load(&rq->exchange->server->stopping);
}

bool request_is_secure(const struct request *rq)
{
    return rq->exchange->secure;
}
