/* Small rooms for tests of state resolution: events by short names, state sets as lists of names.
 * Header-only, as every unit test is one file. */
#ifndef TESTS_UNIT_STATE_MAKER_H
#define TESTS_UNIT_STATE_MAKER_H

#include "base/map.h"
#include "event_maker.h"
#include "matrix/auth/state_res.h"

#include <stdio.h>

/* An event of a scenario. Its id is "$name", its room the one of "$create". */
struct state_event {
    const char *name, *type, *sender, *key, *content, *auth; /* auth: names */
    int64_t ts;
    int64_t depth; /* for v1 */
    bool rejected, missing;
};

/* The start of every scenario: Alice has created a public room, Bob is a moderator, Carol and
 * Dave are members. */
#define PUBLIC "{'join_rule':'public'}"
#define JOINED "{'membership':'join'}"
#define POWER_0 "{'users':{'@alice:a':100,'@bob:b':50}}"
static const struct state_event base_events[] = {
    {"create", "m.room.create", "@alice:a", "", "{'creator':'@alice:a'}", "", 1, 1, 0, 0},
    {"ja", "m.room.member", "@alice:a", "@alice:a", JOINED, "create", 2, 2, 0, 0},
    {"p0", "m.room.power_levels", "@alice:a", "", POWER_0, "create ja", 3, 3, 0, 0},
    {"r0", "m.room.join_rules", "@alice:a", "", PUBLIC, "create ja p0", 4, 4, 0, 0},
    {"jb", "m.room.member", "@bob:b", "@bob:b", JOINED, "create p0 r0", 5, 5, 0, 0},
    {"jc", "m.room.member", "@carol:c", "@carol:c", JOINED, "create p0 r0", 6, 6, 0, 0},
    {"jd", "m.room.member", "@dave:d", "@dave:d", JOINED, "create p0 r0", 7, 7, 0, 0},
};
enum { BASE_EVENTS = sizeof base_events / sizeof *base_events };

struct state_maker {
    struct arena *a;
    const struct room_version *v;
    struct map events; /* by id, struct held */
    size_t asked;      /* calls of get_event */
    struct state_res_source source;
};

struct held {
    const struct event *e;
    const struct state_event *from;
    bool was_asked;
};

/* "a b" as "$a $b"; v12 leaves out the create event, which is never cited. */
static inline char *ids_of(struct state_maker *m, const char *names)
{
    buf_auto struct buf b = {0};
    buf_add_text(&b, "");
    for (const char *p = names; *p; p += strspn(p, " ")) {
        size_t n = strcspn(p, " ");
        if (!(m->v->room_id_is_create_hash && n == 6 && strncmp(p, "create", 6) == 0))
            buf_printf(&b, "%s$%.*s", b.n ? " " : "", (int)n, p);
        p += n;
    }
    return arena_strdup(m->a, b.n ? b.p : "");
}

/* v12 power levels must not contain the creator. */
static inline char *content_of(struct state_maker *m, const char *content)
{
    char *text = arena_strdup(m->a, content);
    static const char *const parts[] = {"'@alice:a':100,", "'@alice:a':100"};
    for (size_t i = 0; i < 2 && m->v->privileged_creators; i++) {
        char *p = strstr(text, parts[i]);
        if (p)
            memmove(p, p + strlen(parts[i]), strlen(p + strlen(parts[i])) + 1);
    }
    return text;
}

static inline void add_event(struct state_maker *m, const struct state_event *from)
{
    bool is_create = strcmp(from->type, "m.room.create") == 0;
    bool named_by_id = m->v->room_id_is_create_hash;
    struct event_words w = {.id = arena_printf(m->a, "$%s", from->name),
                            .room_id = named_by_id ? is_create ? NULL : "!create" : "!room:a",
                            .type = from->type,
                            .sender = from->sender,
                            .state_key = from->key,
                            .content = content_of(m, from->content),
                            .auth = ids_of(m, from->auth),
                            .prev = is_create                       ? ""
                                    : strcmp(from->name, "ja") == 0 ? "$create"
                                                                    : "$last",
                            .ts = from->ts,
                            .depth = from->depth};
    struct held *held = arena_alloc(m->a, sizeof *held);
    *held = (struct held){.e = make_event(m->a, m->v, &w), .from = from};
    map_put(&m->events, str_of(held->e->event_id), held);
}

static inline const struct event *get_held(void *ctx, const char *event_id, bool *ret_rejected)
{
    struct state_maker *m = ctx;
    struct held *held = map_get(&m->events, str_of(event_id));
    m->asked++;
    if (!held || held->from->missing)
        return NULL;
    assert_false(held->was_asked); /* each id is requested once */
    held->was_asked = true;
    *ret_rejected = held->from->rejected;
    return held->e;
}

static inline void state_maker_init(struct state_maker *m, struct arena *a,
                                    const struct room_version *v)
{
    *m = (struct state_maker){.a = a, .v = v};
    m->source = (struct state_res_source){.get_event = get_held, .ctx = m};
    for (size_t i = 0; i < BASE_EVENTS; i++)
        add_event(m, &base_events[i]);
}

static inline void state_maker_finish(struct state_maker *m)
{
    map_finish(&m->events);
}

/* The set of the named events, in that order or reversed. */
static inline struct state_set make_set(struct state_maker *m, const char *names, bool reversed)
{
    struct state_entry *entries = arena_alloc_array(m->a, strlen(names), sizeof *entries);
    size_t n = 0;
    for (const char *p = names; *p; p += strspn(p, " "), n++) {
        char *id = arena_printf(m->a, "$%.*s", (int)strcspn(p, " "), p);
        const struct held *held = map_get(&m->events, str_of(id));
        if (!held)
            fail_msg("no event %s", id);
        entries[n] = (struct state_entry){held->e->type, held->e->state_key, id};
        p += strcspn(p, " ");
    }
    for (size_t i = 0; reversed && i < n / 2; i++) {
        struct state_entry swap = entries[i];
        entries[i] = entries[n - 1 - i];
        entries[n - 1 - i] = swap;
    }
    return (struct state_set){entries, n};
}

static inline const struct err *resolve(struct state_maker *m, const struct state_set *sets,
                                        size_t n, struct state_set *ret)
{
    for (struct map_slot *s = NULL; (s = map_next(&m->events, s));)
        ((struct held *)s->value)->was_asked = false;
    return state_resolve(m->a, m->v, &m->source, sets, n, ret);
}

static inline bool set_has(const struct state_set *set, const char *id)
{
    for (size_t i = 0; i < set->n; i++)
        if (strcmp(set->entries[i].event_id, id) == 0)
            return true;
    return false;
}

#endif
