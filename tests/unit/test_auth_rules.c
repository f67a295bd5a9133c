/* rooms/vN: the remaining rules, the lists of auth events, and redactions. */
#include "auth_rows.h"

#define NOT_JOINED "1:6 6:5 12:6"

static const struct auth_row rows[] = {
    {.name = "aliases 1: there is a state key",
     .expect = "1:4.1 6:skip",
     .members = "bob=join",
     .event = {.type = "m.room.aliases"}},
    {.name = "aliases 2: the state key is the sender's server",
     .expect = "1:4.2 6:skip",
     .members = "bob=join",
     .event = {.type = "m.room.aliases", .state_key = "a"}},
    {.name = "aliases 3: needs neither membership nor power up to v5",
     .expect = "1:allow 6:5 12:6",
     .event = {.type = "m.room.aliases", .state_key = "b"}},

    {.name = "sender is joined: a user without membership is not",
     .expect = NOT_JOINED,
     .event = {.type = "m.room.message"}},
    {.name = "sender is joined: an invited user is not",
     .expect = NOT_JOINED,
     .members = "bob=invite",
     .event = {.type = "m.room.message"}},
    {.name = "sender is joined: a user who left is not",
     .expect = NOT_JOINED,
     .members = "bob=leave",
     .event = {.type = "m.room.message"}},
    {.name = "sender is joined: a banned user is not",
     .expect = NOT_JOINED,
     .members = "bob=ban",
     .event = {.type = "m.room.message"}},
    {.name = "sender is joined: a knocking user is not",
     .expect = NOT_JOINED,
     .members = "bob=knock",
     .event = {.type = "m.room.message"}},
    {.name = "sender is joined: a member sends",
     .expect = "1:allow",
     .members = "bob=join",
     .event = {.type = "m.room.message"}},

    {.name = "state key: another's user id",
     .expect = "1:9 6:8 12:9",
     .members = "bob=join",
     .power = "{'users':{'@bob:b':100}}",
     .event = {.type = "org.example.x", .state_key = "@carol:c"}},
    {.name = "state key: anything with @ is a user id",
     .expect = "1:9 6:8 12:9",
     .members = "bob=join",
     .power = "{'users':{'@bob:b':100}}",
     .event = {.type = "org.example.x", .state_key = "@"}},
    {.name = "state key: one's own user id",
     .expect = "1:allow",
     .members = "bob=join",
     .power = "{'users':{'@bob:b':100}}",
     .event = {.type = "org.example.x", .state_key = "@bob:b"}},
    {.name = "state key: anything else",
     .expect = "1:allow",
     .members = "bob=join",
     .power = "{'users':{'@bob:b':100}}",
     .event = {.type = "org.example.x", .state_key = "carol"}},

    {.name = "redaction 1: a user with the redact level",
     .expect = "1:allow",
     .members = "bob=join",
     .power = "{'users':{'@bob:b':50}}",
     .event = {.type = "m.room.redaction", .redacts = "$x:c", .content = "{'redacts':'$x:c'}"}},
    {.name = "redaction 2: an event of the same server",
     .expect = "1:allow",
     .members = "bob=join",
     .event = {.type = "m.room.redaction", .redacts = "$x:b", .content = "{'redacts':'$x:b'}"}},
    {.name = "redaction 3: in v1 and v2 no other user",
     .expect = "1:11.3 3:allow",
     .members = "bob=join",
     .event = {.type = "m.room.redaction", .redacts = "$x:c", .content = "{'redacts':'$x:c'}"}},
    {.name = "redaction: the redact level may be set",
     .expect = "1:11.3 3:allow",
     .members = "bob=join",
     .power = "{'users':{'@bob:b':50},'redact':51}",
     .event = {.type = "m.room.redaction", .redacts = "$x:c", .content = "{'redacts':'$x:c'}"}},
    {.name = "redaction: sending one needs the level of its type",
     .expect = "1:8 6:7 12:8",
     .members = "bob=join",
     .power = "{'users':{'@bob:b':50},'events':{'m.room.redaction':51}}",
     .event = {.type = "m.room.redaction", .redacts = "$x:b", .content = "{'redacts':'$x:b'}"}},
};

/* An event's list of auth events: indices into `cited`, and each version's outcome. */
struct list_row {
    const char *name, *expect;
    const char *list;
    int rejected; /* place in the list; 0: none */
    struct event_words event;
};

static const struct event_words cited[] = {
    ['c' - 'a'] = {.id = "$create", .type = "m.room.create", .sender = "@alice:a", .state_key = ""},
    ['p' - 'a'] = {.id = "$power", .type = "m.room.power_levels", .state_key = ""},
    ['q' - 'a'] = {.id = "$power2", .type = "m.room.power_levels", .state_key = ""},
    ['b' - 'a'] = {.id = "$bob", .type = "m.room.member", .state_key = "@bob:b"},
    ['d' - 'a'] = {.id = "$dave", .type = "m.room.member", .state_key = "@dave:d"},
    ['e' - 'a'] = {.id = "$erin", .type = "m.room.member", .state_key = "@erin:e"},
    ['j' - 'a'] = {.id = "$rules", .type = "m.room.join_rules", .state_key = ""},
    ['t' - 'a'] = {.id = "$token", .type = "m.room.third_party_invite", .state_key = "tok"},
    ['u' - 'a'] = {.id = "$token2", .type = "m.room.third_party_invite", .state_key = "kot"},
    ['n' - 'a'] = {.id = "$name", .type = "m.room.name", .state_key = ""},
    ['m' - 'a'] = {.id = "$message", .type = "m.room.power_levels"},
    ['o' - 'a'] = {.id = "$other",
                   .type = "m.room.power_levels",
                   .state_key = "",
                   .room_id = "!elsewhere:a"},
};

#define MESSAGE .event = {.type = "m.room.message"}
#define MEMBER(text)                                                                               \
    .event = {.type = "m.room.member", .state_key = "@dave:d", .content = "{'membership':" text "}"}

static const struct list_row list_rows[] = {
    {"list: a message cites create, power levels and its sender", "1:allow 12:3.2", "cpb", 0,
     MESSAGE},
    {"list: the v12 create event is not cited", "1:2.4 12:allow", "pb", 0, MESSAGE},
    {"list: the fewest events", "1:allow 12:3.2", "c", 0, MESSAGE},
    {"list: a create event cites nothing", "1:allow", "", 0,
     .event = {.type = "m.room.create", .state_key = "", .sender = "@alice:a"}},
    {"list 1: one event twice", "1:2.1 12:3.1", "cpp", 0, MESSAGE},
    {"list 1: two events as one piece of state", "1:2.1 12:3.1", "cpqb", 0, MESSAGE},
    {"list 2: other users' membership", "1:2.2 12:3.2", "cpbd", 0, MESSAGE},
    {"list 2: join rules of a message", "1:2.2 12:3.2", "cpbj", 0, MESSAGE},
    {"list 2: state that authorises nothing", "1:2.2 12:3.2", "cpbn", 0, MESSAGE},
    {"list 2: an event that is no state", "1:2.2 12:3.2", "cmb", 0, MESSAGE},
    {"list 3: a rejected event", "1:2.3 12:3.2", "cpb", 2, MESSAGE},
    {"list 3: a rejected event, without create event", "1:2.3 12:3.3", "pb", 1, MESSAGE},
    {"list 5: an event of another room", "1:2.5 12:3.2", "cob", 0, MESSAGE},
    {"list 5: an event of another room, without create event", "1:2.4 12:3.5", "ob", 0, MESSAGE},

    {"list of a join: the target and the join rules", "1:allow 12:3.2", "cpbdj", 0,
     MEMBER("'join'")},
    {"list of an invite: the target and the join rules", "1:allow 12:3.2", "cpbdj", 0,
     MEMBER("'invite'")},
    {"list of a knock: the target and the join rules", "12:allow", "pbdj", 0, MEMBER("'knock'")},
    {"list of a ban: the target", "1:allow 12:3.2", "cpbd", 0, MEMBER("'ban'")},
    {"list of a ban: not the join rules", "1:2.2 12:3.2", "cpbdj", 0, MEMBER("'ban'")},
    {"list of a leave: not the join rules", "1:2.2 12:3.2", "cpbdj", 0, MEMBER("'leave'")},
    {"list of a member event: not another's membership", "1:2.2 12:3.2", "cpbe", 0,
     MEMBER("'join'")},
    {"list of a third-party invite: the token", "1:allow 12:3.2", "cpbjt", 0,
     MEMBER("'invite','third_party_invite':{'signed':{'token':'tok'}}")},
    {"list of a third-party invite: not another token", "1:2.2 12:3.2", "cpbju", 0,
     MEMBER("'invite','third_party_invite':{'signed':{'token':'tok'}}")},
    {"list of a join: not the token", "1:2.2 12:3.2", "cpbjt", 0,
     MEMBER("'join','third_party_invite':{'signed':{'token':'tok'}}")},
    {"list of a restricted join: the authorising user, from v8 on", "1:2.2 8:allow 12:3.2", "cpbje",
     0, MEMBER("'join','join_authorised_via_users_server':'@erin:e'")},
    {"list of an invite: no authorising user", "1:2.2 12:3.2", "cpbje", 0,
     MEMBER("'invite','join_authorised_via_users_server':'@erin:e'")},
};

static const struct event *make_cited(struct arena *a, const struct room_version *v, char letter)
{
    struct event_words w = cited[letter - 'a'];
    bool names_room = letter == 'c' && v->room_id_is_create_hash;
    w.sender = w.sender ? w.sender : "@bob:b";
    w.room_id = w.room_id ? w.room_id : names_room ? NULL : room_id_in(v);
    return make_event(a, v, &w);
}

static void run_list_row(void **state)
{
    const struct list_row *row = *state;
    struct auth_row as_auth_row = {.expect = row->expect};
    for (const struct room_version *v = room_versions; v->id; v++) {
        char expected[32] = "skip";
        find_expected(&as_auth_row, v->number, expected);
        if (strcmp(expected, "skip") == 0)
            continue;
        arena_auto struct arena *a = arena_create();
        const struct event *events[8];
        bool rejected[8] = {false};
        buf_auto struct buf ids = {0};
        for (size_t i = 0; row->list[i]; i++) {
            events[i] = make_cited(a, v, row->list[i]);
            buf_printf(&ids, "%s%s", i ? " " : "", events[i]->event_id);
        }
        if (row->rejected)
            rejected[row->rejected - 1] = true;
        struct event_words w = row->event;
        w.id = "$event";
        w.sender = w.sender ? w.sender : "@bob:b";
        w.auth = ids.p;
        w.room_id = strcmp(w.type, "m.room.create") == 0 && v->room_id_is_create_hash
                        ? NULL
                        : room_id_in(v);
        const struct event *e = make_event(a, v, &w);
        check_outcome(row->name, v, expected, auth_check_auth_events(e, events, rejected));
        if (!row->rejected)
            check_outcome(row->name, v, expected, auth_check_auth_events(e, events, NULL));
    }
}

static void collect(void *ctx, const char *type, const char *state_key)
{
    buf_printf(ctx, "%s|%s ", type + strlen("m.room."), state_key);
}

/* The selected events: each once, although sender, target and authorising user may coincide. */
static void test_selection(void **state)
{
    static const struct {
        const char *version, *type, *sender, *state_key, *content, *selected;
    } cases[] = {
        {"11", "m.room.create", "@a:a", "", "{}", ""},
        {"11", "m.room.message", "@a:a", NULL, NULL, "create| power_levels| member|@a:a "},
        {"12", "m.room.message", "@a:a", NULL, NULL, "power_levels| member|@a:a "},
        {"12", "m.room.topic", "@a:a", "", NULL, "power_levels| member|@a:a "},
        {"12", "m.room.member", "@a:a", "@a:a", "{'membership':'leave'}",
         "power_levels| member|@a:a "},
        {"12", "m.room.member", "@a:a", "@b:b", "{'membership':'invite'}",
         "power_levels| member|@a:a member|@b:b join_rules| "},
        {"12", "m.room.member", "@a:a", "@a:a",
         "{'membership':'join','join_authorised_via_users_server':'@b:b'}",
         "power_levels| member|@a:a join_rules| member|@b:b "},
        {"12", "m.room.member", "@a:a", "@a:a",
         "{'membership':'join','join_authorised_via_users_server':'@a:a'}",
         "power_levels| member|@a:a join_rules| "},
        {"7", "m.room.member", "@a:a", "@a:a",
         "{'membership':'join','join_authorised_via_users_server':'@b:b'}",
         "create| power_levels| member|@a:a join_rules| "},
        {"11", "m.room.member", "@a:a", "@b:b", "{'membership':7}",
         "create| power_levels| member|@a:a member|@b:b "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        arena_auto struct arena *a = arena_create();
        json_auto_t *content =
            cases[i].content ? json_loads(json_of(a, cases[i].content), 0, NULL) : NULL;
        buf_auto struct buf got = {0};
        buf_add_text(&got, "");
        auth_events_for(room_version_find(cases[i].version), cases[i].type, cases[i].sender,
                        cases[i].state_key, content, collect, &got);
        assert_string_equal(got.p ? got.p : "", cases[i].selected);
    }
}

static void test_redaction_applies(void **state)
{
    static const struct {
        const char *redaction_id, *target_id, *target_sender, *room_id, *power;
        bool before_v3, from_v3;
    } cases[] = {
        {"$r:b", "$t:b", "@bob:b", NULL, "{}", true, true},
        {"$r:b", "$t:c", "@carol:c", NULL, "{}", false, false},
        {"$r:b", "$t:b", "@carol:c", NULL, "{}", true, false},
        {"$r:b", "$t:c", "@other:b", NULL, "{}", false, true},
        {"$r:b", "$t:c", "@carol:c", NULL, "{'users':{'@bob:b':50}}", true, true},
        {"$r:b", "$t:c", "@carol:c", NULL, "{'users':{'@bob:b':50},'redact':51}", false, false},
        {"$r:b", "$t:b", "@bob:b", "!other:a", "{'users':{'@bob:b':50}}", false, false},
    };
    for (const struct room_version *v = room_versions; v->id; v++) {
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            arena_auto struct arena *a = arena_create();
            struct room room = {.a = a, .v = v};
            make_room(&room, &(struct auth_row){.members = "bob=join", .power = cases[i].power});
            struct auth_state_list list;
            auth_state_list_init(&list, room.state, room.n, NULL);
            struct event_words r = {.id = cases[i].redaction_id,
                                    .type = "m.room.redaction",
                                    .sender = "@bob:b",
                                    .room_id = room_id_in(v)};
            struct event_words t = {.id = cases[i].target_id,
                                    .type = "m.room.message",
                                    .sender = cases[i].target_sender,
                                    .room_id = cases[i].room_id ? cases[i].room_id : room_id_in(v)};
            bool applies =
                auth_redaction_applies(make_event(a, v, &r), make_event(a, v, &t), &list.state);
            if (applies != (v->number < 3 ? cases[i].before_v3 : cases[i].from_v3))
                fail_msg("redaction %zu in v%s", i, v->id);
        }
    }
}

static void test_levels(void **state)
{
    arena_auto struct arena *a = arena_create();
    const struct room_version *v = room_version_find("12");
    struct room empty = {.a = a, .v = v}, full = {.a = a, .v = v};
    make_room(&empty, &(struct auth_row){.members = ""});
    make_room(&full, &(struct auth_row){.power = "{'invite':1,'kick':2,'ban':3,'redact':4,"
                                                 "'users_default':5,'events_default':6,"
                                                 "'state_default':7,'events':{'x':8},"
                                                 "'notifications':{'room':9},"
                                                 "'users':{'@bob:b':10}}"});
    struct auth_state_list none, list;
    auth_state_list_init(&none, empty.state, empty.n, NULL);
    auth_state_list_init(&list, full.state, full.n, NULL);
    assert_int_equal(auth_power_for(&none.state, v, "invite"), 0);
    assert_int_equal(auth_power_for(&none.state, v, "kick"), 50);
    assert_int_equal(auth_power_for(&none.state, v, "ban"), 50);
    assert_int_equal(auth_power_for(&none.state, v, "redact"), 50);
    assert_int_equal(auth_power_to_send(&none.state, v, "x", false), 0);
    assert_int_equal(auth_power_to_send(&none.state, v, "x", true), 50);
    assert_int_equal(auth_power_to_notify_room(&none.state, v), 50);
    assert_int_equal(auth_power_of_user(&none.state, v, "@bob:b"), 0);
    assert_int_equal(auth_power_of_user(&none.state, v, "@alice:a"), POWER_INFINITE);
    assert_int_equal(auth_power_for(&list.state, v, "invite"), 1);
    assert_int_equal(auth_power_for(&list.state, v, "kick"), 2);
    assert_int_equal(auth_power_for(&list.state, v, "ban"), 3);
    assert_int_equal(auth_power_for(&list.state, v, "redact"), 4);
    assert_int_equal(auth_power_of_user(&list.state, v, "@carol:c"), 5);
    assert_int_equal(auth_power_to_send(&list.state, v, "y", false), 6);
    assert_int_equal(auth_power_to_send(&list.state, v, "y", true), 7);
    assert_int_equal(auth_power_to_send(&list.state, v, "x", true), 8);
    assert_int_equal(auth_power_to_notify_room(&list.state, v), 9);
    assert_int_equal(auth_power_of_user(&list.state, v, "@bob:b"), 10);
    assert_int_equal(auth_power_of_user(&list.state, v, "@alice:a"), POWER_INFINITE);
}

/* The list has one more place for the create event, which v12 events do not cite. */
static void test_list_with_create(void **state)
{
    arena_auto struct arena *a = arena_create();
    const struct room_version *v = room_version_find("12");
    struct room room = {.a = a, .v = v};
    make_room(&room, &(struct auth_row){.members = "bob=join"});
    const struct event *events[] = {NULL, room.state[1], room.state[2]};
    struct event_words w = {
        .id = "$event", .type = "m.room.message", .sender = "@bob:b", .room_id = "!create"};
    const struct event *e = make_event(a, v, &w);
    struct auth_state_list list;
    auth_state_list_init(&list, events, 3, room.state[0]);
    assert_null(auth_check(e, &list.state));
    auth_state_list_init(&list, events, 3, NULL);
    assert_non_null(auth_check(e, &list.state));
}

int main(void)
{
    enum { LISTS = sizeof list_rows / sizeof *list_rows };
    struct CMUnitTest lists[LISTS] = {0};
    for (size_t i = 0; i < LISTS; i++)
        lists[i] = (struct CMUnitTest){.name = list_rows[i].name,
                                       .test_func = run_list_row,
                                       .initial_state = (void *)&list_rows[i]};
    const struct CMUnitTest others[] = {
        cmocka_unit_test(test_selection),
        cmocka_unit_test(test_redaction_applies),
        cmocka_unit_test(test_levels),
        cmocka_unit_test(test_list_with_create),
    };
    return run_auth_rows("auth_rules", rows, sizeof rows / sizeof *rows) |
           cmocka_run_group_tests(lists, NULL, NULL) | cmocka_run_group_tests(others, NULL, NULL);
}
