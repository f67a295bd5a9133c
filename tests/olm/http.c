#include "http.h"

#include "base/str.h"

#include <curl/curl.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static CURL *curl;
static const char *base_url;

void http_setup(const char *base)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
    curl = curl_easy_init();
    base_url = base;
}

void http_teardown(void)
{
    curl_easy_cleanup(curl);
    curl_global_cleanup();
}

static size_t receive(char *bytes, size_t size, size_t n, void *into)
{
    buf_add(into, bytes, size * n);
    return size * n;
}

static long perform(const char *token, const char *method, const char *path, const char *body,
                    struct buf *reply)
{
    buf_auto struct buf url = {0}, bearer = {0};
    buf_printf(&url, "%s/_matrix/client/v3%s", base_url, path);
    buf_printf(&bearer, "Authorization: Bearer %s", token ? token : "");
    struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
    if (token)
        headers = curl_slist_append(headers, bearer.p);
    curl_easy_reset(curl);
    curl_easy_setopt(curl, CURLOPT_URL, url.p);
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, 60L);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, receive);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, reply);
    if (body)
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
    CURLcode code = curl_easy_perform(curl);
    curl_slist_free_all(headers);
    if (code != CURLE_OK)
        fail_msg("%s %s: %s", method, path, curl_easy_strerror(code));
    long status = 0;
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    return status;
}

json_t *http_call(const char *token, const char *method, const char *path, json_t *body)
{
    buf_auto struct buf reply = {0};
    char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    json_decref(body);
    long status = perform(token, method, path, text, &reply);
    free(text);
    if (status != 200)
        fail_msg("%s %s: %ld %s", method, path, status, reply.p);
    json_t *v = json_loadb(reply.p, reply.n, 0, NULL);
    if (!v)
        fail_msg("%s %s: no JSON: %s", method, path, reply.p);
    return v;
}
