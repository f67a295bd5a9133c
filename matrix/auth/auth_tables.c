/* The authorization rules as tables, to be compared with the numbered lists of rooms/vN.md. Lists
 * that several versions share are named after the first of them. The rules about signatures (v8 to
 * v11 rule 4.2, v12 rule 5.2) belong to the check of signatures, not here. */
#include "matrix/auth/auth_internal.h"

#include <assert.h>

#define ALLOW(number, when)                                                                        \
    {                                                                                              \
        number, when, RULE_ALLOW, NULL, NULL                                                       \
    }
#define REJECT(number, when, text)                                                                 \
    {                                                                                              \
        number, when, RULE_REJECT, text, NULL                                                      \
    }
#define ALLOW_ONLY_IF(number, when, text)                                                          \
    {                                                                                              \
        number, when, RULE_ALLOW_ONLY_IF, text, NULL                                               \
    }
#define LIST(number, when, list)                                                                   \
    {                                                                                              \
        number, when, RULE_LIST, NULL, list                                                        \
    }
#define END                                                                                        \
    {                                                                                              \
        NULL, NULL, RULE_ALLOW, NULL, NULL                                                         \
    }
#define ALWAYS NULL

/* m.room.create */

static const struct rule create_v1[] = {
    REJECT("1", has_prev_events, "A create event has no events before it"),
    REJECT("2", room_is_not_of_senders_server, "The room id is not of the sender's server"),
    REJECT("3", room_version_is_unknown, "The room version is not known here"),
    REJECT("4", has_no_creator, "The create event names no creator"),
    ALLOW("5", ALWAYS),
};
static const struct rule create_v11[] = {
    REJECT("1", has_prev_events, "A create event has no events before it"),
    REJECT("2", room_is_not_of_senders_server, "The room id is not of the sender's server"),
    REJECT("3", room_version_is_unknown, "The room version is not known here"),
    ALLOW("4", ALWAYS),
};
static const struct rule create_v12[] = {
    REJECT("1", has_prev_events, "A create event has no events before it"),
    REJECT("2", has_room_id_of_its_own, "A create event of this room version has no room_id"),
    REJECT("3", room_version_is_unknown, "The room version is not known here"),
    REJECT("4", additional_creators_are_malformed, "additional_creators is not a list of user ids"),
    ALLOW("5", ALWAYS),
};

/* m.room.aliases */

static const struct rule aliases_v1[] = {
    REJECT("1", has_no_state_key, "An aliases event has a state key"),
    REJECT("2", state_key_is_not_senders_server, "Aliases are set by their own server"),
    ALLOW("3", ALWAYS),
};

/* m.room.member: joins */

static const struct rule join_v1[] = {
    ALLOW("1", is_creators_first_join),
    REJECT("2", sender_is_not_target, "Only the user can join, not another one"),
    REJECT("3", sender_is_banned, "You are banned from this room"),
    ALLOW("4", rule_is_invite_and_target_is_invited),
    ALLOW("5", rule_is_public),
    REJECT("6", ALWAYS, "You are not invited to this room"),
};
static const struct rule join_v7[] = {
    ALLOW("1", is_creators_first_join),
    REJECT("2", sender_is_not_target, "Only the user can join, not another one"),
    REJECT("3", sender_is_banned, "You are banned from this room"),
    ALLOW("4", rule_is_invite_or_knock_and_target_is_invited),
    ALLOW("5", rule_is_public),
    REJECT("6", ALWAYS, "You are not invited to this room"),
};
static const struct rule restricted_v8[] = {
    ALLOW("1", target_is_joined_or_invited),
    REJECT("2", authoriser_may_not_invite,
           "You are not invited to this room, and no user who may invite authorises your join"),
    ALLOW("3", ALWAYS),
};
static const struct rule join_v8[] = {
    ALLOW("1", is_creators_first_join),
    REJECT("2", sender_is_not_target, "Only the user can join, not another one"),
    REJECT("3", sender_is_banned, "You are banned from this room"),
    ALLOW("4", rule_is_invite_or_knock_and_target_is_invited),
    LIST("5", rule_is_restricted, restricted_v8),
    ALLOW("6", rule_is_public),
    REJECT("7", ALWAYS, "You are not invited to this room"),
};
static const struct rule join_v10[] = {
    ALLOW("1", is_creators_first_join),
    REJECT("2", sender_is_not_target, "Only the user can join, not another one"),
    REJECT("3", sender_is_banned, "You are banned from this room"),
    ALLOW("4", rule_is_invite_or_knock_and_target_is_invited),
    LIST("5", rule_is_restricted_or_knock_restricted, restricted_v8),
    ALLOW("6", rule_is_public),
    REJECT("7", ALWAYS, "You are not invited to this room"),
};

/* m.room.member: other memberships */

static const struct rule third_party_v1[] = {
    REJECT("1", target_is_banned, "The invited user is banned from this room"),
    REJECT("2", third_party_has_no_signed, "The third-party invite is not signed"),
    REJECT("3", signed_lacks_mxid_or_token, "The third-party invite has no mxid or token"),
    REJECT("4", mxid_is_not_target, "The third-party invite is for another user"),
    REJECT("5", token_is_unknown, "The room has no third-party invite of this token"),
    REJECT("6", sender_did_not_make_token, "The third-party invite was made by another user"),
    ALLOW("7", signed_by_a_key_of_token),
    REJECT("8", ALWAYS, "No key of the third-party invite has signed it"),
};
static const struct rule invite_v1[] = {
    LIST("1", has_third_party_invite, third_party_v1),
    REJECT("2", sender_is_not_joined, "You are not in this room"),
    REJECT("3", target_is_joined_or_banned, "That user is in the room or banned from it"),
    ALLOW("4", sender_may_invite),
    REJECT("5", ALWAYS, "You may not invite to this room"),
};
static const struct rule leave_v1[] = {
    REJECT("1", leaves_without_join_or_invite, "You are not in this room"),
    ALLOW("1", sender_is_target),
    REJECT("2", sender_is_not_joined, "You are not in this room"),
    REJECT("3", target_is_banned_and_sender_may_not_unban, "You may not lift bans in this room"),
    ALLOW("4", sender_may_kick_target),
    REJECT("5", ALWAYS, "You may not remove that user from this room"),
};
static const struct rule leave_v7[] = {
    REJECT("1", leaves_without_join_invite_or_knock, "You are not in this room"),
    ALLOW("1", sender_is_target),
    REJECT("2", sender_is_not_joined, "You are not in this room"),
    REJECT("3", target_is_banned_and_sender_may_not_unban, "You may not lift bans in this room"),
    ALLOW("4", sender_may_kick_target),
    REJECT("5", ALWAYS, "You may not remove that user from this room"),
};
static const struct rule ban_v1[] = {
    REJECT("1", sender_is_not_joined, "You are not in this room"),
    ALLOW("2", sender_may_ban_target),
    REJECT("3", ALWAYS, "You may not ban that user from this room"),
};
static const struct rule knock_v7[] = {
    REJECT("1", rule_is_not_knock, "This room does not let users knock"),
    REJECT("2", sender_is_not_target, "Only the user can knock, not another one"),
    ALLOW("3", target_is_not_banned_invited_or_joined),
    REJECT("4", ALWAYS, "You are in this room, invited to it or banned from it"),
};
static const struct rule knock_v10[] = {
    REJECT("1", rule_is_neither_knock_nor_knock_restricted, "This room does not let users knock"),
    REJECT("2", sender_is_not_target, "Only the user can knock, not another one"),
    ALLOW("3", target_is_not_banned_invited_or_joined),
    REJECT("4", ALWAYS, "You are in this room, invited to it or banned from it"),
};

static const struct rule member_v1[] = {
    REJECT("1", has_no_state_key_or_membership, "A member event has a state key and a membership"),
    LIST("2", asks_for_join, join_v1),
    LIST("3", asks_for_invite, invite_v1),
    LIST("4", asks_for_leave, leave_v1),
    LIST("5", asks_for_ban, ban_v1),
    REJECT("6", ALWAYS, "The membership is not known"),
};
static const struct rule member_v7[] = {
    REJECT("1", has_no_state_key_or_membership, "A member event has a state key and a membership"),
    LIST("2", asks_for_join, join_v7),
    LIST("3", asks_for_invite, invite_v1),
    LIST("4", asks_for_leave, leave_v7),
    LIST("5", asks_for_ban, ban_v1),
    LIST("6", asks_for_knock, knock_v7),
    REJECT("7", ALWAYS, "The membership is not known"),
};
static const struct rule member_v8[] = {
    REJECT("1", has_no_state_key_or_membership, "A member event has a state key and a membership"),
    LIST("3", asks_for_join, join_v8),
    LIST("4", asks_for_invite, invite_v1),
    LIST("5", asks_for_leave, leave_v7),
    LIST("6", asks_for_ban, ban_v1),
    LIST("7", asks_for_knock, knock_v7),
    REJECT("8", ALWAYS, "The membership is not known"),
};
static const struct rule member_v10[] = {
    REJECT("1", has_no_state_key_or_membership, "A member event has a state key and a membership"),
    LIST("3", asks_for_join, join_v10),
    LIST("4", asks_for_invite, invite_v1),
    LIST("5", asks_for_leave, leave_v7),
    LIST("6", asks_for_ban, ban_v1),
    LIST("7", asks_for_knock, knock_v10),
    REJECT("8", ALWAYS, "The membership is not known"),
};

/* m.room.third_party_invite */

static const struct rule third_party_invite_v1[] = {
    ALLOW_ONLY_IF("1", sender_may_invite, "You may not invite to this room"),
};

/* m.room.power_levels */

#define TOO_HIGH "A power level is too high for you to alter it"
#define TOO_FAR "You may not set a power level above your own"

static const struct rule power_v1[] = {
    REJECT("1", user_levels_are_malformed, "The users of the power levels are malformed"),
    ALLOW("2", room_has_no_power_levels),
    REJECT("3.1", alters_named_level_above_sender, TOO_HIGH),
    REJECT("3.2", alters_named_level_to_above_sender, TOO_FAR),
    REJECT("4.1", alters_event_level_above_sender, TOO_HIGH),
    REJECT("5.1", alters_event_level_to_above_sender, TOO_FAR),
    REJECT("6.1", alters_user_level_not_below_sender, TOO_HIGH),
    REJECT("7.1", alters_user_level_to_above_sender, TOO_FAR),
    ALLOW("8", ALWAYS),
};
static const struct rule power_v10[] = {
    REJECT("1", named_levels_are_malformed, "A power level is not an integer"),
    REJECT("2", event_levels_are_malformed, "A power level is not an integer"),
    REJECT("3", user_levels_are_malformed, "The users of the power levels are malformed"),
    ALLOW("4", room_has_no_power_levels),
    REJECT("5.1", alters_named_level_above_sender, TOO_HIGH),
    REJECT("5.2", alters_named_level_to_above_sender, TOO_FAR),
    REJECT("6.1", alters_event_level_above_sender, TOO_HIGH),
    REJECT("7.1", alters_event_level_to_above_sender, TOO_FAR),
    REJECT("8.1", alters_user_level_not_below_sender, TOO_HIGH),
    REJECT("9.1", alters_user_level_to_above_sender, TOO_FAR),
    ALLOW("10", ALWAYS),
};
static const struct rule power_v12[] = {
    REJECT("1", named_levels_are_malformed, "A power level is not an integer"),
    REJECT("2", event_levels_are_malformed, "A power level is not an integer"),
    REJECT("3", user_levels_are_malformed, "The users of the power levels are malformed"),
    REJECT("4", user_levels_name_a_creator, "Who created the room can have no power level"),
    ALLOW("5", room_has_no_power_levels),
    REJECT("6.1", alters_named_level_above_sender, TOO_HIGH),
    REJECT("6.2", alters_named_level_to_above_sender, TOO_FAR),
    REJECT("7.1", alters_event_level_above_sender, TOO_HIGH),
    REJECT("8.1", alters_event_level_to_above_sender, TOO_FAR),
    REJECT("9.1", alters_user_level_not_below_sender, TOO_HIGH),
    REJECT("10.1", alters_user_level_to_above_sender, TOO_FAR),
    ALLOW("10", ALWAYS),
};

/* m.room.redaction, v1 and v2 only */

static const struct rule redaction_v1[] = {
    ALLOW("1", sender_may_redact),
    ALLOW("2", redacts_event_of_same_server),
    REJECT("3", ALWAYS, "You may not redact that event"),
};

/* The rules of each version. A state without a create event is refused, like a list of auth events
 * without one (rule 2.4). */

#define NO_CREATE "The room has no create event"
#define CLOSED "This room is closed to other servers"
#define NOT_JOINED "You are not in this room"
#define NO_POWER "You may not send this event"
#define NOT_YOURS "A state key that is a user id belongs to that user"

static const struct rule v1[] = {
    LIST("1", is_create, create_v1),
    REJECT("2.4", room_has_no_create_event, NO_CREATE),
    REJECT("3", room_is_closed_to_senders_server, CLOSED),
    LIST("4", is_aliases, aliases_v1),
    LIST("5", is_member, member_v1),
    REJECT("6", sender_is_not_joined, NOT_JOINED),
    LIST("7", is_third_party_invite, third_party_invite_v1),
    REJECT("8", sender_lacks_required_power, NO_POWER),
    REJECT("9", state_key_is_another_user, NOT_YOURS),
    LIST("10", is_power_levels, power_v1),
    LIST("11", is_redaction, redaction_v1),
    ALLOW("12", ALWAYS),
};
static const struct rule v3[] = {
    LIST("1", is_create, create_v1),
    REJECT("2.4", room_has_no_create_event, NO_CREATE),
    REJECT("3", room_is_closed_to_senders_server, CLOSED),
    LIST("4", is_aliases, aliases_v1),
    LIST("5", is_member, member_v1),
    REJECT("6", sender_is_not_joined, NOT_JOINED),
    LIST("7", is_third_party_invite, third_party_invite_v1),
    REJECT("8", sender_lacks_required_power, NO_POWER),
    REJECT("9", state_key_is_another_user, NOT_YOURS),
    LIST("10", is_power_levels, power_v1),
    ALLOW("11", ALWAYS),
};
static const struct rule v6[] = {
    LIST("1", is_create, create_v1),
    REJECT("2.4", room_has_no_create_event, NO_CREATE),
    REJECT("3", room_is_closed_to_senders_server, CLOSED),
    LIST("4", is_member, member_v1),
    REJECT("5", sender_is_not_joined, NOT_JOINED),
    LIST("6", is_third_party_invite, third_party_invite_v1),
    REJECT("7", sender_lacks_required_power, NO_POWER),
    REJECT("8", state_key_is_another_user, NOT_YOURS),
    LIST("9", is_power_levels, power_v1),
    ALLOW("10", ALWAYS),
};
static const struct rule v7[] = {
    LIST("1", is_create, create_v1),
    REJECT("2.4", room_has_no_create_event, NO_CREATE),
    REJECT("3", room_is_closed_to_senders_server, CLOSED),
    LIST("4", is_member, member_v7),
    REJECT("5", sender_is_not_joined, NOT_JOINED),
    LIST("6", is_third_party_invite, third_party_invite_v1),
    REJECT("7", sender_lacks_required_power, NO_POWER),
    REJECT("8", state_key_is_another_user, NOT_YOURS),
    LIST("9", is_power_levels, power_v1),
    ALLOW("10", ALWAYS),
};
static const struct rule v8[] = {
    LIST("1", is_create, create_v1),
    REJECT("2.4", room_has_no_create_event, NO_CREATE),
    REJECT("3", room_is_closed_to_senders_server, CLOSED),
    LIST("4", is_member, member_v8),
    REJECT("5", sender_is_not_joined, NOT_JOINED),
    LIST("6", is_third_party_invite, third_party_invite_v1),
    REJECT("7", sender_lacks_required_power, NO_POWER),
    REJECT("8", state_key_is_another_user, NOT_YOURS),
    LIST("9", is_power_levels, power_v1),
    ALLOW("10", ALWAYS),
};
static const struct rule v10[] = {
    LIST("1", is_create, create_v1),
    REJECT("2.4", room_has_no_create_event, NO_CREATE),
    REJECT("3", room_is_closed_to_senders_server, CLOSED),
    LIST("4", is_member, member_v10),
    REJECT("5", sender_is_not_joined, NOT_JOINED),
    LIST("6", is_third_party_invite, third_party_invite_v1),
    REJECT("7", sender_lacks_required_power, NO_POWER),
    REJECT("8", state_key_is_another_user, NOT_YOURS),
    LIST("9", is_power_levels, power_v10),
    ALLOW("10", ALWAYS),
};
static const struct rule v11[] = {
    LIST("1", is_create, create_v11),
    REJECT("2.4", room_has_no_create_event, NO_CREATE),
    REJECT("3", room_is_closed_to_senders_server, CLOSED),
    LIST("4", is_member, member_v10),
    REJECT("5", sender_is_not_joined, NOT_JOINED),
    LIST("6", is_third_party_invite, third_party_invite_v1),
    REJECT("7", sender_lacks_required_power, NO_POWER),
    REJECT("8", state_key_is_another_user, NOT_YOURS),
    LIST("9", is_power_levels, power_v10),
    ALLOW("10", ALWAYS),
};
static const struct rule v12[] = {
    LIST("1", is_create, create_v12),
    REJECT("2", room_id_is_not_of_create_event, "The room id is not that of a create event"),
    REJECT("4", room_is_closed_to_senders_server, CLOSED),
    LIST("5", is_member, member_v10),
    REJECT("6", sender_is_not_joined, NOT_JOINED),
    LIST("7", is_third_party_invite, third_party_invite_v1),
    REJECT("8", sender_lacks_required_power, NO_POWER),
    REJECT("9", state_key_is_another_user, NOT_YOURS),
    LIST("10", is_power_levels, power_v12),
    ALLOW("11", ALWAYS),
};

/* The rules on an event's own list of auth events. */

static const struct rule list_v1[] = {
    ALLOW("1", is_create),
    REJECT("2.1", list_has_duplicates, "The event cites two events as one"),
    REJECT("2.2", list_has_what_does_not_belong, "The event cites what does not belong there"),
    REJECT("2.3", list_has_rejected_events, "The event cites a rejected event"),
    REJECT("2.4", list_lacks_create_event, "The event does not cite the create event"),
    REJECT("2.5", list_has_events_of_other_rooms, "The event cites an event of another room"),
    END,
};
static const struct rule list_v12[] = {
    ALLOW("1", is_create),
    REJECT("3.1", list_has_duplicates, "The event cites two events as one"),
    REJECT("3.2", list_has_what_does_not_belong, "The event cites what does not belong there"),
    REJECT("3.3", list_has_rejected_events, "The event cites a rejected event"),
    REJECT("3.5", list_has_events_of_other_rooms, "The event cites an event of another room"),
    END,
};

const struct rule *auth_rules_of(const struct room_version *v)
{
    static const struct rule *const rules[] = {
        [1] = v1, [2] = v1, [3] = v3, [4] = v3,   [5] = v3,   [6] = v6,
        [7] = v7, [8] = v8, [9] = v8, [10] = v10, [11] = v11, [12] = v12,
    };
    assert(v->number >= 1 && (size_t)v->number < sizeof rules / sizeof *rules);
    return rules[v->number];
}

const struct rule *auth_list_rules_of(const struct room_version *v)
{
    return v->room_id_is_create_hash ? list_v12 : list_v1;
}
