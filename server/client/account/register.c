/* Client-server API, "Account registration", and Synapse's registration with a shared secret. */
#include "base/clock.h"
#include "matrix/id.h"
#include "server/account/attempts.h"
#include "server/account/credentials.h"
#include "server/account/sign_in.h"
#include "server/account/uia.h"
#include "server/routes.h"
#include "storage/users/one_time_tokens.h"
#include "storage/users/registration_tokens.h"
#include "storage/users/tokens.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sodium.h>

enum { MADE_NAME_LETTERS = 12, NONCE_LIFETIME_MS = 60 * 1000 };

static char *register_lower(char *text)
{
    for (char *p = text; *p; p++)
        if (*p >= 'A' && *p <= 'Z')
            *p += 'a' - 'A';
    return text;
}

static bool is_number(const char *text)
{
    return text[0] && strspn(text, "0123456789") == strlen(text);
}

static const struct err *check_name(struct job *job, const char *name)
{
    const char *user_id;
    if (is_number(name))
        return err(ERR_INVALID_USERNAME, "Names of digits only are reserved for guests");
    return users_check_available(job, name, &user_id);
}

/* Asking for the flows, or whether a name is free, is not yet an attempt. */
static const struct err *count_attempt(struct request *rq)
{
    return request_charge(rq, RATE_REGISTRATION, 1);
}

/* ---- guests ---- */

/* Ignores all parameters except initial_device_display_name. */
static const struct err *register_guest(struct request *rq, struct reply *rp)
{
    struct job *job = job_of(rq);
    if (!job->config->allow_guest_access)
        return err(ERR_GUEST_ACCESS_FORBIDDEN, "This server has no guests");
    struct sign_in how;
    TRY(count_attempt(rq));
    TRY(sign_in_read(rq->body, &how));
    how.device_id = NULL;
    int64_t user;
    const char *user_id;
    const char *name =
        arena_printf(rq->arena, "%lld%06u", (long long)now_ms(), randombytes_uniform(1000000));
    TRY(users_create(job, &(struct new_account){.localpart = name, .flags = USER_GUEST}, &user,
                     &user_id));
    json_t *reply;
    TRY(sign_in(job, user, user_id, &how, &reply));
    return reply_tree(rp, 200, reply);
}

/* ---- users ---- */

struct registration {
    const char *name, *password; /* NULL: not given */
    bool inhibit_login;
    struct sign_in how;
    struct uia_proof proof;   /* its registration token, if any, must be used up */
    struct token_owner guest; /* the guest who becomes a user; user 0: none */
};

/* A guest becomes a user of the same name ("Guest Access"). */
static const struct err *find_guest(struct job *job, const char *guest_token, const char *name,
                                    struct token_owner *ret)
{
    struct token_hash hash = token_hash(guest_token);
    struct token_owner o = {0};
    struct str localpart = {0}, server;
    bool found;
    TRY(tokens_find(job_tx(job), token_bytes(&hash), &found, &o));
    if (found)
        id_split('@', str_of(o.user_id), &localpart, &server);
    if (!found || !o.is_guest || !str_is(localpart, name))
        return err(ERR_FORBIDDEN, "The guest's access token is not of a guest of that name");
    *ret = o;
    return NULL;
}

static const struct err *check_registration_name(struct request *rq, struct registration *r)
{
    const char *guest_token;
    TRY(json_want_string(rq->body, "guest_access_token", NULL, &guest_token));
    if (!guest_token)
        return r->name ? check_name(job_of(rq), r->name) : NULL;
    if (!r->name)
        return err(ERR_MISSING_PARAM, "Missing username");
    return find_guest(job_of(rq), guest_token, r->name, &r->guest);
}

static const struct err *read_registration(struct request *rq, struct registration *ret)
{
    struct job *job = job_of(rq);
    struct registration r = {0};
    const char *name;
    TRY(json_want_string(rq->body, "username", NULL, &name));
    TRY(json_want_string(rq->body, "password", NULL, &r.password));
    TRY(json_want_bool(rq->body, "inhibit_login", false, &r.inhibit_login));
    TRY(sign_in_read(rq->body, &r.how));
    if (name)
        r.name = register_lower(arena_strdup(rq->arena, name));
    TRY(check_registration_name(rq, &r));
    if (r.password)
        TRY(credentials_check_new(job, r.password));
    *ret = r;
    return NULL;
}

static const struct err *confirm(struct request *rq, struct reply *rp, bool *ret_done,
                                 struct uia_proof *ret_proof)
{
    static const struct uia_flow open = {{UIA_DUMMY}}, closed = {{UIA_REGISTRATION_TOKEN}};
    const struct config *c = job_of(rq)->config;
    bool by_token = c->registration_requires_token || !c->enable_registration_without_verification;
    return uia_require(rq, rp, by_token ? &closed : &open, 1, ret_done, ret_proof);
}

static const struct err *use_token(struct job *job, const struct registration *r)
{
    bool done = true;
    if (r->proof.registration_token)
        TRY(registration_token_use(job_tx(job), r->proof.registration_token, &done));
    return done ? NULL : err(ERR_FORBIDDEN, "The registration token is not valid any more");
}

static const struct err *create(struct job *job, const struct registration *r, const char *hash,
                                int64_t *ret_user, const char **ret_user_id)
{
    TRY(use_token(job, r));
    return users_create(job, &(struct new_account){.localpart = r->name, .password_hash = hash},
                        ret_user, ret_user_id);
}

static const struct err *upgrade_guest(struct job *job, const struct registration *r,
                                       const char *hash, int64_t *ret_user,
                                       const char **ret_user_id)
{
    TRY(use_token(job, r));
    struct write *w = write_begin(job);
    users_write_changed(w, r->guest.user, r->guest.user_id);
    users_write_upgrade(w, r->guest.user, hash);
    TRY(write_commit(job, w, NULL));
    *ret_user = r->guest.user;
    *ret_user_id = r->guest.user_id;
    return NULL;
}

/* Makes an account and uses its registration token in one transaction. */
static const struct err *create_account(struct job *job, const struct registration *r,
                                        int64_t *ret_user, const char **ret_user_id)
{
    const char *hash;
    TRY(credentials_hash(job, r->password, &hash));
    if (r->guest.user)
        return upgrade_guest(job, r, hash, ret_user, ret_user_id);
    TRY(tx_begin(job_tx(job)));
    const struct err *e = create(job, r, hash, ret_user, ret_user_id);
    if (!e)
        return tx_commit(job_tx(job));
    tx_rollback(job_tx(job));
    return e;
}

static const struct err *reply_registered(struct request *rq, struct reply *rp,
                                          const struct registration *r, int64_t user,
                                          const char *user_id)
{
    struct job *job = job_of(rq);
    json_t *reply;
    TRY(attempts_note_sign_in(rq, user));
    if (r->inhibit_login)
        reply =
            json_pack("{s:s, s:s}", "user_id", user_id, "home_server", job->config->server_name);
    else
        TRY(sign_in(job, user, user_id, &r->how, &reply));
    const struct err *e = uia_remember(rq, &r->proof, reply);
    if (e)
        json_decref(reply);
    return e ? e : reply_tree(rp, 200, reply);
}

static const struct err *register_user(struct request *rq, struct reply *rp)
{
    struct job *job = job_of(rq);
    if (!job->config->enable_registration)
        return err(ERR_FORBIDDEN, "Registration is closed");
    struct registration r;
    const json_t *answer;
    bool done;
    TRY(uia_recall(rq, &answer));
    if (answer)
        return reply_tree(rp, 200, json_incref((json_t *)answer));
    TRY(read_registration(rq, &r));
    if (json_object_get(rq->body, "auth") && rq->pool != POOL_PASSWORD) {
        TRY(count_attempt(rq));
        return reply_elsewhere(rp, POOL_PASSWORD);
    }
    TRY(confirm(rq, rp, &done, &r.proof));
    if (!done)
        return NULL;
    if (!r.password)
        return err(ERR_MISSING_PARAM, "Missing password");
    if (!r.name)
        r.name = register_lower(id_random(rq->arena, MADE_NAME_LETTERS));
    int64_t user;
    const char *user_id;
    TRY(create_account(job, &r, &user, &user_id));
    return reply_registered(rq, rp, &r, user, user_id);
}

static const struct err *post_register(struct request *rq, struct reply *rp)
{
    const char *kind = request_query(rq, "kind");
    if (!kind || strcmp(kind, "user") == 0)
        return register_user(rq, rp);
    if (strcmp(kind, "guest") == 0)
        return register_guest(rq, rp);
    return err(ERR_INVALID_PARAM, "kind must be user or guest");
}

static const struct err *get_available(struct request *rq, struct reply *rp)
{
    const char *name = request_query(rq, "username");
    if (!name)
        return err(ERR_MISSING_PARAM, "Missing username");
    if (!job_of(rq)->config->enable_registration)
        return err(ERR_FORBIDDEN, "Registration is closed");
    TRY(check_name(job_of(rq), name));
    return reply_json(rp, 200, "{s:b}", "available", 1);
}

static const struct err *get_token_validity(struct request *rq, struct reply *rp)
{
    const char *token = request_query(rq, "token");
    if (!token)
        return err(ERR_MISSING_PARAM, "Missing token");
    if (!job_of(rq)->config->enable_registration)
        return err(ERR_FORBIDDEN, "Registration is closed");
    struct registration_token t;
    bool found;
    TRY(registration_token_get(job_tx(job_of(rq)), token, &found, &t));
    return reply_json(rp, 200, "{s:b}", "valid",
                      found && registration_token_is_usable(&t, now_ms()));
}

/* ---- with the shared secret ---- */

static const struct err *need_secret(struct request *rq, const char **ret)
{
    const char *secret = job_of(rq)->config->registration_shared_secret;
    if (!secret)
        return err(ERR_UNKNOWN, "Registration with a shared secret is not enabled");
    *ret = secret;
    return NULL;
}

static const struct err *get_nonce(struct request *rq, struct reply *rp)
{
    const char *secret = NULL, *nonce;
    TRY(need_secret(rq, &secret));
    TRY(one_time_tokens_make(job_tx(job_of(rq)), ONE_TIME_REGISTRATION_NONCE, 0, NONCE_LIFETIME_MS,
                             &nonce));
    return reply_json(rp, 200, "{s:s}", "nonce", nonce);
}

/* HMAC-SHA1 over nonce, name, password, "admin" or "notadmin" and the user type if there is one,
 * with NULs between them, in hexadecimal. */
static const char *proof(struct arena *a, const char *secret, const char *const *parts, size_t n)
{
    buf_auto struct buf text = {0};
    for (size_t i = 0; i < n; i++) {
        if (i)
            buf_add_char(&text, '\0');
        buf_add_text(&text, parts[i]);
    }
    unsigned char mac[EVP_MAX_MD_SIZE];
    unsigned mac_n = 0;
    HMAC(EVP_sha1(), secret, (int)strlen(secret), (const unsigned char *)text.p, text.n, mac,
         &mac_n);
    return hex_encode(a, mac, mac_n);
}

static const struct err *check_proof(struct request *rq, const char *secret, bool admin)
{
    const char *nonce, *name, *password, *user_type, *mac;
    TRY(json_need_string(rq->body, "nonce", &nonce));
    TRY(json_need_string(rq->body, "username", &name));
    TRY(json_need_string(rq->body, "password", &password));
    TRY(json_need_string(rq->body, "mac", &mac));
    TRY(json_want_string(rq->body, "user_type", NULL, &user_type));
    bool found;
    int64_t no_user;
    TRY(one_time_tokens_take(job_tx(job_of(rq)), ONE_TIME_REGISTRATION_NONCE, nonce, &found,
                             &no_user));
    if (!found)
        return err(ERR_UNKNOWN, "Unknown nonce");
    const char *parts[] = {nonce, name, password, admin ? "admin" : "notadmin", user_type};
    const char *right = proof(rq->arena, secret, parts, user_type ? 5 : 4);
    if (!str_eq_secret(str_of(right), str_of(register_lower(arena_strdup(rq->arena, mac)))))
        return err(ERR_FORBIDDEN, "The MAC is wrong");
    return NULL;
}

static const struct err *post_secret_register(struct request *rq, struct reply *rp)
{
    struct job *job = job_of(rq);
    const char *secret = NULL, *hash, *user_id;
    struct new_account new = {0};
    bool admin;
    TRY(need_secret(rq, &secret));
    TRY(json_want_bool(rq->body, "admin", false, &admin));
    TRY(json_want_string(rq->body, "displayname", NULL, &new.displayname));
    TRY(check_proof(rq, secret, admin));
    struct registration r;
    TRY(read_registration(rq, &r));
    TRY(credentials_hash(job, r.password, &hash));
    new.localpart = r.name;
    new.password_hash = hash;
    new.flags = admin ? USER_ADMIN : 0;
    int64_t user;
    TRY(users_create(job, &new, &user, &user_id));
    return reply_registered(rq, rp, &r, user, user_id);
}

const struct route register_routes[] = {
    {.method = POST,
     .path = "/_matrix/client/v3/register",
     .handler = post_register,
     .body = BODY_JSON,
     .body_max = BODY_TINY,
     .rate = RATE_KEY,
     .moves_to = POOL_PASSWORD,
     .spec = "Account registration"},
    {.method = GET,
     .path = "/_matrix/client/v3/register/available",
     .handler = get_available,
     .rate = RATE_KEY,
     .spec = "Account registration"},
    {.method = GET,
     .path = "/_matrix/client/v1/register/m.login.registration_token/validity",
     .handler = get_token_validity,
     .rate = RATE_REGISTRATION,
     .spec = "Token-authenticated registration"},
    {.method = GET,
     .path = "/_synapse/admin/v1/register",
     .handler = get_nonce,
     .rate = RATE_KEY,
     .spec = "-"},
    {.method = POST,
     .path = "/_synapse/admin/v1/register",
     .handler = post_secret_register,
     .body = BODY_JSON,
     .body_max = BODY_TINY,
     .rate = RATE_KEY,
     .pool = POOL_PASSWORD,
     .spec = "-"},
    {.path = NULL},
};
