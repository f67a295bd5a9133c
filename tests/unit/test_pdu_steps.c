/* The steps of rooms/accept/steps.def: for each an event that ends exactly there, with the verdict
 * and the reason. Those of whole rooms: tests/api/test_fed_steps.py. */
#include "accept_scene.h"

#include "base/cache.h"
#include "event_fixture.h"
#include "federation/federation.h"
#include "federation/in/pdu.h"
#include "federation/keys/keyring.h"

/* ---- by itself ---- */

#define SEED(letter) letter "JDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA1"

enum signer { ONE, ONE_FALSE, TWO, THREE, SIGNERS };
static const struct {
    const char *server, *line;
} signers[SIGNERS] = {
    [ONE] = {"one", "ed25519 1 " SEED("W")},
    [ONE_FALSE] = {"one", "ed25519 1 " SEED("V")}, /* another key of the same name */
    [TWO] = {"two", "ed25519 2 " SEED("X")},
    [THREE] = {"three", "ed25519 3 " SEED("U")},
};

/* Knows the key of one, and federates with one and two. */
struct receiver {
    struct arena *arena;
    struct config config;
    struct node node;
    struct storage storage;
    struct signing_keys own;
    struct federation federation;
    struct job job;
    struct signing_key keys[SIGNERS];
};

static void receiver_open(struct receiver *r)
{
    static const char *const allowed[] = {"one", "two"};
    *r = (struct receiver){.arena = arena_create()};
    for (int i = 0; i < SIGNERS; i++)
        check_error("key", signing_key_parse(str_of(signers[i].line), &r->keys[i]), NULL);
    const struct signing_key *k = &r->keys[ONE];
    const char **pin = arena_alloc_array(r->arena, 1, sizeof *pin);
    pin[0] = arena_printf(r->arena, "one=%s:%s", k->id,
                          base64_encode(r->arena, BASE64_STANDARD, k->public_, sizeof k->public_));
    r->config.server_name = "us";
    r->config.federation_pinned_keys = (struct config_list){pin, 1};
    r->config.federation_domain_whitelist = (struct config_list){allowed, 2};
    r->node.config = &r->config;
    r->node.caches = cache_budget_create(1 << 20);
    r->federation.node = &r->node;
    r->node.storage = &r->storage;
    r->node.keys = &r->own;
    r->node.federation = &r->federation;
    r->federation.keyring = keyring_create(&r->node);
    job_init(&r->job, &r->node, r->arena);
}

static void receiver_close(struct receiver *r)
{
    job_finish(&r->job);
    keyring_destroy(r->federation.keyring);
    cache_budget_destroy(r->node.caches);
    arena_destroy(r->arena);
}

struct sent {
    const char *sender, *content;
    enum signer by;
    const char *room_id;   /* NULL: the expected one */
    const char *from, *to; /* replaced in the bytes after signing; NULL: nothing */
};

static struct str pdu_of(struct receiver *r, const struct sent *s)
{
    const struct room_version *v = room_version_find("11");
    const char *ids[] = {HASH_ID};
    const struct event_template t = {
        .room_id = s->room_id ? s->room_id : ROOM,
        .type = "m.room.member",
        .sender = s->sender,
        .state_key = s->sender,
        .content = str_of(quoted(r->arena, s->content)),
        .origin_server_ts = 1700000000000,
        .depth = 1,
        .prev_events = ids,
        .prev_n = 1,
        .auth_events = ids,
        .auth_n = 1,
    };
    struct event *e;
    check_error("building", event_build(v, &t, signers[s->by].server, &r->keys[s->by], &e), NULL);
    char *bytes = arena_printf(r->arena, "%.*s", (int)e->json.n, e->json.p);
    event_unref(e);
    char *at = s->from ? strstr(bytes, s->from) : NULL;
    if (at)
        memcpy(at, s->to, strlen(s->to));
    return str_of(bytes);
}

#define JOIN "{'membership':'join'}"
#define AUTHORISED "{'join_authorised_via_users_server':7,'membership':'join'}"

static void steps_of_an_event_by_itself(void **state)
{
    static const struct {
        struct sent sent;
        enum pdu_step step;
        const char *why;
    } rows[] = {
        {{"@a:one", JOIN, ONE, .from = "\"depth\":1", .to = "\"depth\":x"},
         STEP_FORMAT,
         "Content is not JSON: error near byte 104"},
        {{"@a:one", JOIN, ONE, .room_id = "!other:one"},
         STEP_SAME_ROOM,
         "The event is in another room"},
        {{"@a:one", AUTHORISED, ONE},
         STEP_SIGNERS,
         "join_authorised_via_users_server must be a user id"},
        {{"@a:three", JOIN, THREE}, STEP_FEDERATION, "This server does not federate with three"},
        {{"@a:two", JOIN, ONE}, STEP_SIGNED, "The event has no signature of two"},
        {{"@a:one", JOIN, ONE_FALSE}, STEP_SIGNATURES, "The signature of one is wrong"},
        {{"@a:one", JOIN, ONE}, STEP_NONE, NULL},
    };
    struct receiver r;
    receiver_open(&r);
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct pdu p = {.raw = pdu_of(&r, &rows[i].sent)};
        NO_ERR(pdu_read(&r.job, room_version_find("11"), ROOM, &p, 1));
        assert_string_equal(pdu_step_name(p.step), pdu_step_name(rows[i].step));
        assert_int_equal(p.event != NULL, rows[i].why == NULL);
        if (rows[i].why)
            assert_string_equal(p.refused.text, rows[i].why);
    }
    receiver_close(&r);
}

static void a_wrong_hash_redacts(void **state)
{
    struct receiver r;
    receiver_open(&r);
    struct pdu p = {
        .raw = pdu_of(&r, &(struct sent){"@a:one", "{'displayname':'ann','membership':'join'}", ONE,
                                         .from = "ann", .to = "bob"})};
    NO_ERR(pdu_read(&r.job, room_version_find("11"), ROOM, &p, 1));
    assert_non_null(p.event);
    assert_null(json_text(event_content(p.event), "displayname"));
    assert_int_equal(p.step, STEP_NONE);
    receiver_close(&r);
}

/* ---- in its room ---- */

#define OUTSIDE BOB " is not in the room"

/* What bob's event is like. It is sent when alice has banned him, or made him leave. */
struct said {
    const char *then;  /* his membership when it arrives */
    bool before;       /* its parent is from before that */
    bool without_auth; /* it does not cite his join */
    const char *prev;  /* its parent; "": none; NULL: the newest event */
    const char *state; /* the state before it; NULL: by its parents */
    bool twice;
};

static struct accept_outcome accept_said(struct scene *c, const struct said *s)
{
    struct accept_outcome o;
    struct wanted w = bobs(c, "m.room.message", "{\"body\":\"hi\"}");
    const char *content = arena_printf(c->job->arena, "{\"membership\":\"%s\"}", s->then);
    if (strcmp(s->then, "join") != 0)
        set_state(c, "m.room.member", BOB, content);
    if (!s->before)
        w.prev[0] = head_of(c);
    if (s->prev)
        w.prev[0] = *s->prev ? s->prev : NULL;
    for (size_t i = 0; s->without_auth && w.auth[i]; i++)
        if (strcmp(w.auth[i], c->join->event_id) == 0)
            w.auth[i] = NULL;
    struct incoming in = {.event = make(c, &w), .state_ids = s->state ? &s->state : NULL};
    in.state_n = in.state_ids != NULL;
    for (int i = 0; i <= s->twice; i++)
        NO_ERR(room_accept(c->job, room_named(c->job, c->room_id), &in, 1, &o));
    return o;
}

static void steps_of_an_event_in_its_room(void **state)
{
    static const struct {
        struct said said;
        enum accept_verdict verdict;
        enum pdu_step step;
        const char *why;
    } rows[] = {
        {{"join"}, VERDICT_ACCEPTED, STEP_NONE, NULL},
        {{"join", .twice = true}, VERDICT_KNOWN, STEP_KNOWN, NULL},
        {{"join", .prev = ""},
         VERDICT_REJECTED,
         STEP_CREATE,
         "Only the first event of a room has no parents"},
        {{"join", .prev = HASH_ID}, VERDICT_MISSING, STEP_CITED, NULL},
        {{"join", .prev = HASH_ID, .state = HASH_ID}, VERDICT_MISSING, STEP_STATE, NULL},
        {{"join", .without_auth = true}, VERDICT_REJECTED, STEP_AUTH_EVENTS, OUTSIDE},
        {{"leave"}, VERDICT_REJECTED, STEP_STATE_BEFORE, OUTSIDE},
        {{"ban", .before = true}, VERDICT_SOFT_FAILED, STEP_CURRENT_STATE, OUTSIDE},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct scene c;
        open_scene(&c, "11");
        struct accept_outcome o = accept_said(&c, &rows[i].said);
        assert_string_equal(pdu_step_name(o.step), pdu_step_name(rows[i].step));
        assert_int_equal(o.verdict, rows[i].verdict);
        assert_int_equal(o.reason != NULL, rows[i].why != NULL);
        if (rows[i].why)
            assert_string_equal(o.reason, rows[i].why);
        close_scene(&c);
    }
}

static void every_step_has_a_name_of_its_own(void **state)
{
    for (enum pdu_step i = STEP_NONE; i < PDU_STEPS; i++)
        for (enum pdu_step k = STEP_NONE; k < i; k++)
            assert_string_not_equal(pdu_step_name(i), pdu_step_name(k));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_of_an_event_by_itself),
        cmocka_unit_test(a_wrong_hash_redacts),
        cmocka_unit_test(steps_of_an_event_in_its_room),
        cmocka_unit_test(every_step_has_a_name_of_its_own),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
