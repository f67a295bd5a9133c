/* rooms/vN, the rule on m.room.member: invites, also those by e-mail, and the rule on
 * m.room.third_party_invite. */
#include "auth_rows.h"

#define INVITE(n) "1:5.3." n " 6:4.3." n " 8:4.4." n " 12:5.4." n
#define THIRD(n) INVITE("1." n)
#define OF(user, text) .type = "m.room.member", .state_key = user, .content = text
#define INVITED "{'membership':'invite'}"
#define THIRD_PARTY(signed) "{'membership':'invite','third_party_invite':" signed "}"
#define SIGNED_FOR_CAROL "{'signed':{'mxid':'@carol:c','token':'token','signatures':{}}}"

static const struct auth_row rows[] = {
    {.name = "invite 2: the sender is in the room",
     .expect = INVITE("2"),
     .members = "bob=invite",
     .event = {OF("@carol:c", INVITED)}},
    {.name = "invite 3: members are not invited",
     .expect = INVITE("3"),
     .members = "bob=join carol=join",
     .event = {OF("@carol:c", INVITED)}},
    {.name = "invite 3: banned users are not invited",
     .expect = INVITE("3"),
     .members = "bob=join carol=ban",
     .event = {OF("@carol:c", INVITED)}},
    {.name = "invite 4: by default every member invites",
     .expect = "1:allow",
     .members = "bob=join",
     .event = {OF("@carol:c", INVITED)}},
    {.name = "invite 4: users with the invite level invite",
     .expect = "1:allow",
     .members = "bob=join carol=leave",
     .power = "{'invite':50,'users':{'@bob:b':50}}",
     .event = {OF("@carol:c", INVITED)}},
    {.name = "invite 4: knocking users are invited",
     .expect = "1:allow",
     .members = "bob=join carol=knock",
     .event = {OF("@carol:c", INVITED)}},
    {.name = "invite 4: users may be invited twice",
     .expect = "1:allow",
     .members = "bob=join carol=invite",
     .event = {OF("@carol:c", INVITED)}},
    {.name = "invite 5: users without the invite level do not",
     .expect = INVITE("5"),
     .members = "bob=join",
     .power = "{'invite':51,'users':{'@bob:b':50}}",
     .event = {OF("@carol:c", INVITED)}},

    {.name = "third party 1: banned users are not invited",
     .expect = THIRD("1"),
     .members = "bob=join carol=ban",
     .token = "{}",
     .event = {OF("@carol:c", THIRD_PARTY(SIGNED_FOR_CAROL))}},
    {.name = "third party 2: there is a signed part",
     .expect = THIRD("2"),
     .members = "bob=join",
     .token = "{}",
     .event = {OF("@carol:c", THIRD_PARTY("{'display_name':'carol'}"))}},
    {.name = "third party 2: the signed part is an object",
     .expect = THIRD("2"),
     .members = "bob=join",
     .token = "{}",
     .event = {OF("@carol:c", THIRD_PARTY("{'signed':'yes'}"))}},
    {.name = "third party 2: the property alone makes it a third-party invite",
     .expect = THIRD("2"),
     .members = "bob=join",
     .event = {OF("@carol:c", THIRD_PARTY("null"))}},
    {.name = "third party 3: there is an mxid",
     .expect = THIRD("3"),
     .members = "bob=join",
     .token = "{}",
     .event = {OF("@carol:c", THIRD_PARTY("{'signed':{'token':'token'}}"))}},
    {.name = "third party 3: there is a token",
     .expect = THIRD("3"),
     .members = "bob=join",
     .token = "{}",
     .event = {OF("@carol:c", THIRD_PARTY("{'signed':{'mxid':'@carol:c'}}"))}},
    {.name = "third party 4: the mxid is the invited user",
     .expect = THIRD("4"),
     .members = "bob=join",
     .token = "{}",
     .event = {OF("@dave:d", THIRD_PARTY(SIGNED_FOR_CAROL))}},
    {.name = "third party 5: the room knows the token",
     .expect = THIRD("5"),
     .members = "bob=join",
     .event = {OF("@carol:c", THIRD_PARTY(SIGNED_FOR_CAROL))}},
    {.name = "third party 6: the sender made the token",
     .expect = THIRD("6"),
     .token = "{}",
     .event = {OF("@carol:c", THIRD_PARTY(SIGNED_FOR_CAROL)), .sender = "@alice:a"}},
    {.name = "third party 8: without a signature it is refused",
     .expect = THIRD("8"),
     .members = "bob=join",
     .token = "{'public_key':'Xs9AhbZUI8b6qSJKTkNZ7iwj3Jl9CVeP+OMvSqZ0mDo'}",
     .event = {OF("@carol:c", THIRD_PARTY(SIGNED_FOR_CAROL))}},

    {.name = "m.room.third_party_invite: users who may invite send it",
     .expect = "1:allow",
     .members = "bob=join",
     .power = "{'invite':50,'users':{'@bob:b':50},'state_default':100}",
     .event = {.type = "m.room.third_party_invite", .state_key = "t"}},
    {.name = "m.room.third_party_invite: users who may not invite do not",
     .expect = "1:7.1 6:6.1 12:7.1",
     .members = "bob=join",
     .power = "{'invite':51,'users':{'@bob:b':50},'state_default':0}",
     .event = {.type = "m.room.third_party_invite", .state_key = "t"}},
};

/* Third-party invites that an identity server really signed, by one of two keys. */
struct signed_case {
    const char *name, *expect;
    const char *token;      /* with RIGHT for the key and WRONG for another */
    const char *after;      /* members put into the signed part after signing */
    bool sender_is_outside; /* the signature replaces the sender's membership */
};

static const struct signed_case signed_cases[] = {
    {"third party 7: signed by public_key", "1:allow", "{'public_key':'RIGHT'}", NULL, false},
    {"third party 7: signed by one of public_keys", "1:allow",
     "{'public_key':'WRONG','public_keys':[{'public_key':'WRONG'},{'public_key':'RIGHT'}]}", NULL,
     false},
    {"third party 7: neither membership nor invite level is needed", "1:allow",
     "{'public_key':'RIGHT'}", NULL, true},
    {"third party 8: signed by another key", THIRD("8"),
     "{'public_key':'WRONG','public_keys':[{'public_key':'WRONG'}]}", NULL, false},
    {"third party 8: the signed part was changed", THIRD("8"), "{'public_key':'RIGHT'}", "x",
     false},
    {"third party 8: malformed keys", THIRD("8"),
     "{'public_key':7,'public_keys':['RIGHT',{'public_key':null},{'key':'RIGHT'}]}", NULL, false},
};

static char *key_text(struct arena *a, const struct signing_key *k)
{
    return base64_encode(a, BASE64_STANDARD, k->public_, sizeof k->public_);
}

/* Puts the keys where the template has RIGHT and WRONG. */
static const char *with_keys(struct arena *a, const char *template, const char *right,
                             const char *wrong)
{
    buf_auto struct buf out = {0};
    while (*template) {
        const char *key = strncmp(template, "RIGHT", 5) == 0   ? right
                          : strncmp(template, "WRONG", 5) == 0 ? wrong
                                                               : NULL;
        if (key)
            buf_add_text(&out, key);
        else
            buf_add_char(&out, *template);
        template += key ? 5 : 1;
    }
    return arena_strdup(a, out.p);
}

static void test_signed(void **state)
{
    const struct signed_case *c = *state;
    arena_auto struct arena *a = arena_create();
    struct signing_key key, wrong;
    signing_key_make(&key);
    signing_key_make(&wrong);
    json_auto_t *part = json_pack("{s:s,s:s}", "mxid", "@carol:c", "token", "token");
    assert_null(sign_json(part, "id.example", &key));
    if (c->after)
        json_object_set_new(part, c->after, json_true());
    struct auth_row row = {
        .name = c->name,
        .expect = c->expect,
        .members = c->sender_is_outside ? "" : "bob=join",
        .power = "{'invite':100}",
        .token = with_keys(a, c->token, key_text(a, &key), key_text(a, &wrong)),
        .event = {.type = "m.room.member",
                  .state_key = "@carol:c",
                  .content = arena_printf(a, THIRD_PARTY("{'signed':%s}"), json_write(a, part))}};
    void *as_state = &row;
    run_auth_row(&as_state);
}

/* Checking a hostile invite with many signatures and keys takes bounded time. */
static void test_hostile_signatures(void **state)
{
    arena_auto struct arena *a = arena_create();
    buf_auto struct buf signatures = {0}, keys = {0};
    for (int i = 0; i < 400; i++) {
        buf_printf(&signatures, "%s'ed25519:%d':'%086d'", i ? "," : "", i, i);
        buf_printf(&keys, "%s{'public_key':'%043d'}", i ? "," : "", i);
    }
    struct auth_row row = {
        .name = "400 signatures, 400 keys",
        .expect = "11:4.4.1.8 12:5.4.1.8",
        .members = "bob=join",
        .token = arena_printf(a, "{'public_keys':[%s]}", keys.p),
        .event = {.type = "m.room.member",
                  .state_key = "@carol:c",
                  .content = arena_printf(a,
                                          THIRD_PARTY("{'signed':{'mxid':'@carol:c','token':"
                                                      "'token','signatures':{'x':{%s}}}}"),
                                          signatures.p)}};
    void *as_state = &row;
    run_auth_row(&as_state);
}

int main(void)
{
    enum { CASES = sizeof signed_cases / sizeof *signed_cases };
    struct CMUnitTest tests[CASES + 1] = {0};
    for (size_t i = 0; i < CASES; i++)
        tests[i] = (struct CMUnitTest){.name = signed_cases[i].name,
                                       .test_func = test_signed,
                                       .initial_state = (void *)&signed_cases[i]};
    tests[CASES] = (struct CMUnitTest)cmocka_unit_test(test_hostile_signatures);
    return run_auth_rows("auth_invite", rows, sizeof rows / sizeof *rows) |
           cmocka_run_group_tests(tests, NULL, NULL);
}
