#include "server/account/credentials.h"

#include "matrix/id.h"
#include "server/account/attempts.h"
#include "server/account/caller.h"
#include "server/account/password.h"

/* ---- the user ---- */

static const char *credentials_lower(struct arena *a, const char *text)
{
    char *l = arena_strdup(a, text);
    for (char *p = l; *p; p++)
        if (*p >= 'A' && *p <= 'Z')
            *p += 'a' - 'A';
    return l;
}

/* A localpart may replace the whole id. New localparts have no capitals; an imported account's may,
 * and is then found by its exact name. */
static const struct err *complete_id(struct job *job, const char *user, const char **ret)
{
    const char *id =
        user[0] == '@' ? user : arena_printf(job->arena, "@%s:%s", user, job->config->server_name);
    struct account a;
    bool found;
    TRY(users_find(job_tx(job), id, &found, &a));
    *ret = found ? id : credentials_lower(job->arena, id);
    return NULL;
}

static const struct err *wrong_credentials(void)
{
    return err(ERR_FORBIDDEN, "Wrong user name or password");
}

const struct err *credentials_user_id(struct job *job, const json_t *o, const char **ret)
{
    const json_t *identifier;
    const char *user, *type;
    TRY(json_want_object(o, "identifier", &identifier));
    TRY(json_want_string(o, "user", NULL, &user));
    if (identifier) {
        TRY(json_need_string(identifier, "type", &type));
        if (strcmp(type, "m.id.thirdparty") == 0 || strcmp(type, "m.id.phone") == 0)
            return wrong_credentials();
        if (strcmp(type, "m.id.user") != 0)
            return err(ERR_UNKNOWN, "Unknown type of identifier");
        TRY(json_need_string(identifier, "user", &user));
    } else if (!user && json_object_get(o, "address")) {
        return wrong_credentials();
    }
    *ret = NULL;
    return user ? complete_id(job, user, ret) : NULL;
}

/* ---- passwords ---- */

const struct err *credentials_count(struct request *rq, const char *user_id,
                                    enum queue_order *ret_order)
{
    struct account a;
    bool found;
    TRY(users_find(job_tx(job_of(rq)), user_id, &found, &a));
    return attempts_count(rq, user_id, found ? a.user : 0, ret_order);
}

const struct err *credentials_check(struct request *rq, const char *user_id, const char *password,
                                    bool *ret_right, struct account *ret)
{
    struct job *job = job_of(rq);
    struct account a;
    bool found, needs_rehash;
    TRY(users_find(job_tx(job), user_id, &found, &a));
    int64_t cost = job->config->password_hash_cost;
    TRY(password_verify(found ? a.password_hash : NULL, password, cost, ret_right, &needs_rehash));
    if (!*ret_right)
        return NULL;
    if (needs_rehash) {
        const char *better;
        const struct err *e = password_hash(job->arena, cost, password, &better);
        if (e && e->code != ERR_INVALID_PARAM) /* an old one may be too long when normalised */
            return e;
        if (!e)
            TRY(users_rehash(job_tx(job), a.user, a.password_hash, better));
    }
    *ret = a;
    return NULL;
}

static size_t characters(const char *text)
{
    size_t n = 0;
    for (; *text; text++)
        n += (*text & 0xc0) != 0x80;
    return n;
}

const struct err *credentials_check_new(struct job *job, const char *password)
{
    int64_t min = job->config->password_min_length;
    TRY(password_normalise(job->arena, password, &password));
    if ((int64_t)characters(password) < min)
        return err(ERR_WEAK_PASSWORD, "A password must have at least %lld characters",
                   (long long)min);
    return NULL;
}

const struct err *credentials_hash(struct job *job, const char *password, const char **ret)
{
    return password_hash(job->arena, job->config->password_hash_cost, password, ret);
}
