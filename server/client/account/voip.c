/* Client-server API, "Voice over IP": credentials for the TURN servers of the configuration. */
#include "base/clock.h"
#include "server/account/caller.h"
#include "server/routes.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

/* The TURN REST API (draft-uberti-behave-turn-rest): the user name begins with its expiry time, the
 * password is its HMAC-SHA1. */
static const char *turn_password(struct arena *a, const char *secret, const char *username)
{
    unsigned char mac[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    HMAC(EVP_sha1(), secret, (int)strlen(secret), (const unsigned char *)username, strlen(username),
         mac, &n);
    buf_auto struct buf text = {0};
    buf_add_base64(&text, BASE64_STANDARD, mac, n);
    while (text.n % 4)
        buf_add_char(&text, '=');
    return arena_strdup(a, text.p);
}

static const struct err *get_turn_server(struct request *rq, struct reply *rp)
{
    const struct config *c = job_of(rq)->config;
    if (c->turn_uris.n == 0 || (!c->turn_shared_secret && !c->turn_username))
        return reply_empty(rp);
    const char *username = c->turn_username, *password = c->turn_password;
    if (c->turn_shared_secret) {
        username = arena_printf(rq->arena, "%lld:%s",
                                (long long)(now_ms() + c->turn_user_lifetime_ms) / 1000,
                                caller_of(rq)->user_id);
        password = turn_password(rq->arena, c->turn_shared_secret, username);
    }
    json_t *uris = json_array();
    for (size_t i = 0; i < c->turn_uris.n; i++)
        json_array_append_new(uris, json_string(c->turn_uris.items[i]));
    return reply_json(rp, 200, "{s:s, s:s, s:o, s:I}", "username", username, "password",
                      password ? password : "", "uris", uris, "ttl",
                      (json_int_t)(c->turn_user_lifetime_ms / 1000));
}

const struct route voip_routes[] = {
    {.method = GET,
     .path = "/_matrix/client/v3/voip/turnServer",
     .handler = get_turn_server,
     .who = WHO_USER,
     .spec = "Voice over IP"},
    {.path = NULL},
};
