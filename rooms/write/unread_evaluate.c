/* Evaluation of push rules while an event is built. An ordinary message is evaluated by its bytes;
 * a tree is only made for an event that mentions users, or that is not an ordinary message. */
#include "rooms/write/unread_evaluate.h"

#include "base/text.h"
#include "matrix/id.h"
#include "matrix/json_scan.h"
#include "matrix/push_rules.h"
#include "rooms/account_cache.h"
#include "rooms/ahead.h"
#include "rooms/names.h"
#include "rooms/own_rules.h"
#include "rooms/room_internal.h"
#include "storage/db/intern.h"
#include "storage/users/unread.h"

#include <strings.h>

enum {
    LOOKED_UP_MAX = 8,                     /* mentioned users that are looked up one by one */
    STEPS_MAX = 16 * PUSH_STEPS_MAX,       /* of all users' own rules, for one event, ... */
    STEPS_AFTERWARDS = PUSH_STEPS_MAX / 32 /* ... and then of each further user's */
};

struct evaluation {
    struct job *job;
    struct room *room;
    const struct event *event;
    struct change *change;
    json_t *tree; /* NULL: not made yet */
    struct str body;
    struct push_context context;
    struct push_outcome base;
    size_t steps;         /* used by own rules so far */
    struct map mentioned; /* ids of local users */
    struct map users;     /* users.id -> user id: the event may count differently for these users */
    struct push_action *actions;
    size_t actions_n, actions_cap;
};

/* ---- ordinary messages ---- */

static bool is_ordinary_msgtype(struct str v)
{
    static const char *const types[] = {"m.text",  "m.emote", "m.image",   "m.file",
                                        "m.audio", "m.video", "m.location"};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (json_scan_string_is(v, types[i]))
            return true;
    return false;
}

static bool is_ordinary_relation(struct str v)
{
    struct str rel_type = json_scan_get(v, "rel_type");
    return !rel_type.p || json_scan_string_is(rel_type, "m.thread");
}

/* `{}`, or with an empty list. */
static bool mentions_no_one(struct str v)
{
    struct json_member m;
    if (v.p[0] != '{')
        return false;
    for (size_t pos = 0; json_scan_next(v, &pos, &m);)
        if (!str_is(m.key, "user_ids") || !str_is(m.value, "[]"))
            return false;
    return true;
}

static bool says_room(struct str body)
{
    const char *end = body.p + body.n;
    for (const char *at = body.p; (at = memchr(at, '@', (size_t)(end - at))); at++)
        if (end - at >= 5 && strncasecmp(at, "@room", 5) == 0)
            return true;
    return false;
}

/* An ordinary message notifies all users with the predefined rules, and mentions users only by
 * names in its body. The content is canonical, so that bytes can be compared. */
static bool is_ordinary(struct evaluation *v)
{
    const struct event *e = v->event;
    struct json_member m;
    struct str body = {0};
    bool has_mentions = false;
    if (e->state_key ||
        (strcmp(e->type, "m.room.message") != 0 && strcmp(e->type, "m.room.encrypted") != 0))
        return false;
    for (size_t pos = 0; json_scan_next(e->content, &pos, &m);) {
        if (str_is(m.key, "msgtype") && !is_ordinary_msgtype(m.value))
            return false;
        if (str_is(m.key, "m.relates_to") && !is_ordinary_relation(m.value))
            return false;
        if (str_is(m.key, "m.mentions") && !mentions_no_one(m.value))
            return false;
        has_mentions |= str_is(m.key, "m.mentions");
        if (str_is(m.key, "body"))
            body = m.value;
    }
    if (has_mentions || !body.p)
        return true;
    if (says_room(body))
        return false;
    v->body = json_scan_str(v->job->arena, body);
    return true;
}

/* State that no predefined rule matches, unless its content is like that of a message. */
static bool is_unnoticed_type(const char *type)
{
    static const char *const types[] = {
        "m.room.create",       "m.room.member",
        "m.room.power_levels", "m.room.join_rules",
        "m.room.name",         "m.room.topic",
        "m.room.avatar",       "m.room.history_visibility",
        "m.room.guest_access", "m.room.canonical_alias",
        "m.room.encryption",
    };
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strcmp(type, types[i]) == 0)
            return true;
    return false;
}

/* The usual change of state notifies and mentions no user; an invite does. */
static bool is_unnoticed(const struct event *e)
{
    static const char *const message_keys[] = {"body", "msgtype", "m.mentions", "m.relates_to"};
    struct json_member m;
    if (!e->state_key || !is_unnoticed_type(e->type))
        return false;
    for (size_t pos = 0; json_scan_next(e->content, &pos, &m);) {
        for (size_t i = 0; i < sizeof message_keys / sizeof *message_keys; i++)
            if (str_is(m.key, message_keys[i]))
                return false;
        if (str_is(m.key, "membership") && strcmp(e->type, "m.room.member") == 0 &&
            membership_parse_raw(m.value) == MEMBERSHIP_INVITE)
            return false;
    }
    return true;
}

/* ---- input of the evaluation ---- */

static const struct event *state_get(const struct auth_state *s, const char *type,
                                     const char *state_key)
{
    struct evaluation *v = s->ctx;
    const struct ahead *ahead = ahead_find_locked(v->room, type, state_key);
    if (ahead)
        return ahead->event;
    struct room_state_slot *slot = room_state_slot_locked(v->room, type, state_key);
    return slot ? slot->event : NULL;
}

/* Sender, power levels and member count. All state except member events is in memory. */
static void fill_context(struct evaluation *v)
{
    const struct room_version *version = v->room->version;
    struct auth_state state = {.get = state_get, .ctx = v};
    const struct event *levels = state_get(&state, "m.room.power_levels", "");
    v->context = (struct push_context){
        .member_count = v->room->joined_n + ahead_joined_locked(v->room),
        .sender_power = auth_power_of_user(&state, version, v->event->sender),
        .room_notify_power = auth_power_to_notify_room(&state, version),
        .notify_powers = levels ? json_object_get(event_content(levels), "notifications") : NULL,
    };
}

static const struct err *need_tree(struct evaluation *v)
{
    if (v->tree)
        return NULL;
    fill_context(v);
    return json_read_own(v->job->arena, v->event->json, &v->tree);
}

static void name_ahead(struct evaluation *v)
{
    for (struct map_slot *s = NULL; (s = map_next(&v->room->ahead, s));) {
        const struct ahead *a = s->value;
        if (a->member.user)
            unread_member_changed_locked(v->room, &a->member,
                                         json_text(event_content(a->event), "displayname"));
    }
}

static const struct err *need_names(struct evaluation *v)
{
    struct room *room = v->room;
    const struct local_member *members;
    size_t n;
    if (room->names)
        return NULL;
    TRY(unread_local_members(job_tx(v->job), room->id, &members, &n));
    room->names = name_index_create();
    for (size_t i = 0; i < n; i++) {
        const struct room_member *m = map_get_int(&room->members, members[i].user);
        struct str name = json_scan_path(members[i].json, "content", "displayname", NULL);
        if (m)
            name_index_put(room->names, m->user, m->user_id,
                           name.p ? json_scan_string(v->job->arena, name) : NULL);
    }
    name_ahead(v);
    return NULL;
}

void unread_member_changed_locked(struct room *room, const struct room_member *m,
                                  const char *display_name)
{
    if (!room->names || !m || !m->is_local)
        return;
    if (m->membership == MEMBERSHIP_JOIN)
        name_index_put(room->names, m->user, m->user_id, display_name);
    else
        name_index_remove(room->names, m->user);
}

/* ---- users with another result ---- */

static void unread_evaluate_add_user(struct evaluation *v, int64_t user, const char *user_id)
{
    if (user != v->change->user)
        map_put_int(&v->users, user, (void *)user_id);
}

static void unread_evaluate_add_member(void *ctx, int64_t user)
{
    struct evaluation *v = ctx;
    const struct room_member *m = ahead_member_locked(v->room, user);
    if (m && m->membership == MEMBERSHIP_JOIN && m->is_local)
        unread_evaluate_add_user(v, user, m->user_id);
}

static void add_mentioned(void *ctx, const char *user_id)
{
    struct evaluation *v = ctx;
    if (id_is_local(v->job->node, user_id))
        map_put(&v->mentioned, str_of(user_id), (void *)user_id);
}

static void add_if_mentioned(void *ctx, const struct room_member *m)
{
    struct evaluation *v = ctx;
    if (map_get(&v->mentioned, str_of(m->user_id)))
        unread_evaluate_add_member(v, m->user);
}

/* For very many mentions, walks over the members once, since each unknown user id would cost a
 * query. */
static const struct err *add_all_mentioned(struct evaluation *v)
{
    struct intern *in = v->job->storage->intern;
    if (v->mentioned.n > LOOKED_UP_MAX) {
        for (struct map_slot *s = NULL; (s = map_next(&v->room->members, s));)
            add_if_mentioned(v, s->value);
        ahead_each_member_locked(v->room, add_if_mentioned, v);
        return NULL;
    }
    for (struct map_slot *s = NULL; (s = map_next(&v->mentioned, s));) {
        int64_t user;
        TRY(intern_find(in, INTERN_USER, s->value, &user));
        if (user)
            unread_evaluate_add_member(v, user);
    }
    return NULL;
}

/* An invited user is not a member yet. */
static const struct err *unread_evaluate_add_invited(struct evaluation *v)
{
    const struct event *e = v->event;
    int64_t user;
    if (!e->state_key || strcmp(e->type, "m.room.member") != 0 ||
        !map_get(&v->mentioned, str_of(e->state_key)))
        return NULL;
    TRY(intern_id(v->job->storage->intern, INTERN_USER, e->state_key, &user));
    unread_evaluate_add_user(v, user, e->state_key);
    return NULL;
}

static const struct err *find_singled_out(struct evaluation *v)
{
    if (v->tree) {
        push_rules_mentioned(v->tree, add_mentioned, v);
        v->body = push_rules_names_body(v->tree);
        TRY(add_all_mentioned(v));
        TRY(unread_evaluate_add_invited(v));
    }
    if (!v->body.n || (!v->room->joined_local_n && !v->room->ahead_members.n))
        return NULL;
    TRY(need_names(v));
    /* Localparts are searched in the body as it is, display names in the folded body. */
    struct str folded = text_fold_unless_ascii(v->job->arena, v->body);
    name_index_find(v->room->names, v->body, unread_evaluate_add_member, v);
    if (folded.p != v->body.p)
        name_index_find(v->room->names, folded, unread_evaluate_add_member, v);
    return NULL;
}

static const struct err *ask_own_rules(struct evaluation *v, const struct room_member *m)
{
    const struct user_rules *rules;
    if (!m || m->membership != MEMBERSHIP_JOIN || m->user == v->change->user ||
        map_get_int(&v->users, m->user))
        return NULL;
    TRY(user_rules_get(v->job, m->user, m->user_id, &rules));
    if (user_rules_concern(rules, v->room->room_id, v->event->sender))
        unread_evaluate_add_user(v, m->user, m->user_id);
    return NULL;
}

/* Members whose own rules may match such an event. */
static const struct err *find_own_rules(struct evaluation *v)
{
    TRY(own_rules_follow_locked(v->job, v->room));
    for (size_t i = 0; i < v->room->own_rules_n; i++)
        TRY(ask_own_rules(v, ahead_member_locked(v->room, v->room->own_rules[i])));
    if (!v->room->ahead_members.n)
        return NULL;
    for (struct map_slot *s = NULL; (s = map_next(&v->room->ahead_members, s));) {
        const struct ahead *a = s->value;
        if (a->member.is_local && a->member.has_own_rules)
            TRY(ask_own_rules(v, &a->member));
    }
    return NULL;
}

/* ---- the result ---- */

static void add_action(struct evaluation *v, struct push_action a)
{
    if (v->actions_n == v->actions_cap) {
        size_t cap = v->actions_cap ? v->actions_cap * 2 : 4;
        struct push_action *grown = arena_alloc_array(v->job->arena, cap, sizeof *grown);
        if (v->actions_n)
            memcpy(grown, v->actions, v->actions_n * sizeof *grown);
        v->actions = grown;
        v->actions_cap = cap;
    }
    v->actions[v->actions_n++] = a;
}

static struct str folded_body(const struct evaluation *v)
{
    const json_t *body = json_at(v->tree, "content", "body", NULL);
    struct str text = {json_string_value(body), json_string_length(body)};
    return text.p ? text_fold_unless_ascii(v->job->arena, text) : text;
}

static const struct err *unread_evaluate_user(struct evaluation *v, int64_t user,
                                              const char *user_id, struct push_outcome *ret)
{
    const struct user_rules *rules;
    TRY(need_tree(v));
    TRY(user_rules_get(v->job, user, user_id, &rules));
    if (rules->anything && v->body.n)
        TRY(need_names(v));
    if (!v->context.folded_body.p)
        v->context.folded_body = folded_body(v);
    v->context.user_id = user_id;
    v->context.display_name = v->room->names ? name_index_display_name(v->room->names, user) : NULL;
    v->context.steps_max = v->steps < STEPS_MAX ? PUSH_STEPS_MAX : STEPS_AFTERWARDS;
    push_rules_evaluate(rules->ruleset, v->tree, &v->context, ret);
    v->steps += ret->steps;
    return NULL;
}

static const struct err *evaluate_for(struct evaluation *v, int64_t user, const char *user_id)
{
    struct push_outcome o;
    TRY(unread_evaluate_user(v, user, user_id, &o));
    struct push_action a = {user, o.notify - v->base.notify, o.highlight - v->base.highlight};
    if (a.notify || a.highlight)
        add_action(v, a);
    return NULL;
}

static const struct err *evaluate(struct evaluation *v)
{
    if (is_ordinary(v)) {
        v->base.notify = true;
    } else if (!is_unnoticed(v->event)) {
        TRY(need_tree(v));
        v->base = push_rules_evaluate_base(v->tree, &v->context);
    }
    TRY(find_singled_out(v));
    TRY(find_own_rules(v));
    for (struct map_slot *s = NULL; (s = map_next(&v->users, s));)
        TRY(evaluate_for(v, (int64_t)s->id, s->value));
    return NULL;
}

const struct err *unread_evaluate_locked(struct job *job, struct room *room, struct write *w,
                                         int at, const struct event *e, struct change *change)
{
    struct evaluation v = {.job = job, .room = room, .event = e, .change = change};
    const struct err *bad = evaluate(&v);
    map_finish(&v.mentioned);
    map_finish(&v.users);
    if (bad)
        return bad;
    change->event.notify = v.base.notify;
    change->event.highlight = v.base.highlight;
    change->local.actions = v.actions;
    change->local.actions_n = v.actions_n;
    for (size_t i = 0; i < v.actions_n; i++)
        push_actions_write(w, room->id, change->event.thread, &v.actions[i], at);
    return NULL;
}

/* ---- for pushers ---- */

static const struct err *unread_evaluate_each(struct evaluation *v,
                                              bool (*wants)(void *ctx, int64_t user), void *ctx,
                                              struct push_outcomes *ret)
{
    if (!is_unnoticed(v->event)) {
        TRY(need_tree(v));
        ret->base = push_rules_evaluate_base(v->tree, &v->context);
    }
    TRY(find_singled_out(v));
    TRY(find_own_rules(v));
    for (struct map_slot *s = NULL; (s = map_next(&v->users, s));) {
        if (!wants(ctx, (int64_t)s->id))
            continue;
        struct push_outcome *o = arena_alloc(v->job->arena, sizeof *o);
        TRY(unread_evaluate_user(v, (int64_t)s->id, s->value, o));
        map_put_int(&ret->own, (int64_t)s->id, o);
    }
    return NULL;
}

const struct err *unread_evaluate_outcomes_locked(struct job *job, struct room *room,
                                                  const struct event *e, int64_t sender,
                                                  bool (*wants)(void *ctx, int64_t user), void *ctx,
                                                  struct push_outcomes *ret)
{
    struct change change = {.kind = CHANGE_EVENT, .user = sender};
    struct evaluation v = {.job = job, .room = room, .event = e, .change = &change};
    *ret = (struct push_outcomes){0};
    const struct err *bad = unread_evaluate_each(&v, wants, ctx, ret);
    map_finish(&v.mentioned);
    map_finish(&v.users);
    return bad;
}
