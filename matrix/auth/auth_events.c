/* Which state an event must cite, and the rules on the list that it does cite. */
#include "matrix/auth/auth_internal.h"

static bool same(const char *a, const char *b)
{
    return a && b && strcmp(a, b) == 0;
}

/* server-server-api, "Auth events selection", the part for m.room.member. */
static void select_for_member(const struct room_version *v, const char *sender, const char *target,
                              const json_t *content,
                              void (*each)(void *ctx, const char *type, const char *state_key),
                              void *ctx)
{
    enum membership m = membership_parse(json_text(content, "membership"));
    if (target && !same(target, sender))
        each(ctx, "m.room.member", target);
    if (m == MEMBERSHIP_JOIN || m == MEMBERSHIP_INVITE || m == MEMBERSHIP_KNOCK)
        each(ctx, "m.room.join_rules", "");
    if (m == MEMBERSHIP_INVITE) {
        const char *token =
            json_text(json_at(content, "third_party_invite", "signed", NULL), "token");
        if (token)
            each(ctx, "m.room.third_party_invite", token);
    }
    if (m == MEMBERSHIP_JOIN && v->restricted) {
        const char *authoriser = json_text(content, "join_authorised_via_users_server");
        if (authoriser && !same(authoriser, sender) && !same(authoriser, target))
            each(ctx, "m.room.member", authoriser);
    }
}

void auth_events_for(const struct room_version *v, const char *type, const char *sender,
                     const char *state_key, const json_t *content,
                     void (*each)(void *ctx, const char *type, const char *state_key), void *ctx)
{
    if (strcmp(type, "m.room.create") == 0)
        return;
    if (!v->room_id_is_create_hash)
        each(ctx, "m.room.create", "");
    each(ctx, "m.room.power_levels", "");
    each(ctx, "m.room.member", sender);
    if (strcmp(type, "m.room.member") == 0)
        select_for_member(v, sender, state_key, content, each, ctx);
}

static bool is_state_of(const struct event *e, const char *type, const char *state_key)
{
    return e->state_key && strcmp(e->type, type) == 0 && strcmp(e->state_key, state_key) == 0;
}

struct belongs {
    const struct event *cited;
    bool found;
};

static void compare_with_selected(void *ctx, const char *type, const char *state_key)
{
    struct belongs *b = ctx;
    b->found = b->found || is_state_of(b->cited, type, state_key);
}

static bool belongs(const struct event *e, const struct event *cited)
{
    const json_t *content = strcmp(e->type, "m.room.member") == 0 ? event_content(e) : NULL;
    struct belongs b = {.cited = cited};
    auth_events_for(e->version, e->type, e->sender, e->state_key, content, compare_with_selected,
                    &b);
    return b.found;
}

bool list_has_duplicates(struct auth_case *c)
{
    for (size_t i = 0; i < c->e->auth_n; i++) {
        const struct event *a = c->auth_events[i];
        for (size_t k = 0; a->state_key && k < i; k++)
            if (is_state_of(c->auth_events[k], a->type, a->state_key))
                return auth_because(c, "The event cites two events as %.100s", a->type);
    }
    return false;
}

bool list_has_what_does_not_belong(struct auth_case *c)
{
    for (size_t i = 0; i < c->e->auth_n; i++)
        if (!belongs(c->e, c->auth_events[i]))
            return auth_because(c, "The event cites %.100s, which does not belong there",
                                c->auth_events[i]->type);
    return false;
}

bool list_has_rejected_events(struct auth_case *c)
{
    for (size_t i = 0; c->rejected && i < c->e->auth_n; i++)
        if (c->rejected[i])
            return auth_because(c, "The event cites %.100s, which was rejected",
                                c->auth_events[i]->event_id);
    return false;
}

bool list_lacks_create_event(struct auth_case *c)
{
    for (size_t i = 0; i < c->e->auth_n; i++)
        if (is_state_of(c->auth_events[i], "m.room.create", ""))
            return false;
    return true;
}

bool list_has_events_of_other_rooms(struct auth_case *c)
{
    for (size_t i = 0; i < c->e->auth_n; i++)
        if (strcmp(c->auth_events[i]->room_id, c->e->room_id) != 0)
            return auth_because(c, "The event cites an event of another room");
    return false;
}
