/* The conditions of the authorization rules about m.room.member. */
#include "matrix/auth/auth_internal.h"
#include "matrix/json_scan.h"

enum join_rule {
    JOIN_RULE_INVITE, /* also when the room has none */
    JOIN_RULE_PUBLIC,
    JOIN_RULE_KNOCK,
    JOIN_RULE_RESTRICTED,
    JOIN_RULE_KNOCK_RESTRICTED,
    JOIN_RULE_OTHER
};

static enum join_rule join_rule_of(const struct auth_case *c)
{
    static const char *const names[] = {
        [JOIN_RULE_INVITE] = "invite",
        [JOIN_RULE_PUBLIC] = "public",
        [JOIN_RULE_KNOCK] = "knock",
        [JOIN_RULE_RESTRICTED] = "restricted",
        [JOIN_RULE_KNOCK_RESTRICTED] = "knock_restricted",
    };
    const struct event *rules = c->s->get(c->s, "m.room.join_rules", "");
    struct str raw = rules ? json_scan_get(rules->content, "join_rule") : (struct str){NULL, 0};
    if (!raw.p)
        return JOIN_RULE_INVITE;
    for (int i = 0; i < JOIN_RULE_OTHER; i++)
        if (json_scan_string_is(raw, names[i]))
            return (enum join_rule)i;
    return JOIN_RULE_OTHER;
}

static enum membership target_membership(const struct auth_case *c)
{
    return auth_membership_of(c, c->e->state_key);
}

bool has_no_state_key_or_membership(struct auth_case *c)
{
    return !c->e->state_key || c->membership == MEMBERSHIP_NONE;
}

bool asks_for_join(struct auth_case *c)
{
    return c->membership == MEMBERSHIP_JOIN;
}

bool asks_for_invite(struct auth_case *c)
{
    return c->membership == MEMBERSHIP_INVITE;
}

bool asks_for_leave(struct auth_case *c)
{
    return c->membership == MEMBERSHIP_LEAVE;
}

bool asks_for_ban(struct auth_case *c)
{
    return c->membership == MEMBERSHIP_BAN;
}

bool asks_for_knock(struct auth_case *c)
{
    return c->membership == MEMBERSHIP_KNOCK;
}

/* "The creator" is one user here, even if the room has additional ones. */
bool is_creators_first_join(struct auth_case *c)
{
    const struct event *create = c->create;
    if (c->e->prev_n != 1 || strcmp(c->e->prev_events[0], create->event_id) != 0)
        return false;
    return c->v->creator_is_sender ? strcmp(create->sender, c->e->state_key) == 0
                                   : auth_is_creator(c->v, create, c->e->state_key);
}

bool sender_is_target(struct auth_case *c)
{
    return strcmp(c->e->sender, c->e->state_key) == 0;
}

bool sender_is_not_target(struct auth_case *c)
{
    return !sender_is_target(c);
}

bool sender_is_banned(struct auth_case *c)
{
    return auth_membership_of(c, c->e->sender) == MEMBERSHIP_BAN;
}

bool target_is_joined_or_invited(struct auth_case *c)
{
    enum membership m = target_membership(c);
    return m == MEMBERSHIP_JOIN || m == MEMBERSHIP_INVITE;
}

bool rule_is_invite_and_target_is_invited(struct auth_case *c)
{
    return join_rule_of(c) == JOIN_RULE_INVITE && target_is_joined_or_invited(c);
}

bool rule_is_invite_or_knock_and_target_is_invited(struct auth_case *c)
{
    enum join_rule rule = join_rule_of(c);
    return (rule == JOIN_RULE_INVITE || rule == JOIN_RULE_KNOCK) && target_is_joined_or_invited(c);
}

bool rule_is_restricted(struct auth_case *c)
{
    return join_rule_of(c) == JOIN_RULE_RESTRICTED;
}

bool rule_is_restricted_or_knock_restricted(struct auth_case *c)
{
    enum join_rule rule = join_rule_of(c);
    return rule == JOIN_RULE_RESTRICTED || rule == JOIN_RULE_KNOCK_RESTRICTED;
}

bool rule_is_public(struct auth_case *c)
{
    return join_rule_of(c) == JOIN_RULE_PUBLIC;
}

bool rule_is_not_knock(struct auth_case *c)
{
    return join_rule_of(c) != JOIN_RULE_KNOCK;
}

bool rule_is_neither_knock_nor_knock_restricted(struct auth_case *c)
{
    enum join_rule rule = join_rule_of(c);
    return rule != JOIN_RULE_KNOCK && rule != JOIN_RULE_KNOCK_RESTRICTED;
}

bool authoriser_may_not_invite(struct auth_case *c)
{
    const char *user = json_text(event_content(c->e), "join_authorised_via_users_server");
    return !user || auth_membership_of(c, user) != MEMBERSHIP_JOIN ||
           auth_power_of_user(c->s, c->v, user) < auth_power_for(c->s, c->v, "invite");
}

bool target_is_banned(struct auth_case *c)
{
    return target_membership(c) == MEMBERSHIP_BAN;
}

bool target_is_joined_or_banned(struct auth_case *c)
{
    enum membership m = target_membership(c);
    if (m == MEMBERSHIP_BAN)
        return auth_because(c, "%.100s is banned from the room", c->e->state_key);
    return m == MEMBERSHIP_JOIN &&
           auth_because(c, "%.100s is already in the room", c->e->state_key);
}

bool leaves_without_join_or_invite(struct auth_case *c)
{
    return sender_is_target(c) && !target_is_joined_or_invited(c);
}

bool leaves_without_join_invite_or_knock(struct auth_case *c)
{
    return leaves_without_join_or_invite(c) && target_membership(c) != MEMBERSHIP_KNOCK;
}

bool target_is_not_banned_invited_or_joined(struct auth_case *c)
{
    return !target_is_joined_or_invited(c) && !target_is_banned(c);
}

bool target_is_banned_and_sender_may_not_unban(struct auth_case *c)
{
    return target_is_banned(c) &&
           auth_sender_lacks(c, auth_power_for(c->s, c->v, "ban"), "to lift a ban");
}

static bool sender_is_above_target(struct auth_case *c)
{
    int64_t target = auth_power_of_user(c->s, c->v, c->e->state_key);
    if (target < auth_sender_power(c))
        return true;
    auth_because(c, "The power level of %.100s is not below yours", c->e->state_key);
    return false;
}

bool sender_may_kick_target(struct auth_case *c)
{
    return !auth_sender_lacks(c, auth_power_for(c->s, c->v, "kick"), "to remove users") &&
           sender_is_above_target(c);
}

bool sender_may_ban_target(struct auth_case *c)
{
    return !auth_sender_lacks(c, auth_power_for(c->s, c->v, "ban"), "to ban users") &&
           sender_is_above_target(c);
}
