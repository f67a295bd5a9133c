#include "federation/in/pdu.h"

#include "base/mem.h"
#include "federation/federation.h"
#include "federation/helpers.h"
#include "federation/keys/keyring.h"
#include "federation/peer/request.h"
#include "matrix/id.h"
#include "matrix/json_scan.h"

#include <unistd.h>

/* ---- lists ---- */

const struct err *pdu_list(struct arena *a, struct str array, size_t max, struct pdu **ret,
                           size_t *ret_n)
{
    struct json_member m;
    size_t n = 0;
    if (!array.n || array.p[0] != '[')
        return err(ERR_BAD_JSON, "A list of events must be an array");
    for (size_t pos = 0; json_scan_next(array, &pos, &m); n++)
        if (n == max)
            return err(ERR_TOO_LARGE, "There are more than %zu events", max);
    struct pdu *pdus = arena_alloc_array(a, n, sizeof *pdus);
    for (size_t pos = 0, i = 0; i < n && json_scan_next(array, &pos, &m); i++)
        pdus[i].raw = m.value;
    *ret = pdus;
    *ret_n = n;
    return NULL;
}

/* ---- the signatures that an event needs ---- */

enum { SIGNERS_MAX = 3, SIGNATURES_MAX = 8 };

struct signature {
    const char *key_id, *key; /* key NULL: unknown, so the signature is ignored */
    struct str base64;
};

struct signer {
    const char *server;
    struct signature signatures[SIGNATURES_MAX];
    size_t n;
};

struct task {
    struct job *job;
    const struct room_version *version;
    const char *room_id; /* NULL: any */
    struct pdu *pdu;
    struct event *event; /* owned until it is checked */
    struct signer signers[SIGNERS_MAX];
    size_t n;
};

static const struct err *pdu_check_format(struct task *t)
{
    return event_parse(t->version, t->pdu->raw, &t->event);
}

static const struct err *pdu_check_room(struct task *t)
{
    if (t->room_id && strcmp(t->event->room_id, t->room_id) != 0)
        return err(ERR_BAD_JSON, "The event is in another room");
    return NULL;
}

static bool is_membership(const struct event *e, enum membership membership)
{
    return e->state_key && strcmp(e->type, "m.room.member") == 0 &&
           event_membership(e) == membership;
}

/* Made by the invited user's server from what the inviter's server has signed: its sender never saw
 * it. The authorisation rules check it. */
static bool pdu_is_third_party_invite(const struct event *e)
{
    return is_membership(e, MEMBERSHIP_INVITE) && json_scan_get(e->content, "third_party_invite").p;
}

static const struct err *need_signer(struct arena *a, struct task *t, const char *id)
{
    struct str server = id_server(str_of(id));
    if (!server.n)
        return err(ERR_BAD_JSON, "The event names a user without a server");
    for (size_t i = 0; i < t->n; i++)
        if (str_is(server, t->signers[i].server))
            return NULL;
    t->signers[t->n++].server = str_dup(a, server);
    return NULL;
}

static const struct err *pdu_find_signers(struct task *t)
{
    struct arena *a = t->job->arena;
    const struct event *e = t->event;
    bool third_party = pdu_is_third_party_invite(e);
    if (!third_party)
        TRY(need_signer(a, t, e->sender));
    if (e->version->event_id == EVENT_ID_GIVEN &&
        !(third_party && str_eq(id_server(str_of(e->event_id)), id_server(str_of(e->sender)))))
        TRY(need_signer(a, t, e->event_id));
    struct str by = e->version->restricted && is_membership(e, MEMBERSHIP_JOIN)
                        ? json_scan_get(e->content, "join_authorised_via_users_server")
                        : (struct str){0};
    if (by.p) {
        const char *user = json_scan_string(a, by);
        if (!user || !id_is_user(str_of(user)))
            return err(ERR_BAD_JSON, "join_authorised_via_users_server must be a user id");
        TRY(need_signer(a, t, user));
    }
    return NULL;
}

/* Finds the event's signatures by the servers that must sign. */
static const struct err *find_signatures(struct arena *a, struct signer *s, const struct event *e)
{
    struct str of = json_scan_path(e->json, "signatures", s->server, NULL);
    struct json_member m;
    for (size_t pos = 0; of.p && json_scan_next(of, &pos, &m);) {
        if (!str_starts_with(m.key, "ed25519:"))
            continue;
        if (s->n == SIGNATURES_MAX)
            return err(ERR_INVALID_SIGNATURE, "The event has too many signatures of %.200s",
                       s->server);
        s->signatures[s->n++] = (struct signature){.key_id = str_dup(a, m.key),
                                                   .base64 = {m.value.p + 1, m.value.n - 2}};
    }
    return s->n ? NULL
                : err(ERR_INVALID_SIGNATURE, "The event has no signature of %.200s", s->server);
}

static const struct err *pdu_find_signatures(struct task *t)
{
    for (size_t i = 0; i < t->n; i++)
        TRY(find_signatures(t->job->arena, &t->signers[i], t->event));
    return NULL;
}

static const struct err *pdu_check_servers(struct task *t)
{
    const struct config *c = t->job->config;
    for (size_t i = 0; i < t->n; i++)
        if (!config_is_own_server(c, t->signers[i].server) &&
            !federation_may_contact(c, t->signers[i].server))
            return err(ERR_FORBIDDEN, "This server does not federate with %.200s",
                       t->signers[i].server);
    return NULL;
}

/* ---- fetching the keys ---- */

struct key_wish {
    struct signer *signer;
    struct signature *signature;
};

static bool pdu_has_key(const struct signer *s)
{
    for (size_t i = 0; i < s->n; i++)
        if (s->signatures[i].key)
            return true;
    return false;
}

/* The missing keys of all signers, as wishes. */
static size_t list_wishes(struct task *tasks, size_t n, struct key_wish *wishes,
                          struct key_wanted_of *wanted)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; tasks[i].event && j < tasks[i].n; j++) {
            struct signer *s = &tasks[i].signers[j];
            if (pdu_has_key(s))
                continue;
            const struct event *e = tasks[i].event;
            int64_t at = e->version->enforce_key_validity ? e->origin_server_ts : 0;
            for (size_t k = 0; k < s->n; k++, count++) {
                if (!wishes)
                    continue;
                wishes[count] = (struct key_wish){s, &s->signatures[k]};
                wanted[count] =
                    (struct key_wanted_of){s->server, s->signatures[k].key_id, at, NULL};
            }
        }
    return count;
}

typedef const struct err *finder(struct job *job, struct key_wanted_of *wanted, size_t n);

static const struct err *find_keys(struct job *job, struct task *tasks, size_t n, finder *find)
{
    size_t count = list_wishes(tasks, n, NULL, NULL);
    struct key_wish *wishes = arena_alloc_array(job->arena, count, sizeof *wishes);
    struct key_wanted_of *wanted = arena_alloc_array(job->arena, count, sizeof *wanted);
    list_wishes(tasks, n, wishes, wanted);
    if (!count)
        return NULL;
    TRY(find(job, wanted, count));
    for (size_t i = 0; i < count; i++)
        wishes[i].signature->key = wanted[i].ret_key;
    return NULL;
}

/* ---- verifying ---- */

/* "All signatures from known unexpired keys" must be valid, and there must be at least one. */
static const struct err *check_signer(const struct signer *s, struct str signed_bytes)
{
    if (!pdu_has_key(s))
        return err(ERR_INVALID_SIGNATURE, "No known valid key of %.200s has signed it", s->server);
    for (size_t i = 0; i < s->n; i++)
        if (s->signatures[i].key &&
            !sign_check(str_of(s->signatures[i].key), signed_bytes, s->signatures[i].base64))
            return err(ERR_INVALID_SIGNATURE, "The signature of %.200s is wrong", s->server);
    return NULL;
}

static const struct err *pdu_check_signatures(struct task *t)
{
    buf_auto struct buf b = {0};
    event_signed_bytes(t->event, &b);
    for (size_t i = 0; i < t->n; i++)
        TRY(check_signer(&t->signers[i], buf_str(&b)));
    return NULL;
}

/* An event with a wrong hash is redacted. */
static const struct err *pdu_check_hash(struct task *t)
{
    if (event_content_hash_ok(t->event))
        return NULL;
    struct event *redacted = event_redacted(t->event);
    event_unref(t->event);
    t->event = redacted;
    return NULL;
}

/* ---- the steps ---- */

struct pdu_check {
    enum pdu_step step;
    const struct err *(*check)(struct task *t);
};

static const struct pdu_check by_itself[] = {
#define PDU_STEP(step, name, check) {STEP_##step, check},
#include "rooms/accept/steps.def"
};
static const struct pdu_check with_keys[] = {
#define SIGNED_STEP(step, name, check) {STEP_##step, check},
#include "rooms/accept/steps.def"
};

static void pdu_run(struct task *t, const struct pdu_check *checks, size_t n)
{
    const struct err *e = NULL;
    for (size_t i = 0; i < n && !e; i++) {
        t->pdu->step = checks[i].step;
        e = checks[i].check(t);
    }
    if (e) {
        t->pdu->refused = *e;
        event_unref(t->event);
        t->event = NULL;
    }
}

struct share {
    struct task *tasks;
    size_t n;
};

static void pdu_judge_share(struct job *job, void *share)
{
    const struct share *s = share;
    for (size_t i = 0; i < s->n; i++)
        if (s->tasks[i].event)
            pdu_run(&s->tasks[i], with_keys, sizeof with_keys / sizeof *with_keys);
}

enum { JUDGES_MAX = 8, SHARE_MIN = 64 };

static int pdu_judges(void)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    return processors > JUDGES_MAX ? JUDGES_MAX : processors > 0 ? (int)processors : 1;
}

struct helpers *pdu_judges_create(struct node *node)
{
    int others = pdu_judges() - 1;
    return others ? helpers_create(node, "signatures", others) : NULL;
}

/* A verification takes 80 µs: those of a large room are split between the processors. */
static void pdu_judge_all(struct job *job, struct task *tasks, size_t n)
{
    size_t shares_n = (size_t)pdu_judges(), from = 0;
    shares_n = n / SHARE_MIN < shares_n ? n / SHARE_MIN : shares_n;
    shares_n = shares_n ? shares_n : 1;
    struct share shares[JUDGES_MAX];
    for (size_t i = 0; i < shares_n; i++) {
        size_t to = n * (i + 1) / shares_n;
        shares[i] = (struct share){tasks + from, to - from};
        from = to;
    }
    /* A command has no federation: it judges alone. */
    struct helpers *judges = job->federation ? job->federation->judges : NULL;
    helpers_run(judges, job, pdu_judge_share, shares, sizeof *shares, shares_n, JUDGES_MAX);
}

const struct err *pdu_read(struct job *job, const struct room_version *v, const char *room_id,
                           struct pdu *pdus, size_t n)
{
    struct task *tasks = arena_alloc_array(job->arena, n, sizeof *tasks);
    for (size_t i = 0; i < n; i++) {
        tasks[i] = (struct task){.job = job, .version = v, .room_id = room_id, .pdu = &pdus[i]};
        pdus[i].event = NULL;
        pdu_run(&tasks[i], by_itself, sizeof by_itself / sizeof *by_itself);
    }
    const struct err *e = find_keys(job, tasks, n, keyring_find_here);
    if (!e)
        e = find_keys(job, tasks, n, keyring_find);
    if (!e)
        pdu_judge_all(job, tasks, n);
    for (size_t i = 0; i < n; i++) {
        if (e)
            event_unref(tasks[i].event);
        if (e || !tasks[i].event)
            continue;
        pdus[i].event = event_keep(job->arena, tasks[i].event);
        pdus[i].step = STEP_NONE;
    }
    return e;
}

const struct err *pdu_refusal(const struct pdu *p)
{
    bool is_forbidden =
        p->refused.code == ERR_INVALID_SIGNATURE || p->refused.code == ERR_FORBIDDEN;
    return err(is_forbidden ? ERR_FORBIDDEN : ERR_INVALID_PARAM, "%s", p->refused.text);
}
