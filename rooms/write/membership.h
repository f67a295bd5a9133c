/* Changing memberships (client-server-api, "Room membership"): the checks of joins, invites,
 * knocks, kicks and bans before the authorization rules, and the content of their events. */
#ifndef ROOMS_WRITE_MEMBERSHIP_H
#define ROOMS_WRITE_MEMBERSHIP_H

#include "rooms/write/append.h"

enum member_action {
    MEMBER_JOIN,
    MEMBER_KNOCK,
    MEMBER_LEAVE, /* also rejects an invite and retracts a knock */
    MEMBER_INVITE,
    MEMBER_KICK, /* also retracts an invite and rejects a knock */
    MEMBER_BAN,
    MEMBER_UNBAN
};

struct member_change {
    enum member_action action;
    const char *target;    /* user id */
    const char *reason;    /* NULL: none */
    const json_t *content; /* further keys of the event; NULL: none, and then a join of a joined
                              user changes nothing */
    bool author_is_guest;
};

/* Sends the member event. ret_event_id: of the current member event if nothing had to change.
 * M_FORBIDDEN, M_BAD_STATE, M_GUEST_ACCESS_FORBIDDEN, M_INVITE_BLOCKED, M_UNABLE_TO_GRANT_JOIN. */
const struct err *membership_change(struct job *job, struct room *room, const struct author *author,
                                    const struct member_change *change, const char **ret_event_id);

/* Is it the invite of a user of another server? That server must sign it, so membership_change
 * refuses it: use federation_invite (federation/rooms/join.h) with the content of
 * membership_remote_invite, which makes the same checks. */
bool membership_is_remote_invite(struct job *job, const struct member_change *change);
const struct err *membership_prepare_invite(struct job *job, struct room *room,
                                            const struct author *author,
                                            const struct member_change *change,
                                            json_t **ret_content); /* the arena's */

/* The action of a member event that is sent as a state event. M_BAD_JSON if the content has no
 * membership. */
const struct err *membership_action(struct job *job, struct room *room, const char *sender,
                                    const char *target, const json_t *content,
                                    enum member_action *ret);

/* {"membership":…} with the profile of a local user. Owned. */
const struct err *membership_content(struct job *job, const char *user_id, enum membership m,
                                     json_t **ret);

/* The content of a creator's join, and the known_rules of its struct new_event.
 * M_RESOURCE_LIMIT_EXCEEDED if they are in too many rooms, or have created too many. */
const struct err *membership_content_of_creator(struct job *job, const char *user_id, json_t **ret,
                                                struct known_rules *ret_rules);

/* Checks that this user may be invited by users of that server ("": ours). M_INVITE_BLOCKED;
 * M_RESOURCE_LIMIT_EXCEEDED if too many invites are pending. For users of other servers their
 * server checks. */
const struct err *membership_check_invitee(struct job *job, const char *user_id,
                                           const char *other_server);

/* The error for invites by e-mail address or phone number. */
const struct err *membership_refuse_address(void);

/* For the join of a user who was invited by address: with the identity server's signature they
 * claim the m.room.third_party_invite, whose sender, a user of ours, then invites them. */
const struct err *membership_claim_invite(struct job *job, struct room *room, const char *user_id,
                                          const json_t *third_party_signed);

#endif
