#include "federation/peer/well_known.h"

#include "base/clock.h"
#include "matrix/id.h"

#include <strings.h>
#include <time.h>

enum {
    BODY_MAX = 50 * 1024,
    REDIRECTS_MAX = 5,
    ASK_MS = 10 * 1000,
    MINUTE_MS = 60 * 1000,
    HOUR_MS = 60 * MINUTE_MS,
    KEEP_LEAST_MS = MINUTE_MS,
    KEEP_DEFAULT_MS = 24 * HOUR_MS,
    KEEP_MOST_MS = 48 * HOUR_MS,
    KEEP_ABSENT_MS = HOUR_MS
};

const char *well_known_read(struct arena *a, struct str body)
{
    json_t *o;
    if (json_read(a, body, &o))
        return NULL;
    const char *name = json_text(o, "m.server");
    return name && id_is_server_name(str_of(name)) ? arena_strdup(a, name) : NULL;
}

/* ---- caching ---- */

/* Finds a directive of Cache-Control, and the value after its '='. */
static bool find_directive(const char *header, const char *name, struct str *ret_value)
{
    size_t name_n = strlen(name);
    for (const char *at = header; *at;) {
        at += strspn(at, " \t,");
        size_t n = strcspn(at, ",");
        if (strncasecmp(at, name, name_n) == 0 && (n == name_n || !!strchr("= \t", at[name_n]))) {
            struct str value = {at + name_n, n - name_n};
            while (value.n && strchr("= \t\"", value.p[0]))
                value.p++, value.n--;
            while (value.n && strchr(" \t\"", value.p[value.n - 1]))
                value.n--;
            *ret_value = value;
            return true;
        }
        at += n;
    }
    return false;
}

static int64_t well_known_between(int64_t least, int64_t v, int64_t most)
{
    return v < least ? least : v > most ? most : v;
}

static int64_t seconds_to_ms(int64_t s)
{
    return well_known_between(0, s, KEEP_MOST_MS / 1000) * 1000;
}

static int64_t until_expiry_ms(const char *expires, int64_t now)
{
    struct tm tm = {0};
    if (!strptime(expires, "%a, %d %b %Y %H:%M:%S GMT", &tm)) /* "0" and the like: in the past */
        return 0;
    return seconds_to_ms((int64_t)timegm(&tm) - now / 1000);
}

int64_t well_known_keep_ms(const char *cache_control, const char *age, const char *expires,
                           int64_t now)
{
    struct str value;
    int64_t max_age, old = 0, keep = KEEP_DEFAULT_MS;
    if (age && (!str_to_int64(str_of(age), &old) || old < 0))
        old = 0;
    if (cache_control && (find_directive(cache_control, "no-store", &value) ||
                          find_directive(cache_control, "no-cache", &value)))
        keep = 0;
    else if (cache_control && find_directive(cache_control, "max-age", &value))
        keep = str_to_int64(value, &max_age) && max_age > 0
                   ? seconds_to_ms(max_age) - seconds_to_ms(old)
                   : 0;
    else if (expires)
        keep = until_expiry_ms(expires, now);
    return well_known_between(KEEP_LEAST_MS, keep, KEEP_MOST_MS);
}

/* ---- the request ---- */

static int64_t keep_ms(struct arena *a, const struct http_answer *answer)
{
    return well_known_keep_ms(http_answer_header(a, answer, "Cache-Control"),
                              http_answer_header(a, answer, "Age"),
                              http_answer_header(a, answer, "Expires"), now_ms());
}

void well_known_ask(struct http_client *http, struct arena *a, const char *host,
                    struct well_known *ret)
{
    static const char *const headers[] = {"Accept: application/json",
                                          "User-Agent: Concorde/" CONCORDE_VERSION, NULL};
    const struct http_call call = {
        .method = GET,
        .url = arena_printf(a, "https://%s/.well-known/matrix/server", host),
        .headers = headers,
        .timeout_ms = ASK_MS,
        .reply_max = BODY_MAX,
        .redirects_max = REDIRECTS_MAX,
    };
    struct http_answer answer;
    const struct err *e = http_client_run(http, a, &call, &answer);
    if (e || answer.status >= 500 || answer.status == 429) {
        *ret = (struct well_known){.failed_for_now = !e || e->code != ERR_TOO_LARGE};
        return;
    }
    const char *delegated = answer.status == 200 ? well_known_read(a, answer.body) : NULL;
    int64_t keep = keep_ms(a, &answer);
    *ret =
        (struct well_known){.delegated = delegated,
                            .keep_ms = delegated || keep < KEEP_ABSENT_MS ? keep : KEEP_ABSENT_MS};
}
