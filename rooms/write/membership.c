#include "rooms/write/membership.h"
#include "rooms/rooms.h"

#include "matrix/id.h"
#include "rooms/guests.h"
#include "rooms/room_cache.h"
#include "rooms/room_quota.h"
#include "rooms/state/restricted.h"
#include "rooms/write/basis.h"
#include "storage/db/intern.h"
#include "storage/users/account_data.h"
#include "storage/users/profiles.h"

/* ---- contents ---- */

static void membership_set_text(json_t *o, const char *key, const char *text)
{
    if (text && !json_object_get(o, key))
        json_object_set_new(o, key, json_string(text));
}

static bool adds_room(enum membership m)
{
    return m == MEMBERSHIP_JOIN || m == MEMBERSHIP_KNOCK;
}

/* How the membership counts for the limits: not; as one more room; as one more created room. */
enum new_rooms { NO_ROOM, JOINED_ROOM, CREATED_ROOM };

static const struct err *check_quotas(struct job *job, enum new_rooms counts_as,
                                      const struct member_profile *m)
{
    int64_t most = job->config->max_rooms_per_user;
    if (counts_as != NO_ROOM && most && m->rooms >= most)
        return err(ERR_RESOURCE_LIMIT_EXCEEDED, "You are in %lld rooms: leave some of them",
                   (long long)m->rooms);
    return counts_as == CREATED_ROOM ? room_quota_check_made(m->made) : NULL;
}

static const struct err *membership_add_profile(struct job *job, const char *user_id,
                                                enum new_rooms counts_as, json_t *content,
                                                struct known_rules *ret)
{
    int64_t user = 0, most = counts_as != NO_ROOM ? job->config->max_rooms_per_user : 0;
    struct member_profile m = {0};
    *ret = (struct known_rules){.as_of = room_cache_rules_position(job->rooms->cache)};
    if (id_is_local(job->node, user_id))
        TRY(intern_find(job->storage->intern, INTERN_USER, user_id, &user));
    if (user)
        TRY(profile_of_member(job_tx(job), user, most,
                              counts_as == CREATED_ROOM ? ROOMS_OF_USER_MAX : 0, &m));
    TRY(check_quotas(job, counts_as, &m));
    ret->is_known = user != 0;
    ret->has_own = m.has_own_rules;
    membership_set_text(content, "displayname", m.profile.displayname);
    membership_set_text(content, "avatar_url", m.profile.avatar_url);
    return NULL;
}

static const struct err *write_membership_make_content(struct job *job, const char *user_id,
                                                       enum membership m, enum new_rooms counts_as,
                                                       json_t **ret, struct known_rules *ret_rules)
{
    json_auto_t *content = json_pack("{s:s}", "membership", membership_text(m));
    TRY(membership_add_profile(job, user_id, counts_as, content, ret_rules));
    *ret = json_incref(content);
    return NULL;
}

const struct err *membership_content_of_creator(struct job *job, const char *user_id, json_t **ret,
                                                struct known_rules *ret_rules)
{
    return write_membership_make_content(job, user_id, MEMBERSHIP_JOIN, CREATED_ROOM, ret,
                                         ret_rules);
}

const struct err *membership_content(struct job *job, const char *user_id, enum membership m,
                                     json_t **ret)
{
    struct known_rules unused;
    return write_membership_make_content(job, user_id, m, adds_room(m) ? JOINED_ROOM : NO_ROOM, ret,
                                         &unused);
}

/* ---- checks before the authorization rules ---- */

struct attempt {
    struct job *job;
    struct basis *on;
    const struct author *author;
    const struct member_change *change;
    enum membership before; /* of the target */
    json_t *content;
    struct known_rules rules; /* of the target */
};

static const struct err *need_self(const struct attempt *a)
{
    if (strcmp(a->author->user_id, a->change->target) == 0)
        return NULL;
    return err(ERR_FORBIDDEN, "You can only do this for yourself");
}

static const struct err *prepare_join(struct attempt *a)
{
    TRY(need_self(a));
    if (a->change->author_is_guest)
        TRY(guests_check_access(a->on));
    if (a->before == MEMBERSHIP_JOIN || a->before == MEMBERSHIP_INVITE)
        return NULL;
    const char *authoriser;
    TRY(restricted_find_authoriser(a->on, a->author->user, &authoriser));
    if (authoriser)
        json_object_set_new(a->content, "join_authorised_via_users_server",
                            json_string(authoriser));
    return NULL;
}

static const struct err *prepare_own(struct attempt *a)
{
    return need_self(a);
}

static const struct err *prepare_invite(struct attempt *a)
{
    TRY(basis_need_joined(a->on, a->author->user_id));
    if (!id_is_user(str_of(a->change->target)))
        return err(ERR_INVALID_PARAM, "\"%s\" is not a user id", a->change->target);
    if (a->before == MEMBERSHIP_JOIN)
        return err(ERR_FORBIDDEN, "%s is already in the room", a->change->target);
    if (a->before == MEMBERSHIP_BAN)
        return err(ERR_FORBIDDEN, "%s is banned from the room", a->change->target);
    return membership_check_invitee(a->job, a->change->target, "");
}

static const struct err *prepare_kick(struct attempt *a)
{
    TRY(basis_need_joined(a->on, a->author->user_id));
    if (a->before == MEMBERSHIP_BAN)
        return err(ERR_BAD_STATE, "Cannot kick a user who is banned");
    if (a->before == MEMBERSHIP_NONE || a->before == MEMBERSHIP_LEAVE)
        return err(ERR_FORBIDDEN, "%s is not in the room", a->change->target);
    return NULL;
}

static const struct err *prepare_ban(struct attempt *a)
{
    if (!id_is_user(str_of(a->change->target)))
        return err(ERR_INVALID_PARAM, "\"%s\" is not a user id", a->change->target);
    return basis_need_joined(a->on, a->author->user_id);
}

static const struct err *prepare_unban(struct attempt *a)
{
    TRY(basis_need_joined(a->on, a->author->user_id));
    if (a->before != MEMBERSHIP_BAN)
        return err(ERR_BAD_STATE, "Cannot unban a user who is not banned");
    return NULL;
}

static const struct {
    enum membership membership;
    bool with_profile;
    const struct err *(*prepare)(struct attempt *a);
} actions[] = {
    [MEMBER_JOIN] = {MEMBERSHIP_JOIN, true, prepare_join},
    [MEMBER_KNOCK] = {MEMBERSHIP_KNOCK, true, prepare_own},
    [MEMBER_LEAVE] = {MEMBERSHIP_LEAVE, false, prepare_own},
    [MEMBER_INVITE] = {MEMBERSHIP_INVITE, true, prepare_invite},
    [MEMBER_KICK] = {MEMBERSHIP_LEAVE, false, prepare_kick},
    [MEMBER_BAN] = {MEMBERSHIP_BAN, false, prepare_ban},
    [MEMBER_UNBAN] = {MEMBERSHIP_LEAVE, false, prepare_unban},
};

/* ---- changing ---- */

static json_t *start_content(struct job *job, const struct member_change *change)
{
    json_t *content = json_keep(job->arena, change->content ? json_copy((json_t *)change->content)
                                                            : json_object());
    json_object_set_new(content, "membership",
                        json_string(membership_text(actions[change->action].membership)));
    json_object_del(content, "join_authorised_via_users_server"); /* only the server sets it */
    if (change->reason)
        json_object_set_new(content, "reason", json_string(change->reason));
    return content;
}

static const struct err *membership_prepare(struct attempt *a)
{
    TRY(basis_membership(a->on, a->change->target, &a->before));
    a->content = start_content(a->job, a->change);
    TRY(actions[a->change->action].prepare(a));
    bool adds = adds_room(actions[a->change->action].membership) && !adds_room(a->before);
    if (actions[a->change->action].with_profile)
        TRY(membership_add_profile(a->job, a->change->target, adds ? JOINED_ROOM : NO_ROOM,
                                   a->content, &a->rules));
    return NULL;
}

bool membership_is_remote_invite(struct job *job, const struct member_change *change)
{
    return change->action == MEMBER_INVITE && !id_is_local(job->node, change->target);
}

/* The authorization rules, by which the signed event is checked, refuse the same. */
const struct err *membership_prepare_invite(struct job *job, struct room *room,
                                            const struct author *author,
                                            const struct member_change *change,
                                            json_t **ret_content)
{
    struct basis on;
    struct attempt a = {.job = job, .on = &on, .author = author, .change = change};
    basis_init_committed(&on, job, room);
    TRY(membership_prepare(&a));
    *ret_content = a.content;
    return NULL;
}

/* A join of a joined user changes nothing, unless the event has further keys. */
static const struct err *find_existing_join(struct attempt *a, const char **ret_existing)
{
    const struct event *current;
    if (a->change->action != MEMBER_JOIN || a->change->content)
        return NULL;
    TRY(need_self(a));
    TRY(basis_state(a->on, "m.room.member", a->change->target, &current));
    if (event_membership(current) == MEMBERSHIP_JOIN)
        *ret_existing = current->event_id;
    return NULL;
}

static const struct err *membership_decide(void *ctx, struct basis *on, struct new_event *ret,
                                           const char **ret_existing)
{
    struct attempt *a = ctx;
    a->on = on;
    TRY(find_existing_join(a, ret_existing));
    if (*ret_existing)
        return NULL;
    TRY(membership_prepare(a));
    *ret = (struct new_event){.type = "m.room.member",
                              .state_key = a->change->target,
                              .content = str_of(json_write(a->job->arena, a->content)),
                              .rules = a->rules};
    return NULL;
}

const struct err *membership_change(struct job *job, struct room *room, const struct author *author,
                                    const struct member_change *change, const char **ret_event_id)
{
    struct attempt a = {.job = job, .author = author, .change = change};
    const struct decision decision = {membership_decide, &a};
    if (membership_is_remote_invite(job, change))
        return err_internal("%s is to be invited without their server", change->target);
    return room_decide_state(job, room, author, &decision, ret_event_id);
}

/* By committed state, which is all that the sender can know: a user who meant to remove a member
 * must not lift a ban that is still queued. */
const struct err *membership_action(struct job *job, struct room *room, const char *sender,
                                    const char *target, const json_t *content,
                                    enum member_action *ret)
{
    const char *text;
    TRY(json_need_string(content, "membership", &text));
    enum membership before, m = membership_parse(text);
    struct basis known;
    basis_init_committed(&known, job, room);
    TRY(basis_membership(&known, target, &before));
    static const enum member_action plain[] = {
        [MEMBERSHIP_JOIN] = MEMBER_JOIN,
        [MEMBERSHIP_INVITE] = MEMBER_INVITE,
        [MEMBERSHIP_BAN] = MEMBER_BAN,
        [MEMBERSHIP_KNOCK] = MEMBER_KNOCK,
    };
    if (m == MEMBERSHIP_NONE)
        return err(ERR_BAD_JSON, "\"%s\" is not a membership", text);
    if (m != MEMBERSHIP_LEAVE)
        *ret = plain[m];
    else if (strcmp(sender, target) == 0)
        *ret = MEMBER_LEAVE;
    else
        *ret = before == MEMBERSHIP_BAN ? MEMBER_UNBAN : MEMBER_KICK;
    return NULL;
}

/* ---- invites ---- */

const struct err *membership_check_invitee(struct job *job, const char *user_id,
                                           const char *other_server)
{
    int64_t user = 0;
    struct str raw = {0};
    if (id_is_local(job->node, user_id))
        TRY(intern_find(job->storage->intern, INTERN_USER, user_id, &user));
    if (user) {
        TRY(room_quota_check_invite(job, user, other_server));
        TRY(account_data_get(job_tx(job), user, 0, "m.invite_permission_config", &raw));
    }
    if (!raw.p)
        return NULL;
    json_t *config;
    TRY(json_read_own(job->arena, raw, &config));
    const char *action = json_text(config, "default_action");
    if (action && strcmp(action, "block") == 0)
        return err(ERR_INVITE_BLOCKED, "%s does not accept invites", user_id);
    return NULL;
}

const struct err *membership_refuse_address(void)
{
    return err(ERR_THREEPID_DENIED, "This server asks no identity server, so that only Matrix "
                                    "users can be invited");
}

const struct err *membership_claim_invite(struct job *job, struct room *room, const char *user_id,
                                          const json_t *third_party_signed)
{
    const char *mxid, *token;
    TRY(json_need_string(third_party_signed, "mxid", &mxid));
    TRY(json_need_string(third_party_signed, "token", &token));
    const struct event *offer;
    TRY(room_state(job, room, "m.room.third_party_invite", token, &offer));
    if (!offer || strcmp(mxid, user_id) != 0)
        return err(ERR_FORBIDDEN, "There is no such invite for %s", user_id);
    if (!id_is_local(job->node, offer->sender))
        return err(ERR_FORBIDDEN, "The invite was made on another server");
    struct author inviter = {.user_id = offer->sender};
    TRY(intern_id(job->storage->intern, INTERN_USER, offer->sender, &inviter.user));
    json_t *content;
    TRY(membership_content(job, user_id, MEMBERSHIP_INVITE, &content));
    json_keep(job->arena, content);
    const char *name = json_text(event_content(offer), "display_name");
    json_object_set_new(content, "third_party_invite",
                        json_pack("{s:s, s:O}", "display_name", name ? name : "", "signed",
                                  (json_t *)third_party_signed));
    struct new_event e = {.type = "m.room.member",
                          .state_key = user_id,
                          .content = str_of(json_write(job->arena, content))};
    const char *id;
    return room_append(job, room, &inviter, &e, 1, &id);
}
