/* Required signatures of events of other servers, by room version, and the outcome of wrong ones.
 * The keys are pinned or our own: no server is asked, and no database is needed. */
#include "base/cache.h"
#include "federation/in/pdu.h"

#include "event_fixture.h"
#include "federation/federation.h"
#include "federation/keys/keyring.h"

#define SEED(letter) letter "JDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA1"
#define OLD_UNTIL 1600000000000

enum signer { US, US_OLD, ONE, TWO, TWO_B, THREE, SIGNERS };
static const struct {
    const char *server, *line;
} signers[SIGNERS] = {
    [US] = {"us", "ed25519 new " SEED("Y")},   [US_OLD] = {"us", "ed25519 old " SEED("Z")},
    [ONE] = {"one", "ed25519 1 " SEED("W")},   [TWO] = {"two", "ed25519 2 " SEED("X")},
    [TWO_B] = {"two", "ed25519 b " SEED("V")}, [THREE] = {"three", "ed25519 3 " SEED("U")},
};

static struct fixture {
    struct arena *arena;
    struct config config;
    struct node node;
    struct signing_keys own;
    struct storage storage;
    struct federation federation;
    struct job job;
    struct signing_key keys[SIGNERS];
} fixture;

static const char *public_key(enum signer s)
{
    const struct signing_key *k = &fixture.keys[s];
    return arena_printf(
        fixture.arena, "%s:%s", k->id,
        base64_encode(fixture.arena, BASE64_STANDARD, k->public_, sizeof k->public_));
}

static const char *pin(enum signer s)
{
    return arena_printf(fixture.arena, "%s=%s", signers[s].server, public_key(s));
}

static int start(void **state)
{
    struct fixture *f = &fixture;
    f->arena = arena_create();
    for (int i = 0; i < SIGNERS; i++)
        check_error("key", signing_key_parse(str_of(signers[i].line), &f->keys[i]), NULL);
    const char **pins = arena_alloc_array(f->arena, 3, sizeof *pins);
    const char **old = arena_alloc_array(f->arena, 1, sizeof *old);
    static const char *const allowed[] = {"one", "two", "three"};
    pins[0] = pin(ONE);
    pins[1] = pin(TWO);
    pins[2] = pin(TWO_B);
    old[0] = arena_printf(f->arena, "%s:%lld", public_key(US_OLD), (long long)OLD_UNTIL);
    f->config.server_name = "us";
    f->config.federation_pinned_keys = (struct config_list){pins, 3};
    f->config.old_signing_keys = (struct config_list){old, 1};
    f->config.federation_domain_whitelist = (struct config_list){allowed, 2};
    f->node.config = &f->config;
    f->own.current = f->keys[US];
    f->node.keys = &f->own;
    f->node.storage = &f->storage;
    f->node.caches = cache_budget_create(1 << 20);
    f->federation.node = &f->node;
    f->node.federation = &f->federation;
    f->federation.keyring = keyring_create(&f->node);
    job_init(&f->job, &f->node, f->arena);
    return 0;
}

static int stop(void **state)
{
    job_finish(&fixture.job);
    keyring_destroy(fixture.federation.keyring);
    cache_budget_destroy(fixture.node.caches);
    arena_destroy(fixture.arena);
    return 0;
}

/* The members of an event; `by` ends with SIGNERS. */
struct words {
    const char *sender, *type, *state_key, *content, *event_id_server;
    int64_t ts;
    enum signer by[4];
};

static const struct event *make(const struct room_version *v, const struct words *w)
{
    struct arena *a = fixture.arena;
    const char **ids = arena_alloc_array(a, 1, sizeof *ids);
    ids[0] = some_id(v);
    const struct event_template t = {
        .room_id = some_room(v),
        .type = w->type ? w->type : "m.room.message",
        .sender = w->sender ? w->sender : "@a:one",
        .state_key = w->state_key,
        .content = str_of(quoted(a, w->content ? w->content : "{'body':'x'}")),
        .origin_server_ts = w->ts ? w->ts : 1700000000000,
        .depth = 1,
        .prev_events = ids,
        .prev_n = 1,
        .auth_events = ids,
        .auth_n = 1,
    };
    /* The event's id has the first signer's server name (versions 1 and 2). */
    const char *origin = w->event_id_server ? w->event_id_server : signers[w->by[0]].server;
    struct event *e, *signed_;
    check_error("building", event_build(v, &t, origin, &fixture.keys[w->by[0]], &e), NULL);
    for (size_t i = w->event_id_server ? 0 : 1; w->by[i] != SIGNERS; i++) {
        check_error(
            "signing",
            event_add_signature(e, signers[w->by[i]].server, &fixture.keys[w->by[i]], &signed_),
            NULL);
        event_unref(e);
        e = signed_;
    }
    return event_keep(a, e);
}

static struct pdu read_one(const struct room_version *v, const char *room_id, struct str raw)
{
    struct pdu p = {.raw = raw};
    check_error("pdu_read", pdu_read(&fixture.job, v, room_id, &p, 1), NULL);
    return p;
}

static void check(const char *proves, const struct room_version *v, const struct pdu *p,
                  const char *errcode)
{
    const char *got = p->event ? "accepted" : err_errcode(&p->refused);
    if (strcmp(got, errcode ? errcode : "accepted") != 0)
        fail_msg("%s, version %s: %s (%s) instead of %s", proves, v->id, got,
                 p->event ? "" : p->refused.text, errcode ? errcode : "accepted");
}

#define JOIN "{'membership':'join','join_authorised_via_users_server':'@b:two'}"
#define INVITE "{'membership':'invite','third_party_invite':{'signed':{}}}"

static void test_signatures_wanted(void **state)
{
    static const struct {
        const char *proves;
        struct words words;
        int first, last; /* room versions */
        const char *errcode;
    } rows[] = {
        {"the sender's server", {.by = {ONE, SIGNERS}}, 1, 12},
        {"another server only", {.by = {TWO, SIGNERS}}, 1, 12, "M_INVALID_SIGNATURE"},
        {"ours", {.sender = "@a:us", .by = {US, SIGNERS}}, 1, 12},
        {"the event id's server, too",
         {.event_id_server = "two", .by = {ONE, TWO, SIGNERS}},
         1,
         12},
        {"not the event id's server",
         {.sender = "@a:two", .event_id_server = "one", .by = {TWO, SIGNERS}},
         1,
         2,
         "M_INVALID_SIGNATURE"},
        {"a third-party invite is not signed by its sender's server",
         {.type = "m.room.member", .state_key = "@b:two", .content = INVITE, .by = {TWO, SIGNERS}},
         1,
         12},
        {"another invite is",
         {.type = "m.room.member",
          .state_key = "@b:two",
          .content = "{'membership':'invite'}",
          .by = {TWO, SIGNERS}},
         1,
         12,
         "M_INVALID_SIGNATURE"},
        {"no message is a third-party invite",
         {.content = INVITE, .by = {TWO, SIGNERS}},
         1,
         12,
         "M_INVALID_SIGNATURE"},
        {"restricted joins came with version 8",
         {.type = "m.room.member", .state_key = "@a:one", .content = JOIN, .by = {ONE, SIGNERS}},
         1,
         7},
        {"the authorising server must sign",
         {.type = "m.room.member", .state_key = "@a:one", .content = JOIN, .by = {ONE, SIGNERS}},
         8,
         12,
         "M_INVALID_SIGNATURE"},
        {"the authorising server has signed",
         {.type = "m.room.member",
          .state_key = "@a:one",
          .content = JOIN,
          .by = {ONE, TWO, SIGNERS}},
         8,
         12},
        {"the authorising user is none",
         {.type = "m.room.member",
          .state_key = "@a:one",
          .content = "{'membership':'join','join_authorised_via_users_server':'two'}",
          .by = {ONE, TWO, SIGNERS}},
         8,
         12,
         "M_BAD_JSON"},
        {"a leave needs no authorising server",
         {.type = "m.room.member",
          .state_key = "@a:one",
          .content = "{'membership':'leave','join_authorised_via_users_server':'@b:two'}",
          .by = {ONE, SIGNERS}},
         8,
         12},
        {"two good signatures of a server",
         {.sender = "@a:two", .by = {TWO, TWO_B, SIGNERS}},
         1,
         12},
        {"an old key, while it was in use",
         {.sender = "@a:us", .ts = OLD_UNTIL - 1, .by = {US_OLD, SIGNERS}},
         1,
         12},
        {"an old key, later, in versions that allow it",
         {.sender = "@a:us", .ts = OLD_UNTIL + 1, .by = {US_OLD, SIGNERS}},
         1,
         4},
        {"an old key, later",
         {.sender = "@a:us", .ts = OLD_UNTIL + 1, .by = {US_OLD, SIGNERS}},
         5,
         12,
         "M_INVALID_SIGNATURE"},
        {"an expired key is skipped when another has signed",
         {.sender = "@a:us", .ts = OLD_UNTIL + 1, .by = {US, US_OLD, SIGNERS}},
         5,
         12},
        {"closed federation", {.sender = "@a:three", .by = {THREE, SIGNERS}}, 1, 12, "M_FORBIDDEN"},
    };
    for (size_t i = 0; i < COUNT(rows); i++)
        for (int n = rows[i].first; n <= rows[i].last; n++) {
            const struct room_version *v = room_version_find_number(n);
            const struct event *e = make(v, &rows[i].words);
            struct pdu p = read_one(v, e->room_id, e->json);
            check(rows[i].proves, v, &p, rows[i].errcode);
            if (p.event)
                check_text(rows[i].proves, p.event->json, e->json.p);
        }
}

static struct str replaced(const char *text, const char *what, const char *with)
{
    const char *at = strstr(text, what);
    assert_non_null(at);
    return str_of(
        arena_printf(fixture.arena, "%.*s%s%s", (int)(at - text), text, with, at + strlen(what)));
}

static void test_changed_events(void **state)
{
    for (const struct room_version *v = room_versions; v->id; v++) {
        const struct event *e = make(v, &(struct words){.by = {ONE, SIGNERS}});
        /* Redacted members are not covered by signatures, only by the hash. */
        struct pdu p = read_one(v, NULL, replaced(e->json.p, "\"body\":\"x\"", "\"body\":\"y\""));
        check("a wrong hash", v, &p, NULL);
        check_text("redacted", p.event->content, "{}");
        check_text("the same event", str_of(p.event->event_id), e->event_id);
        p = read_one(v, NULL, event_keep(fixture.arena, event_redacted(e))->json);
        check("redacted before", v, &p, NULL);

        p = read_one(v, NULL, replaced(e->json.p, "\"depth\":1", "\"depth\":2"));
        check("changed", v, &p, "M_INVALID_SIGNATURE");
        p = read_one(v, NULL, replaced(e->json.p, "ed25519:1", "ed25519:9"));
        check("an unknown key", v, &p, "M_INVALID_SIGNATURE");
        p = read_one(v, NULL, replaced(e->json.p, "ed25519:1", "curve:1"));
        check("another algorithm", v, &p, "M_INVALID_SIGNATURE");
        p = read_one(v, NULL,
                     replaced(e->json.p, "\"ed25519:1\":", "\"ed25519:9\":\"AA\",\"ed25519:1\":"));
        check("an unknown signature besides", v, &p, NULL);
        p = read_one(v, NULL, replaced(e->json.p, "\"depth\":1,", ""));
        check("no depth", v, &p, "M_BAD_JSON");
        p = read_one(v, NULL, STR("{\"a\":"));
        check("no JSON", v, &p, "M_NOT_JSON");
        p = read_one(v, "!elsewhere:one", e->json);
        check("another room", v, &p, "M_BAD_JSON");
    }
}

static void test_one_wrong_signature_of_two(void **state)
{
    const struct room_version *v = room_version_find("10");
    const struct event *e = make(v, &(struct words){.sender = "@a:two", .by = {TWO, SIGNERS}});
    const char *good = strstr(e->json.p, "\"ed25519:2\":\"") + strlen("\"ed25519:2\":\"");
    struct pdu p = read_one(
        v, NULL,
        replaced(e->json.p, "\"ed25519:2\":",
                 arena_printf(fixture.arena, "\"ed25519:b\":\"%.86s\",\"ed25519:2\":", good)));
    check("a known key's signature is wrong", v, &p, "M_INVALID_SIGNATURE");
}

/* Enough of them for several threads; each is checked alone. */
static void test_many(void **state)
{
    enum { MANY = 500 };
    const struct room_version *v = room_version_find("11");
    struct pdu *pdus = arena_alloc_array(fixture.arena, MANY, sizeof *pdus);
    for (int i = 0; i < MANY; i++) {
        struct words w = {.ts = 1700000000000 + i, .by = {i % 7 ? ONE : TWO, SIGNERS}};
        pdus[i].raw = make(v, &w)->json;
    }
    check_error("reading", pdu_read(&fixture.job, v, NULL, pdus, MANY), NULL);
    for (int i = 0; i < MANY; i++)
        check("one of many", v, &pdus[i], i % 7 ? NULL : "M_INVALID_SIGNATURE");
}

static void test_list(void **state)
{
    static const struct {
        const char *proves, *array, *errcode;
        size_t n;
    } rows[] = {
        {"none", "[]", NULL, 0},
        {"some", "[{},[1,2],3]", NULL, 3},
        {"too many", "[1,2,3,4]", "M_TOO_LARGE", 0},
        {"no list", "{}", "M_BAD_JSON", 0},
        {"nothing", "", "M_BAD_JSON", 0},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct pdu *pdus;
        size_t n = 0;
        check_error(rows[i].proves, pdu_list(fixture.arena, str_of(rows[i].array), 3, &pdus, &n),
                    rows[i].errcode);
        assert_int_equal(n, rows[i].n);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_signatures_wanted),
        cmocka_unit_test(test_changed_events),
        cmocka_unit_test(test_one_wrong_signature_of_two),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_list),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
