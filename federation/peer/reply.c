#include "federation/peer/reply.h"

enum {
    RETRY_AFTER_MS = 1000, /* if a server does not say */
    RETRY_AFTER_MOST_MS = 3600 * 1000,
    WAIT_LEAST_MS = 500, /* after a 429, for requests that no user waits for */
    WAIT_MOST_MS = 5 * 60 * 1000,
    SENTENCE_MAX = 200 /* bytes passed on of another server's message */
};

static json_t *tree_of(struct arena *a, struct str body)
{
    json_t *v;
    struct str s = str_trim(body, " \t\r\n");
    bool likely = s.n && (s.p[0] == '{' || s.p[0] == '[');
    return likely && !json_read(a, body, &v) ? v : NULL;
}

void fed_reply_read(struct arena *a, const struct http_answer *answer, bool with_tree,
                    struct fed_reply *ret)
{
    *ret = (struct fed_reply){
        .status = answer->status,
        .body = answer->body,
        .bytes = answer->bytes,
        .json = with_tree ? tree_of(a, answer->body) : NULL,
        .content_type = http_answer_header(a, answer, "Content-Type"),
        .content_disposition = http_answer_header(a, answer, "Content-Disposition"),
        .location = http_answer_header(a, answer, "Location"),
        .retry_after = http_answer_header(a, answer, "Retry-After"),
    };
}

/* ---- errors of the other server ---- */

/* Another server must not make our users' clients believe that their sessions have ended. */
static bool is_about_sessions(enum err_code code)
{
    return code == ERR_UNKNOWN_TOKEN || code == ERR_MISSING_TOKEN || code == ERR_UNAUTHORIZED ||
           code == ERR_USER_LOCKED || code == ERR_USER_SUSPENDED || code == ERR_USER_DEACTIVATED;
}

/* At most SENTENCE_MAX bytes, cut between characters. */
static struct str sentence_of(const struct fed_reply *reply)
{
    struct str s = str_of(json_text(reply->json, "error"));
    if (s.n > SENTENCE_MAX) {
        s.n = SENTENCE_MAX;
        while (s.n && ((unsigned char)s.p[s.n] & 0xc0) == 0x80)
            s.n--;
    }
    return s;
}

/* "Retry-After" in seconds, which overrides the older "retry_after_ms"; dates are not supported. */
int fed_reply_retry_after_ms(const struct fed_reply *reply)
{
    const json_t *in_body = json_object_get(reply->json, "retry_after_ms");
    int64_t s, ms = RETRY_AFTER_MS;
    if (reply->status != 429)
        return 0;
    if (reply->retry_after && str_to_int64(str_of(reply->retry_after), &s))
        ms = s < 0 ? 0 : s > RETRY_AFTER_MOST_MS / 1000 ? RETRY_AFTER_MOST_MS : s * 1000;
    else if (json_is_integer(in_body))
        ms = json_integer_value(in_body);
    return ms < 0 ? 0 : ms > RETRY_AFTER_MOST_MS ? RETRY_AFTER_MOST_MS : (int)ms;
}

static const struct err *with_room_version(struct arena *a, const struct err *e,
                                           const struct fed_reply *reply)
{
    const json_t *version = json_object_get(reply->json, "room_version");
    if (e->code != ERR_INCOMPATIBLE_ROOM_VERSION || !json_is_string(version))
        return e;
    const char *text = json_write(a, version);
    return strlen(text) > SENTENCE_MAX ? e : err_with_fields(e, "\"room_version\":%s", text);
}

static const struct err *bad_status(const struct fed_request *r, const struct fed_reply *reply)
{
    return err_with_cause(
        err(ERR_BAD_STATUS, "%.150s answered with status %d", r->server, reply->status), "%.*s",
        (int)(reply->body.n < SENTENCE_MAX ? reply->body.n : SENTENCE_MAX), reply->body.p);
}

/* Our code for an unknown errcode, which itself is passed on unchanged. */
static enum err_code code_of_status(int status)
{
    return status == 403 ? ERR_FORBIDDEN : status == 404 ? ERR_NOT_FOUND : ERR_UNKNOWN;
}

static const struct err *complaint(struct arena *a, const struct fed_request *r,
                                   const struct fed_reply *reply)
{
    const char *errcode = json_text(reply->json, "errcode");
    struct str sentence = sentence_of(reply);
    enum err_code code = ERR_UNKNOWN;
    if (reply->status == 429)
        return err_with_answer(err_limit_exceeded(fed_reply_retry_after_ms(reply)), 429, NULL);
    bool is_known = errcode && err_code_find(errcode, reply->status, &code);
    if (reply->status / 100 != 4 || !errcode || (is_known && is_about_sessions(code)) ||
        (!is_known && reply->status == 401))
        return err_with_answer(bad_status(r, reply), reply->status, NULL);
    if (!is_known)
        code = code_of_status(reply->status);
    const struct err *e =
        sentence.n ? err(code, "%.*s", STR_FMT(sentence)) : err(code, "%.150s refuses", r->server);
    return err_with_answer(with_room_version(a, e, reply), reply->status,
                           is_known && code != ERR_UNKNOWN ? NULL : errcode);
}

const struct err *fed_reply_check(struct arena *a, const struct fed_request *r,
                                  struct fed_reply *reply)
{
    if (reply->status / 100 != 2)
        return complaint(a, r, reply);
    if (!r->no_tree && !r->sink_fd && !json_is_object(reply->json))
        return err(ERR_BAD_STATUS, "%.150s did not answer with a JSON object", r->server);
    return NULL;
}

/* ---- kinds of failure ---- */

bool federation_is_unreachable(const struct err *e)
{
    return e && (e->code == ERR_CONNECTION_FAILED || e->code == ERR_CONNECTION_TIMEOUT);
}

static int64_t bounded_wait_ms(int64_t ms)
{
    return ms < WAIT_LEAST_MS ? WAIT_LEAST_MS : ms > WAIT_MOST_MS ? WAIT_MOST_MS : ms;
}

int64_t fed_reply_pause_ms(const struct fed_reply *reply)
{
    return reply->status == 429 ? bounded_wait_ms(fed_reply_retry_after_ms(reply)) : 0;
}

int64_t federation_wait_ms(const struct err *e)
{
    return e && e->answered == 429 ? bounded_wait_ms(e->retry_after_ms) : 0;
}
