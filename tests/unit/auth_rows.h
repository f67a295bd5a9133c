/* Rows of authorization tests. A row is a small room, an event and its outcome in each room
 * version: `expect` lists "version:rule that refuses it" or "version:allow", each entry from that
 * version up to the next entry. Header-only, as every unit test is one file.
 *
 * Users are called by names: bob is @bob:b, of server b. Alice creates the room. */
#ifndef TESTS_UNIT_AUTH_ROWS_H
#define TESTS_UNIT_AUTH_ROWS_H

#include "event_maker.h"
#include "matrix/auth/auth_rules.h"

#include <stdio.h>

struct auth_row {
    const char *name, *expect;
    const char *create;       /* content; NULL: {'creator':'@alice:a'}; "none": no create event */
    const char *members;      /* "bob=join carol=ban"; alice=join by default */
    const char *join_rule;    /* NULL: no event */
    const char *power;        /* content; NULL: no event */
    const char *token;        /* content of an m.room.third_party_invite by bob with key "token" */
    struct event_words event; /* of bob in the room by default */
};

struct room {
    struct arena *a;
    const struct room_version *v;
    const struct event *state[16];
    size_t n;
};

static inline const char *room_id_in(const struct room_version *v)
{
    return v->room_id_is_create_hash ? "!create" : "!room:a";
}

static inline void add_state(struct room *room, const char *id, const char *type,
                             const char *sender, const char *state_key, const char *content)
{
    bool is_create = strcmp(type, "m.room.create") == 0;
    struct event_words w = {
        .id = id,
        .type = type,
        .sender = sender,
        .state_key = state_key,
        .content = content,
        .room_id = is_create && room->v->room_id_is_create_hash ? NULL : room_id_in(room->v)};
    assert_true(room->n < sizeof room->state / sizeof *room->state);
    room->state[room->n++] = make_event(room->a, room->v, &w);
}

static inline void add_members(struct room *room, const char *members)
{
    for (const char *m = members; *m; m += strspn(m, " ")) {
        size_t name = strcspn(m, "="), n = strcspn(m, " ");
        char *user = arena_printf(room->a, "@%.*s:%c", (int)name, m, m[0]);
        char *content =
            arena_printf(room->a, "{'membership':'%.*s'}", (int)(n - name - 1), m + name + 1);
        char *id = arena_printf(room->a, "$member-%.*s", (int)name, m);
        add_state(room, id, "m.room.member", user, user, content);
        m += n;
    }
}

static inline void make_room(struct room *room, const struct auth_row *row)
{
    const char *create = row->create ? row->create : "{'creator':'@alice:a'}";
    if (strcmp(create, "none") != 0)
        add_state(room, "$create", "m.room.create", "@alice:a", "", create);
    if (!row->members || !strstr(row->members, "alice="))
        add_members(room, "alice=join");
    if (row->members)
        add_members(room, row->members);
    if (row->join_rule)
        add_state(room, "$rules", "m.room.join_rules", "@alice:a", "",
                  arena_printf(room->a, "{'join_rule':'%s'}", row->join_rule));
    if (row->power)
        add_state(room, "$power", "m.room.power_levels", "@alice:a", "", row->power);
    if (row->token)
        add_state(room, "$token", "m.room.third_party_invite", "@bob:b", "token", row->token);
}

/* What the row expects of a version: "allow", a rule number, or "skip". */
static inline void find_expected(const struct auth_row *row, int version, char ret[32])
{
    for (const char *p = row->expect; p && *p; p += strspn(p, " ")) {
        int from = atoi(p);
        size_t n = strcspn(p, " "), colon = strcspn(p, ":");
        if (from <= version)
            snprintf(ret, 32, "%.*s", (int)(n - colon - 1), p + colon + 1);
        p += n;
    }
}

static inline void check_outcome(const char *name, const struct room_version *v,
                                 const char *expected, const struct err *e)
{
    char refused[64];
    snprintf(refused, sizeof refused, "v%s rule %s:", v->id, expected);
    if (strcmp(expected, "allow") == 0) {
        if (e)
            fail_msg("%s: v%s refuses it: %s (%s)", name, v->id, e->text, e->cause);
        return;
    }
    if (!e)
        fail_msg("%s: v%s allows it, against rule %s", name, v->id, expected);
    if (strncmp(e->cause, refused, strlen(refused)) != 0)
        fail_msg("%s: v%s refuses it by \"%s\" (%s), not by rule %s", name, v->id, e->cause,
                 e->text, expected);
    assert_int_equal(e->code, ERR_FORBIDDEN);
    assert_true(e->text[0]);
}

static inline void run_auth_row(void **state)
{
    const struct auth_row *row = *state;
    for (const struct room_version *v = room_versions; v->id; v++) {
        char expected[32] = "skip";
        find_expected(row, v->number, expected);
        if (strcmp(expected, "skip") == 0)
            continue;
        arena_auto struct arena *a = arena_create();
        struct room room = {.a = a, .v = v};
        make_room(&room, row);
        struct event_words w = row->event;
        bool is_create = strcmp(w.type, "m.room.create") == 0;
        w.id = w.id ? w.id : "$event:b";
        w.sender = w.sender ? w.sender : "@bob:b";
        w.room_id = w.room_id                                ? w.room_id
                    : is_create && v->room_id_is_create_hash ? NULL
                                                             : room_id_in(v);
        w.prev = w.prev ? w.prev : is_create ? "" : "$last";
        struct auth_state_list list;
        auth_state_list_init(&list, room.state, room.n, NULL);
        check_outcome(row->name, v, expected, auth_check(make_event(a, v, &w), &list.state));
    }
}

/* One cmocka test a row. */
static inline int run_auth_rows(const char *group, const struct auth_row *rows, size_t n)
{
    struct CMUnitTest *tests = calloc(n, sizeof *tests);
    for (size_t i = 0; i < n; i++)
        tests[i] = (struct CMUnitTest){
            .name = rows[i].name, .test_func = run_auth_row, .initial_state = (void *)&rows[i]};
    int failed = _cmocka_run_group_tests(group, tests, n, NULL, NULL);
    free(tests);
    return failed;
}

#endif
