#include "rooms/upgrade.h"

#include "matrix/canonical_json.h"
#include "rooms/basis.h"
#include "rooms/first_events.h"
#include "storage/aliases.h"
#include "storage/events.h"
#include "storage/rooms.h"

enum { BANS_MAX = 5000 };

struct upgrade {
    struct job *job;
    struct room *old;
    const struct author *author;
    struct first_events events;
    const struct event *old_create;
    const char *const *aliases; /* of this server, that lead to the old room */
    size_t aliases_n;
};

/* What moves as it is; power levels, join rules, aliases and bans have functions of their own. */
static const char *const copied[] = {
    "m.room.server_acl", "m.room.encryption",         "m.room.name",         "m.room.avatar",
    "m.room.topic",      "m.room.history_visibility", "m.room.guest_access",
};

/* ---- may they? ---- */

static const struct err *check_power(struct upgrade *u)
{
    struct auth_state state;
    TRY(room_need_joined(u->old, u->author->user));
    TRY(room_auth_state(u->job, u->old, u->author->user_id, &state));
    const struct room_version *v = u->old->version;
    if (auth_power_of_user(&state, v, u->author->user_id) <
        auth_power_to_send(&state, v, "m.room.tombstone", true))
        return err(ERR_FORBIDDEN, "You don't have permission to upgrade this room");
    return NULL;
}

/* ---- m.room.create ---- */

/* The newest event of the old room, which clients show as its end. */
static const char *last_event(struct upgrade *u)
{
    LOCKED(&u->old->lock);
    return u->old->extremities_n ? arena_strdup(u->job->arena, u->old->extremities[0]) : NULL;
}

static const struct err *add_create(struct upgrade *u, const json_t *additional_creators)
{
    const json_t *before = event_content(u->old_create);
    json_t *predecessor = json_pack("{s:s}", "room_id", u->old->room_id);
    if (!u->events.version->room_id_is_create_hash)
        json_object_set_new(predecessor, "event_id", json_string(last_event(u)));
    json_t *content = json_keep(u->job->arena, json_pack("{s:o}", "predecessor", predecessor));
    static const char *const kept[] = {"type", "m.federate"};
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
        if (json_object_get(before, kept[i]) &&
            !canonical_json_check_tree(json_object_get(before, kept[i])))
            json_object_set(content, kept[i], json_object_get(before, kept[i]));
    if (additional_creators && u->events.version->privileged_creators)
        json_object_set(content, "additional_creators", (json_t *)additional_creators);
    return first_events_add_create(&u->events, content, NULL, 0);
}

/* ---- power levels ---- */

/* Old versions took levels as text and floats; events of ours want integers. */
static json_t *as_integer(const json_t *level)
{
    int64_t n;
    const char *text = json_string_value(level);
    double real = json_real_value(level);
    if (json_is_real(level))
        return json_integer(real > CANONICAL_INT_MAX    ? CANONICAL_INT_MAX
                            : real < -CANONICAL_INT_MAX ? -CANONICAL_INT_MAX
                                                        : (json_int_t)real);
    if (text &&
        str_to_int64((struct str){text + (*text == '+'), strlen(text) - (*text == '+')}, &n))
        return json_integer(n);
    return json_incref((json_t *)level);
}

static void make_integers(json_t *levels, int depth)
{
    const char *key;
    json_t *value;
    void *next;
    json_object_foreach_safe (levels, next, key, value) {
        if (json_is_object(value) && depth == 0)
            make_integers(value, depth + 1);
        else
            json_object_set_new(levels, key, as_integer(value));
    }
}

/* Floats and large integers, which others could write in old rooms and we cannot write anew. */
static void drop_uncanonical(json_t *content)
{
    const char *key;
    json_t *value;
    void *next;
    json_object_foreach_safe (content, next, key, value)
        if (canonical_json_check_tree(value))
            json_object_del(content, key);
}

static json_t *member_object(json_t *o, const char *key)
{
    if (!json_is_object(json_object_get(o, key)))
        json_object_set_new(o, key, json_object());
    return json_object_get(o, key);
}

/* Where creators have infinite power they are not listed, and a tombstone takes more than any other
 * state. */
static void make_privileged(struct upgrade *u, json_t *levels, const json_t *additional_creators)
{
    json_t *users = member_object(levels, "users"), *events = member_object(levels, "events");
    json_object_del(users, u->author->user_id);
    for (size_t i = 0; i < json_array_size(additional_creators); i++)
        json_object_del(users, json_string_value(json_array_get(additional_creators, i)));
    const json_t *state_default = json_object_get(levels, "state_default");
    json_int_t least = 150, now = json_integer_value(json_object_get(events, "m.room.tombstone"));
    if (json_integer_value(state_default) >= least)
        least = json_integer_value(state_default) + 1;
    json_object_set_new(events, "m.room.tombstone", json_integer(now > least ? now : least));
}

/* The other way round: those who had infinite power get the usual 100, which must suffice to
 * replace the room again. */
static void make_ordinary(struct upgrade *u, json_t *levels)
{
    json_t *users = member_object(levels, "users"), *events = member_object(levels, "events");
    if (json_integer_value(json_object_get(events, "m.room.tombstone")) > 100)
        json_object_set_new(events, "m.room.tombstone", json_integer(100));
    const json_t *more = json_object_get(event_content(u->old_create), "additional_creators");
    json_object_set_new(users, u->author->user_id, json_integer(100));
    json_object_set_new(users, u->old_create->sender, json_integer(100));
    for (size_t i = 0; i < json_array_size(more); i++)
        json_object_set_new(users, json_string_value(json_array_get(more, i)), json_integer(100));
}

/* The last of all events: until there are power levels the creator may do everything, however
 * little power the old ones leave them. */
static const struct err *add_power_levels(struct upgrade *u, const json_t *additional_creators)
{
    const struct event *e;
    TRY(room_state(u->job, u->old, "m.room.power_levels", "", &e));
    json_t *levels = e ? json_deep_copy(event_content(e)) : first_events_power_levels(&u->events);
    make_integers(levels, 0);
    drop_uncanonical(levels);
    if (u->events.version->privileged_creators)
        make_privileged(u, levels, additional_creators);
    else if (u->old->version->privileged_creators)
        make_ordinary(u, levels);
    first_events_add(&u->events, "m.room.power_levels", "", levels);
    return NULL;
}

/* ---- other state ---- */

static void add_copy(struct upgrade *u, const struct event *e)
{
    json_t *content = json_copy((json_t *)event_content(e));
    drop_uncanonical(content);
    first_events_add(&u->events, e->type, e->state_key, content);
}

static const struct err *add_copies(struct upgrade *u)
{
    for (size_t i = 0; i < sizeof copied / sizeof *copied; i++) {
        const struct event *e;
        TRY(room_state(u->job, u->old, copied[i], "", &e));
        if (e)
            add_copy(u, e);
    }
    return NULL;
}

/* A rule that the new version does not know would lock everybody out for good; invites can be
 * given. */
static const struct err *add_join_rules(struct upgrade *u)
{
    const struct room_version *v = u->events.version;
    const struct event *e;
    TRY(room_state(u->job, u->old, "m.room.join_rules", "", &e));
    const char *rule = e ? json_text(event_content(e), "join_rule") : NULL;
    if (!rule)
        return NULL;
    bool known = strcmp(rule, "knock") == 0              ? v->knock
                 : strcmp(rule, "restricted") == 0       ? v->restricted
                 : strcmp(rule, "knock_restricted") == 0 ? v->knock_restricted
                                                         : true;
    if (known)
        add_copy(u, e);
    else
        first_events_add(&u->events, "m.room.join_rules", "",
                         json_pack("{s:s}", "join_rule", "invite"));
    return NULL;
}

/* A space keeps its rooms. */
static void add_children(struct upgrade *u)
{
    const struct event *const *state;
    size_t n;
    room_state_without_members(u->job, u->old, &state, &n);
    for (size_t i = 0; i < n; i++)
        if (strcmp(state[i]->type, "m.space.child") == 0 &&
            json_object_get(event_content(state[i]), "via"))
            add_copy(u, state[i]);
}

static const struct err *add_bans(struct upgrade *u)
{
    const struct room_member *banned;
    size_t n;
    room_list_members(u->job, u->old, MEMBERSHIP_BAN, false, &banned, &n);
    for (size_t i = 0; i < n && i < BANS_MAX; i++) {
        const struct event *e;
        TRY(room_state(u->job, u->old, "m.room.member", banned[i].user_id, &e));
        const char *reason = e ? json_text(event_content(e), "reason") : NULL;
        first_events_add(&u->events, "m.room.member", banned[i].user_id,
                         json_pack("{s:s, s:s*}", "membership", "ban", "reason", reason));
    }
    return NULL;
}

/* ---- aliases ---- */

static bool moves(const struct upgrade *u, const char *alias)
{
    for (size_t i = 0; alias && i < u->aliases_n; i++)
        if (strcmp(u->aliases[i], alias) == 0)
            return true;
    return false;
}

/* The part of an m.room.canonical_alias content that moves with the aliases, or that stays. */
static json_t *part_of_aliases(const struct upgrade *u, const json_t *content, bool moving)
{
    json_t *o = json_object(), *others = json_array();
    const char *alias = json_text(content, "alias");
    const json_t *list = json_object_get(content, "alt_aliases");
    if (alias && moves(u, alias) == moving)
        json_object_set_new(o, "alias", json_string(alias));
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *other = json_string_text(json_array_get(list, i));
        if (other && moves(u, other) == moving)
            json_array_append_new(others, json_string(other));
    }
    if (json_array_size(others))
        json_object_set(o, "alt_aliases", others);
    json_decref(others);
    return o;
}

static const struct err *add_aliases(struct upgrade *u)
{
    const struct event *e;
    TRY(aliases_of_room(job_tx(u->job), u->old->id, &u->aliases, &u->aliases_n));
    TRY(room_state(u->job, u->old, "m.room.canonical_alias", "", &e));
    json_t *moved = json_keep(u->job->arena, part_of_aliases(u, e ? event_content(e) : NULL, true));
    if (json_object_size(moved))
        first_events_add(&u->events, "m.room.canonical_alias", "", json_incref(moved));
    return NULL;
}

/* ---- the old room ---- */

static const struct err *send_tombstone(struct upgrade *u, const char *new_room_id)
{
    json_auto_t *content = json_pack("{s:s, s:s}", "body", "This room has been replaced",
                                     "replacement_room", new_room_id);
    struct new_event e = {.type = "m.room.tombstone",
                          .state_key = "",
                          .content = str_of(json_write(u->job->arena, content))};
    const char *id;
    return room_set_state(u->job, u->old, u->author, &e, &id);
}

/* An event that says what the current one says, with a change; make: NULL when there is none. */
struct edit {
    const struct upgrade *u;
    const char *type;
    json_t *(*make)(const struct upgrade *u, const json_t *current);
};

static const struct err *decide_edit(void *ctx, struct basis *on, struct new_event *ret,
                                     const char **ret_stands)
{
    const struct edit *edit = ctx;
    const struct event *current;
    TRY(basis_state(on, edit->type, "", &current));
    json_auto_t *content = current ? edit->make(edit->u, event_content(current)) : NULL;
    if (!content) {
        *ret_stands = current ? current->event_id : "";
        return NULL;
    }
    *ret = (struct new_event){.type = edit->type,
                              .state_key = "",
                              .content = str_of(json_write(on->job->arena, content))};
    return NULL;
}

static const struct err *edit_old(struct upgrade *u, const char *type,
                                  json_t *(*make)(const struct upgrade *u, const json_t *current))
{
    struct edit edit = {u, type, make};
    const struct decision decision = {decide_edit, &edit};
    const char *id;
    return room_decide_state(u->job, u->old, u->author, &decision, &id);
}

static json_int_t level(const json_t *levels, const char *key, json_int_t otherwise)
{
    const json_t *value = json_object_get(levels, key);
    json_auto_t *n = value ? as_integer(value) : NULL;
    return json_is_integer(n) ? json_integer_value(n) : otherwise;
}

static void raise_level(json_t *levels, const char *key, json_int_t now, json_int_t least)
{
    if (now < least)
        json_object_set_new(levels, key, json_integer(least));
}

/* Only moderators shall write there or invite any more. */
static json_t *make_silent(const struct upgrade *u, const json_t *current)
{
    json_t *levels = json_deep_copy(current);
    make_integers(levels, 0);
    drop_uncanonical(levels);
    json_int_t least = level(levels, "users_default", 0) + 1;
    least = least > 50 ? least : 50;
    raise_level(levels, "events_default", level(levels, "events_default", 0), least);
    raise_level(levels, "invite", level(levels, "invite", 0), least);
    return levels;
}

static json_t *make_without_aliases(const struct upgrade *u, const json_t *current)
{
    json_auto_t *moved = part_of_aliases(u, current, true);
    return json_object_size(moved) ? part_of_aliases(u, current, false) : NULL;
}

/* What is only nice to have may be beyond the author's power. */
static const struct err *unless_forbidden(const struct err *e)
{
    return e && e->code == ERR_FORBIDDEN ? NULL : e;
}

/* Bans that have come since those of the old room were copied. */
static const struct err *carry_bans(struct upgrade *u, struct room *new)
{
    const struct room_member *banned;
    size_t n;
    room_list_members(u->job, u->old, MEMBERSHIP_BAN, false, &banned, &n);
    for (size_t i = 0; i < n && n <= BANS_MAX; i++) {
        const char *id;
        if (room_membership(new, banned[i].user) == MEMBERSHIP_BAN)
            continue;
        struct new_event e = {.type = "m.room.member",
                              .state_key = banned[i].user_id,
                              .content = STR("{\"membership\":\"ban\"}")};
        TRY(unless_forbidden(room_set_state(u->job, new, u->author, &e, &id)));
    }
    return NULL;
}

/* Aliases and the place in the directory move when the old room says what replaces it: a user whose
 * power to say so is gone meanwhile gets neither. */
static const struct err *close_old(struct upgrade *u, const char *new_room_id)
{
    struct room *new;
    TRY(send_tombstone(u, new_room_id));
    TRY(room_get(u->job, u->old->room_id, &u->old));
    TRY(room_get(u->job, new_room_id, &new));
    TRY(room_upgrade_follow(u->job, u->old, new));
    TRY(carry_bans(u, new));
    TRY(unless_forbidden(edit_old(u, "m.room.canonical_alias", make_without_aliases)));
    return unless_forbidden(edit_old(u, "m.room.power_levels", make_silent));
}

const struct err *room_upgrade(struct job *job, struct room *room, const struct author *author,
                               const struct room_version *version,
                               const json_t *additional_creators, const char **ret_room_id)
{
    struct upgrade u = {.job = job, .old = room, .author = author};
    const char *new_room_id;
    TRY(check_power(&u));
    TRY(room_state(job, room, "m.room.create", "", &u.old_create));
    first_events_init(&u.events, job, author, version);
    TRY(add_create(&u, additional_creators));
    TRY(first_events_add_creator(&u.events));
    TRY(add_copies(&u));
    TRY(add_join_rules(&u));
    TRY(add_aliases(&u));
    add_children(&u);
    TRY(add_bans(&u));
    TRY(add_power_levels(&u, additional_creators));
    struct new_room new_room = {0};
    TRY(first_events_make_room(&u.events, &new_room, &new_room_id));
    TRY(close_old(&u, new_room_id));
    *ret_room_id = new_room_id;
    return NULL;
}

/* ---- upgrades that were made elsewhere, or by hand ---- */

static const struct err *is_replaced_by(struct job *job, struct room *old, const struct room *new,
                                        bool *ret)
{
    const struct event *tombstone;
    TRY(room_state(job, old, "m.room.tombstone", "", &tombstone));
    const char *id = tombstone ? json_text(event_content(tombstone), "replacement_room") : NULL;
    *ret = id && strcmp(id, new->room_id) == 0;
    return NULL;
}

const struct err *room_upgrade_follow(struct job *job, struct room *old, struct room *new)
{
    const struct room_head *head;
    const char *const *aliases;
    size_t n;
    bool replaced;
    TRY(is_replaced_by(job, old, new, &replaced));
    if (!replaced)
        return NULL;
    TRY(aliases_of_room(job_tx(job), old->id, &aliases, &n));
    if (n) {
        struct write *w = write_begin(job);
        aliases_write_move(w, old->id, new->id);
        TRY(write_commit(job, w, NULL));
    }
    TRY(rooms_get(job_tx(job), old->id, &head));
    if (!head || !head->is_published)
        return NULL;
    TRY(rooms_set_published(job_tx(job), new->id, true));
    return rooms_set_published(job_tx(job), old->id, false);
}
