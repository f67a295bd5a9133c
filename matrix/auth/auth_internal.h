/* Shared by the files of the authorization rules: a case to check, and the form of a rule. */
#ifndef MATRIX_AUTH_AUTH_INTERNAL_H
#define MATRIX_AUTH_AUTH_INTERNAL_H

#include "matrix/auth/auth_rules.h"
#include "matrix/membership.h"

enum auth_kind { /* the event types that rules mention */
                 KIND_OTHER,
                 KIND_CREATE,
                 KIND_ALIASES,
                 KIND_MEMBER,
                 KIND_THIRD_PARTY_INVITE,
                 KIND_POWER_LEVELS,
                 KIND_REDACTION
};

/* One event to check. */
struct auth_case {
    const struct event *e;
    const struct room_version *v;
    const struct auth_state *s;
    const struct event *create; /* NULL: the state has none */
    enum auth_kind kind;
    enum membership membership; /* of a member event: the new membership */
    bool sender_power_known;
    int64_t sender_power;                   /* see auth_sender_power */
    const struct event *const *auth_events; /* for the rules on auth_events */
    const bool *rejected;
    char why[192]; /* set by a condition: a better sentence than the rule's own */
};

/* A row of a rule table: "If WHEN holds, THEN". Rules are tried in order; the first verdict counts.
 * A nested list always ends in a verdict. */
enum auth_verdict {
    RULE_ALLOW,
    RULE_REJECT,
    RULE_ALLOW_ONLY_IF, /* allow if it holds, else reject */
    RULE_LIST           /* the verdict is the nested list's */
};
struct rule {
    const char *number;                /* as in the spec, within its list; NULL ends the table */
    bool (*when)(struct auth_case *c); /* NULL: always */
    enum auth_verdict then;
    const char *text; /* for the client */
    const struct rule *list;
};

/* The tables of one room version (auth_tables.c). */
const struct rule *auth_rules_of(const struct room_version *v);
const struct rule *auth_list_rules_of(const struct room_version *v);

/* For conditions: says why in more detail than the table. Returns true. */
bool auth_because(struct auth_case *c, const char *why, ...) PRINTF_LIKE(2, 3);

/* Reading state (auth_conditions.c). */
enum membership auth_membership_in(const struct event *member); /* NULL: MEMBERSHIP_NONE */
enum membership auth_membership_of(const struct auth_case *c, const char *user_id);
bool auth_same_server(const char *id, const char *other_id); /* false unless both have one */
const json_t *auth_content_of(const struct auth_state *s, const char *type, const char *state_key);

/* Levels (auth_power.c). */
bool auth_read_level(const struct room_version *v, const json_t *value, int64_t *ret);
int64_t auth_sender_power(struct auth_case *c);
bool auth_sender_lacks(struct auth_case *c, int64_t needed, const char *to_do_what);

/* The conditions of the tables, by file. */
#define AUTH_CONDITION(name) bool name(struct auth_case *c)

/* auth_conditions.c */
AUTH_CONDITION(is_create);
AUTH_CONDITION(is_aliases);
AUTH_CONDITION(is_member);
AUTH_CONDITION(is_third_party_invite);
AUTH_CONDITION(is_power_levels);
AUTH_CONDITION(is_redaction);
AUTH_CONDITION(has_prev_events);
AUTH_CONDITION(room_is_not_of_senders_server);
AUTH_CONDITION(has_room_id_of_its_own);
AUTH_CONDITION(room_version_is_unknown);
AUTH_CONDITION(has_no_creator);
AUTH_CONDITION(additional_creators_are_malformed);
AUTH_CONDITION(room_id_is_not_of_create_event);
AUTH_CONDITION(room_has_no_create_event);
AUTH_CONDITION(room_is_closed_to_senders_server);
AUTH_CONDITION(has_no_state_key);
AUTH_CONDITION(state_key_is_not_senders_server);
AUTH_CONDITION(sender_is_not_joined);
AUTH_CONDITION(sender_may_invite);
AUTH_CONDITION(sender_lacks_required_power);
AUTH_CONDITION(state_key_is_another_user);
AUTH_CONDITION(sender_may_redact);
AUTH_CONDITION(redacts_event_of_same_server);

/* auth_events.c */
AUTH_CONDITION(list_has_duplicates);
AUTH_CONDITION(list_has_what_does_not_belong);
AUTH_CONDITION(list_has_rejected_events);
AUTH_CONDITION(list_lacks_create_event);
AUTH_CONDITION(list_has_events_of_other_rooms);

/* auth_member.c */
AUTH_CONDITION(has_no_state_key_or_membership);
AUTH_CONDITION(asks_for_join);
AUTH_CONDITION(asks_for_invite);
AUTH_CONDITION(asks_for_leave);
AUTH_CONDITION(asks_for_ban);
AUTH_CONDITION(asks_for_knock);
AUTH_CONDITION(is_creators_first_join);
AUTH_CONDITION(sender_is_not_target);
AUTH_CONDITION(sender_is_target);
AUTH_CONDITION(sender_is_banned);
AUTH_CONDITION(rule_is_invite_and_target_is_invited);
AUTH_CONDITION(rule_is_invite_or_knock_and_target_is_invited);
AUTH_CONDITION(rule_is_restricted);
AUTH_CONDITION(rule_is_restricted_or_knock_restricted);
AUTH_CONDITION(rule_is_public);
AUTH_CONDITION(rule_is_not_knock);
AUTH_CONDITION(rule_is_neither_knock_nor_knock_restricted);
AUTH_CONDITION(target_is_joined_or_invited);
AUTH_CONDITION(leaves_without_join_or_invite);
AUTH_CONDITION(leaves_without_join_invite_or_knock);
AUTH_CONDITION(target_is_joined_or_banned);
AUTH_CONDITION(target_is_not_banned_invited_or_joined);
AUTH_CONDITION(authoriser_may_not_invite);
AUTH_CONDITION(target_is_banned_and_sender_may_not_unban);
AUTH_CONDITION(sender_may_kick_target);
AUTH_CONDITION(sender_may_ban_target);

/* auth_third_party.c */
AUTH_CONDITION(has_third_party_invite);
AUTH_CONDITION(target_is_banned);
AUTH_CONDITION(third_party_has_no_signed);
AUTH_CONDITION(signed_lacks_mxid_or_token);
AUTH_CONDITION(mxid_is_not_target);
AUTH_CONDITION(token_is_unknown);
AUTH_CONDITION(sender_did_not_make_token);
AUTH_CONDITION(signed_by_a_key_of_token);

/* auth_power_rules.c */
AUTH_CONDITION(named_levels_are_malformed);
AUTH_CONDITION(event_levels_are_malformed);
AUTH_CONDITION(user_levels_are_malformed);
AUTH_CONDITION(user_levels_name_a_creator);
AUTH_CONDITION(room_has_no_power_levels);
AUTH_CONDITION(alters_named_level_above_sender);
AUTH_CONDITION(alters_named_level_to_above_sender);
AUTH_CONDITION(alters_event_level_above_sender);
AUTH_CONDITION(alters_event_level_to_above_sender);
AUTH_CONDITION(alters_user_level_not_below_sender);
AUTH_CONDITION(alters_user_level_to_above_sender);

#endif
