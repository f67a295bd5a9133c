#include "rooms/write/create.h"

#include "matrix/id.h"
#include "rooms/write/first_events.h"
#include "rooms/write/membership.h"
#include "rooms/write/naming.h"
#include "storage/rooms/aliases.h"

/* Limits, since the room is built in memory as one write, for which others wait. */
enum { INVITED_MAX = 500, INITIAL_STATE_MAX = 1000 };

struct preset {
    const char *name, *join_rule, *history_visibility, *guest_access;
    int invite_level;
    bool trusts_invited; /* invited users get the creator's power level */
};

static const struct preset presets[] = {
    {"private_chat", "invite", "shared", "can_join", 0, false},
    {"trusted_private_chat", "invite", "shared", "can_join", 0, true},
    {"public_chat", "public", "shared", NULL, 50, false}, /* guests may not join by default */
};

struct creation {
    struct first_events events;
    const struct preset *preset;
    const json_t *initial_state;
    const char **invited;
    size_t invited_n;
    bool is_direct;
    const char *name, *topic;
    struct new_room room;
};

/* ---- reading the request ---- */

static const struct err *read_preset(const json_t *body, struct creation *c)
{
    const char *visibility, *name;
    TRY(json_want_string(body, "visibility", "private", &visibility));
    c->room.is_published = strcmp(visibility, "public") == 0;
    if (!c->room.is_published && strcmp(visibility, "private") != 0)
        return err(ERR_INVALID_PARAM, "\"visibility\" must be \"public\" or \"private\"");
    TRY(json_want_string(body, "preset", c->room.is_published ? "public_chat" : "private_chat",
                         &name));
    for (size_t i = 0; i < sizeof presets / sizeof *presets; i++)
        if (strcmp(name, presets[i].name) == 0)
            c->preset = &presets[i];
    return c->preset ? NULL : err(ERR_INVALID_PARAM, "There is no preset \"%s\"", name);
}

static const struct err *create_read_version(struct job *job, const json_t *body,
                                             const struct room_version **ret)
{
    const char *id;
    TRY(json_want_string(body, "room_version", job->config->default_room_version, &id));
    const struct room_version *v = room_version_find(id);
    if (!v)
        return err(ERR_UNSUPPORTED_ROOM_VERSION, "This server does not support room version \"%s\"",
                   id);
    *ret = v;
    return NULL;
}

static bool create_is_invited(const struct creation *c, const char *user_id)
{
    for (size_t i = 0; i < c->invited_n; i++)
        if (strcmp(c->invited[i], user_id) == 0)
            return true;
    return false;
}

static const struct err *read_invites(struct job *job, const json_t *body, struct creation *c)
{
    const json_t *list, *by_address;
    TRY(json_want_array(body, "invite_3pid", &by_address));
    if (json_array_size(by_address))
        return membership_refuse_address();
    TRY(json_want_bool(body, "is_direct", false, &c->is_direct));
    TRY(json_want_array(body, "invite", &list));
    if (json_array_size(list) > INVITED_MAX)
        return err(ERR_TOO_LARGE, "At most %d users can be invited at once", INVITED_MAX);
    c->invited = arena_alloc_array(job->arena, json_array_size(list) + 1, sizeof *c->invited);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *id = json_string_text(json_array_get(list, i));
        if (!id || !id_is_user(str_of(id)))
            return err(ERR_INVALID_PARAM, "\"invite\" must be a list of user ids");
        if (create_is_invited(c, id))
            continue;
        TRY(membership_check_invitee(job, id, ""));
        c->invited[c->invited_n++] = id;
    }
    return NULL;
}

static const struct err *read_initial_state(const json_t *body, struct creation *c)
{
    TRY(json_want_array(body, "initial_state", &c->initial_state));
    if (json_array_size(c->initial_state) > INITIAL_STATE_MAX)
        return err(ERR_TOO_LARGE, "\"initial_state\" can have at most %d events",
                   INITIAL_STATE_MAX);
    for (size_t i = 0; i < json_array_size(c->initial_state); i++) {
        const json_t *e = json_array_get(c->initial_state, i);
        const char *text;
        if (!json_is_object(e))
            return err(ERR_BAD_JSON, "\"initial_state\" must be a list of objects");
        TRY(json_need_string(e, "type", &text));
        TRY(json_want_string(e, "state_key", "", &text));
        TRY(json_need_object(e, "content", &e));
    }
    return NULL;
}

static const struct err *read_alias(struct job *job, const json_t *body, struct creation *c)
{
    const char *localpart;
    TRY(json_want_string(body, "room_alias_name", NULL, &localpart));
    if (!localpart)
        return NULL;
    const char *alias = arena_printf(job->arena, "#%s:%s", localpart, job->config->server_name);
    TRY(naming_check_new_alias(job, alias));
    bool taken;
    struct alias found;
    TRY(aliases_find(job_tx(job), alias, &taken, &found));
    if (taken)
        return err(ERR_ROOM_IN_USE, "The alias %s is taken", alias);
    TRY(aliases_check_number(job_tx(job), c->events.author->user, 0));
    c->room.alias = alias;
    return NULL;
}

/* ---- the events, in the order of the specification ---- */

static const json_t *find_initial(const struct creation *c, const char *type)
{
    const json_t *found = NULL;
    for (size_t i = 0; i < json_array_size(c->initial_state); i++) {
        const json_t *e = json_array_get(c->initial_state, i);
        const char *key = json_text(e, "state_key");
        if (strcmp(json_text(e, "type"), type) == 0 && (!key || !*key))
            found = e;
    }
    return found;
}

static const struct err *create_add_create(struct creation *c, const json_t *body)
{
    const json_t *content;
    TRY(json_want_object(body, "creation_content", &content));
    return first_events_add_create(&c->events, content, c->invited,
                                   c->preset->trusts_invited ? c->invited_n : 0);
}

/* The default levels with the overrides of the request; an event of initial_state replaces them. */
static const struct err *add_power_levels(struct creation *c, const json_t *body)
{
    const json_t *override, *initial = find_initial(c, "m.room.power_levels");
    TRY(json_want_object(body, "power_level_content_override", &override));
    if (initial) {
        first_events_add(&c->events, "m.room.power_levels", "",
                         json_incref(json_object_get(initial, "content")));
        return NULL;
    }
    bool lists_creator = first_events_lists_creator(&c->events);
    json_t *levels = first_events_power_levels(&c->events);
    json_object_set_new(levels, "invite", json_integer(c->preset->invite_level));
    for (size_t i = 0; c->preset->trusts_invited && lists_creator && i < c->invited_n; i++)
        json_object_set_new(json_object_get(levels, "users"), c->invited[i], json_integer(100));
    if (override)
        json_object_update(levels, (json_t *) override);
    bool has_creator =
        json_object_get(json_object_get(levels, "users"), c->events.author->user_id) != NULL;
    first_events_add(&c->events, "m.room.power_levels", "", levels);
    if (lists_creator && !has_creator)
        return err(ERR_BAD_JSON, "The \"users\" of \"power_level_content_override\" must have %s",
                   c->events.author->user_id);
    return NULL;
}

static void add_alias(struct creation *c)
{
    if (c->room.alias)
        first_events_add(&c->events, "m.room.canonical_alias", "",
                         json_pack("{s:s}", "alias", c->room.alias));
}

static void add_preset_event(struct creation *c, const char *type, const char *key,
                             const char *value)
{
    if (value && !find_initial(c, type))
        first_events_add(&c->events, type, "", json_pack("{s:s}", key, value));
}

static void add_preset(struct creation *c)
{
    const struct preset *p = c->preset;
    add_preset_event(c, "m.room.join_rules", "join_rule", p->join_rule);
    add_preset_event(c, "m.room.history_visibility", "history_visibility", p->history_visibility);
    add_preset_event(c, "m.room.guest_access", "guest_access", p->guest_access);
}

/* Does another key of the request replace this event of initial_state, or did it use it already? */
static bool is_superseded(const struct creation *c, const char *type, const char *key)
{
    return !*key && (strcmp(type, "m.room.power_levels") == 0 ||
                     (c->name && strcmp(type, "m.room.name") == 0) ||
                     (c->topic && strcmp(type, "m.room.topic") == 0));
}

static void add_initial_state(struct creation *c)
{
    for (size_t i = 0; i < json_array_size(c->initial_state); i++) {
        const json_t *e = json_array_get(c->initial_state, i);
        const char *type = json_text(e, "type"), *key = json_text(e, "state_key");
        key = key ? key : "";
        if (!is_superseded(c, type, key))
            first_events_add(&c->events, type, key, json_incref(json_object_get(e, "content")));
    }
}

static void add_names(struct creation *c)
{
    if (c->name)
        first_events_add(&c->events, "m.room.name", "", json_pack("{s:s}", "name", c->name));
    if (c->topic)
        first_events_add(&c->events, "m.room.topic", "",
                         json_pack("{s:s, s:{s:[{s:s, s:s}]}}", "topic", c->topic, "m.topic",
                                   "m.text", "body", c->topic, "mimetype", "text/plain"));
}

static const struct err *add_invites(struct creation *c, struct invited_elsewhere *elsewhere)
{
    struct job *job = c->events.job;
    const char **ids = arena_alloc_array(job->arena, c->invited_n + 1, sizeof *ids);
    *elsewhere = (struct invited_elsewhere){.ids = ids, .is_direct = c->is_direct};
    for (size_t i = 0; i < c->invited_n; i++) {
        json_t *content;
        if (!id_is_local(job->node, c->invited[i])) {
            ids[elsewhere->n++] = c->invited[i];
            continue;
        }
        TRY(membership_content(job, c->invited[i], MEMBERSHIP_INVITE, &content));
        if (c->is_direct)
            json_object_set_new(content, "is_direct", json_true());
        first_events_add(&c->events, "m.room.member", c->invited[i], content);
    }
    return NULL;
}

const struct err *room_create(struct job *job, const struct author *author, const json_t *body,
                              const char **ret_room_id, struct invited_elsewhere *ret_elsewhere)
{
    struct creation c = {0};
    const struct room_version *version = NULL;
    TRY(create_read_version(job, body, &version));
    first_events_init(&c.events, job, author, version);
    TRY(read_preset(body, &c));
    TRY(read_initial_state(body, &c));
    TRY(json_want_string(body, "name", NULL, &c.name));
    TRY(json_want_string(body, "topic", NULL, &c.topic));
    TRY(read_alias(job, body, &c));
    TRY(read_invites(job, body, &c));

    TRY(create_add_create(&c, body));
    TRY(first_events_add_creator(&c.events));
    TRY(add_power_levels(&c, body));
    add_alias(&c);
    add_preset(&c);
    add_initial_state(&c);
    add_names(&c);
    TRY(add_invites(&c, ret_elsewhere));
    return first_events_make_room(&c.events, &c.room, ret_room_id);
}
