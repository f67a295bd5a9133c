/* Changing memberships (client-server-api, "Room membership"): what joins, invites, knocks, kicks
 * and bans ask for before the authorization rules judge, and what their events say. */
#ifndef ROOMS_WRITE_MEMBERSHIP_H
#define ROOMS_WRITE_MEMBERSHIP_H

#include "rooms/write/append.h"

enum member_action {
    MEMBER_JOIN,
    MEMBER_KNOCK,
    MEMBER_LEAVE, /* also rejects an invite and takes back a knock */
    MEMBER_INVITE,
    MEMBER_KICK, /* also takes back an invite and rejects a knock */
    MEMBER_BAN,
    MEMBER_UNBAN
};

struct member_change {
    enum member_action action;
    const char *target;    /* user id */
    const char *reason;    /* NULL: none */
    const json_t *content; /* what else the event says; NULL: nothing, and then joining where the
                              user is joined already changes nothing */
    bool author_is_guest;
};

/* Sends the member event. ret_event_id: of the current member event when nothing had to change.
 * M_FORBIDDEN, M_BAD_STATE, M_GUEST_ACCESS_FORBIDDEN, M_INVITE_BLOCKED, M_UNABLE_TO_GRANT_JOIN. */
const struct err *membership_change(struct job *job, struct room *room, const struct author *author,
                                    const struct member_change *change, const char **ret_event_id);

/* Is it the invite of a user of another server? That server must sign it, so membership_change
 * refuses it: federation/rooms/join.h, federation_invite, with the content that this function makes
 * after the checks that membership_change makes. */
bool membership_is_remote_invite(struct job *job, const struct member_change *change);
const struct err *membership_prepare_invite(struct job *job, struct room *room,
                                            const struct author *author,
                                            const struct member_change *change,
                                            json_t **ret_content); /* the arena's */

/* What a member event of that content does, when it comes as a state event. M_BAD_JSON when the
 * content has no membership. */
const struct err *membership_action(struct job *job, struct room *room, const char *sender,
                                    const char *target, const json_t *content,
                                    enum member_action *ret);

/* {"membership":…} with the profile of a local user. Owned. */
const struct err *membership_content(struct job *job, const char *user_id, enum membership m,
                                     json_t **ret);

/* The join of who makes a room, and what goes with it into a struct new_event.
 * M_RESOURCE_LIMIT_EXCEEDED when they are in too many, or have made too many. */
const struct err *membership_content_of_creator(struct job *job, const char *user_id, json_t **ret,
                                                struct known_rules *ret_rules);

/* May this user be invited, by users of that other server ("": of ours)? M_INVITE_BLOCKED, or when
 * too many invites wait M_RESOURCE_LIMIT_EXCEEDED. What users of other servers want, those know. */
const struct err *membership_check_invitee(struct job *job, const char *user_id,
                                           const char *other_server);

/* Why there are no invites by e-mail address or phone number. */
const struct err *membership_refuse_address(void);

/* The join of a user who was invited by address: with the identity server's signature they claim
 * the m.room.third_party_invite, whose sender, a user of ours, then invites them. */
const struct err *membership_claim_invite(struct job *job, struct room *room, const char *user_id,
                                          const json_t *third_party_signed);

#endif
