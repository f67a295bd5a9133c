#include "rooms/write/upgrade.h"

#include "matrix/canonical_json.h"
#include "rooms/room_cache.h"
#include "rooms/write/basis.h"
#include "rooms/write/first_events.h"
#include "rooms/write/upgrade_content.h"
#include "rooms/writer.h"
#include "storage/rooms/aliases.h"
#include "storage/rooms/events.h"
#include "storage/rooms/rooms.h"

enum {
    COPIED_MAX = 20000, /* bans, and rooms of a space */
    AT_ONCE = 1000,     /* events of one write, so that others do not wait long */
};

/* State that is copied with few changes; aliases and bans have functions of their own. Join rules
 * and power levels are last: until there are power levels the creator may do everything, however
 * little power the old ones give them. */
static const char *const copied[] = {
    "m.room.server_acl",   "m.room.encryption", "m.room.name",
    "m.room.avatar",       "m.room.topic",      "m.room.history_visibility",
    "m.room.guest_access", "m.room.join_rules", "m.room.power_levels"};
enum { COPIED_N = sizeof copied / sizeof *copied, OPENING_N = 2 };

struct upgrade {
    struct job *job;
    struct room *old, *new;
    const struct author *author;
    struct first_events events;
    struct succession succession;
    const char *copies[COPIED_N]; /* ids of the copied events; "": none */
    const char *const *aliases;   /* of this server, that point to the old room */
    size_t aliases_n;
    bool is_outdated; /* one of the copied events was replaced since */
};

/* ---- permission ---- */

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

/* The newest event of the old room, for the predecessor's event_id. */
static const char *last_event(struct upgrade *u)
{
    LOCKED(&u->old->lock);
    return u->old->extremities_n ? arena_strdup(u->job->arena, u->old->extremities[0]) : NULL;
}

static const struct err *upgrade_add_create(struct upgrade *u)
{
    const json_t *before = event_content(u->succession.old_create);
    json_t *predecessor = json_pack("{s:s}", "room_id", u->old->room_id);
    if (!u->events.version->room_id_is_create_hash)
        json_object_set_new(predecessor, "event_id", json_string(last_event(u)));
    json_t *content = json_keep(u->job->arena, json_pack("{s:o}", "predecessor", predecessor));
    static const char *const kept[] = {"type", "m.federate"};
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
        if (json_object_get(before, kept[i]) &&
            !canonical_json_check_tree(json_object_get(before, kept[i])))
            json_object_set(content, kept[i], json_object_get(before, kept[i]));
    if (u->succession.additional_creators && u->events.version->privileged_creators)
        json_object_set(content, "additional_creators",
                        (json_t *)u->succession.additional_creators);
    return first_events_add_create(&u->events, content, NULL, 0);
}

/* ---- other state ---- */

/* e: NULL: the old room has none. */
static json_t *upgrade_copy_of(const struct upgrade *u, const char *type, const struct event *e)
{
    bool needs_one = strcmp(type, "m.room.power_levels") == 0;
    json_auto_t *made = !e && needs_one ? first_events_power_levels(&u->events) : NULL;
    const json_t *content = e ? event_content(e) : made;
    return content ? successor_content(&u->succession, type, content) : NULL;
}

static const struct err *add_copies(struct upgrade *u, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        const struct event *e;
        TRY(room_state(u->job, u->old, copied[i], "", &e));
        json_t *content = upgrade_copy_of(u, copied[i], e);
        u->copies[i] = e ? e->event_id : "";
        if (content)
            first_events_add(&u->events, copied[i], "", content);
    }
    return NULL;
}

static const struct err *upgrade_is_too_large(void)
{
    return err(ERR_TOO_LARGE, "The room has more than %d bans and rooms to copy", COPIED_MAX);
}

/* A space keeps its rooms. */
static const struct err *add_children(struct upgrade *u)
{
    const struct event *const *state;
    size_t n;
    room_state_without_members(u->job, u->old, &state, &n);
    for (size_t i = 0; i < n; i++)
        if (strcmp(state[i]->type, "m.space.child") == 0 &&
            json_object_get(event_content(state[i]), "via"))
            first_events_add(&u->events, state[i]->type, state[i]->state_key,
                             upgrade_copy_of(u, state[i]->type, state[i]));
    return u->events.n > COPIED_MAX ? upgrade_is_too_large() : NULL;
}

static const struct err *add_bans(struct upgrade *u)
{
    const struct room_member *banned;
    size_t n;
    room_list_members(u->job, u->old, MEMBERSHIP_BAN, false, &banned, &n);
    if (u->events.n + n > COPIED_MAX)
        return upgrade_is_too_large();
    for (size_t i = 0; i < n; i++) {
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

/* The part of an m.room.canonical_alias content that moves with the aliases, or that remains. */
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

/* Only if the copied state is still current: otherwise the new room might lack a demotion of a
 * moderator, or a stricter rule. */
static const struct err *decide_tombstone(void *ctx, struct basis *on, struct new_event *ret,
                                          const char **ret_existing)
{
    struct upgrade *u = ctx;
    for (size_t i = 0; i < COPIED_N; i++) {
        const struct event *e;
        TRY(basis_state(on, copied[i], "", &e));
        u->is_outdated |= strcmp(e ? e->event_id : "", u->copies[i]) != 0;
    }
    if (u->is_outdated)
        return writer_conflict();
    json_auto_t *content = json_pack("{s:s, s:s}", "body", "This room has been replaced",
                                     "replacement_room", u->new->room_id);
    *ret = (struct new_event){.type = "m.room.tombstone",
                              .state_key = "",
                              .content = str_of(json_write(on->job->arena, content))};
    return NULL;
}

/* Copies the state that has changed in the old room since. */
static const struct err *copy_again(struct upgrade *u)
{
    for (size_t i = 0; i < COPIED_N; i++) {
        const struct event *e;
        const char *id;
        TRY(room_state(u->job, u->old, copied[i], "", &e));
        if (strcmp(e ? e->event_id : "", u->copies[i]) == 0)
            continue;
        u->copies[i] = e ? e->event_id : "";
        json_t *content = json_keep(u->job->arena, upgrade_copy_of(u, copied[i], e));
        if (!content)
            continue;
        struct new_event copy = {.type = copied[i],
                                 .state_key = "",
                                 .content = str_of(json_write(u->job->arena, content))};
        TRY(room_set_state(u->job, u->new, u->author, &copy, &id));
    }
    return NULL;
}

static const struct err *send_tombstone(struct upgrade *u)
{
    const struct decision decision = {decide_tombstone, u};
    const char *id;
    struct retry retry = {0};
    const struct err *e;
    for (;;) {
        u->is_outdated = false;
        e = room_decide_state(u->job, u->old, u->author, &decision, &id);
        if (!u->is_outdated || !writer_retry(&retry, u->job, &u->old, &e))
            return e;
        TRY(copy_again(u));
    }
}

/* A changed copy of the current event. make() returns NULL if nothing must change. */
struct edit {
    const struct upgrade *u;
    const char *type;
    json_t *(*make)(const struct upgrade *u, const json_t *current);
};

static const struct err *decide_edit(void *ctx, struct basis *on, struct new_event *ret,
                                     const char **ret_existing)
{
    const struct edit *edit = ctx;
    const struct event *current;
    TRY(basis_state(on, edit->type, "", &current));
    json_auto_t *content = current ? edit->make(edit->u, event_content(current)) : NULL;
    if (!content) {
        *ret_existing = current ? current->event_id : "";
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

static json_t *make_silent(const struct upgrade *u, const json_t *current)
{
    return successor_silent_levels(current);
}

static json_t *make_without_aliases(const struct upgrade *u, const json_t *current)
{
    json_auto_t *moved = part_of_aliases(u, current, true);
    return json_object_size(moved) ? part_of_aliases(u, current, false) : NULL;
}

/* Ignores that the author lacks the power for an optional step. */
static const struct err *unless_forbidden(const struct err *e)
{
    return e && e->code == ERR_FORBIDDEN ? NULL : e;
}

/* Copies bans that were added to the old room since. */
static const struct err *carry_bans(struct upgrade *u)
{
    const struct room_member *banned;
    size_t n;
    room_list_members(u->job, u->old, MEMBERSHIP_BAN, false, &banned, &n);
    for (size_t i = 0; i < n; i++) {
        const char *id;
        if (room_membership(u->new, banned[i].user) == MEMBERSHIP_BAN)
            continue;
        struct new_event e = {.type = "m.room.member",
                              .state_key = banned[i].user_id,
                              .content = STR("{\"membership\":\"ban\"}")};
        TRY(unless_forbidden(room_set_state(u->job, u->new, u->author, &e, &id)));
    }
    return NULL;
}

/* Aliases and the place in the directory move after the tombstone is sent: a user who lost the
 * power to send it gets neither. */
static const struct err *close_old(struct upgrade *u)
{
    TRY(room_get_by_id(u->job, u->old->id, &u->old));
    TRY(room_get_by_id(u->job, u->new->id, &u->new));
    TRY(room_upgrade_follow(u->job, u->old, u->new));
    TRY(carry_bans(u));
    TRY(unless_forbidden(edit_old(u, "m.room.canonical_alias", make_without_aliases)));
    return unless_forbidden(edit_old(u, "m.room.power_levels", make_silent));
}

/* ---- the new room ---- */

static const struct err *upgrade_gather(struct upgrade *u)
{
    TRY(upgrade_add_create(u));
    TRY(first_events_add_creator(&u->events));
    TRY(add_copies(u, 0, COPIED_N - OPENING_N));
    TRY(add_aliases(u));
    TRY(add_children(u));
    return add_bans(u);
}

/* Appends the events in several writes if there are many. The room can be joined after the last of
 * them, and only its creator knows it before the tombstone. */
static const struct err *upgrade_fill(struct upgrade *u, size_t from)
{
    const char **ids = arena_alloc_array(u->job->arena, AT_ONCE, sizeof *ids);
    for (size_t n; from < u->events.n; from += n) {
        n = u->events.n - from < AT_ONCE ? u->events.n - from : AT_ONCE;
        TRY(room_append(u->job, u->new, u->author, u->events.list + from, n, ids));
        TRY(room_get_by_id(u->job, u->new->id, &u->new));
    }
    return NULL;
}

static const struct err *add_opening(struct upgrade *u)
{
    return add_copies(u, COPIED_N - OPENING_N, COPIED_N);
}

static const struct err *make_new(struct upgrade *u)
{
    const char *new_room_id;
    TRY(upgrade_gather(u));
    bool fits = u->events.n + OPENING_N <= AT_ONCE;
    if (fits)
        TRY(add_opening(u));
    struct first_events first = u->events;
    first.n = fits ? first.n : AT_ONCE;
    TRY(first_events_make_room(&first, &(struct new_room){0}, &new_room_id));
    TRY(room_get(u->job, new_room_id, &u->new));
    if (fits)
        return NULL;
    TRY(upgrade_fill(u, AT_ONCE));
    size_t filled = u->events.n;
    TRY(add_opening(u));
    return upgrade_fill(u, filled);
}

/* The creator leaves a new room that replaces none. */
static void abandon_new(struct upgrade *u)
{
    struct new_event leave = {.type = "m.room.member",
                              .state_key = u->author->user_id,
                              .content = STR("{\"membership\":\"leave\"}")};
    const char *id;
    if (u->new &&room_append(u->job, u->new, u->author, &leave, 1, &id))
        return;
}

const struct err *room_upgrade(struct job *job, struct room *room, const struct author *author,
                               const struct room_version *version,
                               const json_t *additional_creators, const char **ret_room_id)
{
    struct upgrade u = {.job = job, .old = room, .author = author};
    TRY(check_power(&u));
    first_events_init(&u.events, job, author, version);
    u.succession = (struct succession){.old_version = room->version,
                                       .version = version,
                                       .upgrader = author->user_id,
                                       .additional_creators = additional_creators};
    TRY(room_state(job, room, "m.room.create", "", &u.succession.old_create));
    const struct err *e = make_new(&u);
    if (!e)
        e = send_tombstone(&u);
    if (e) {
        abandon_new(&u);
        return e;
    }
    TRY(close_old(&u));
    *ret_room_id = u.new->room_id;
    return NULL;
}

/* ---- upgrades on another server, or by hand ---- */

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
