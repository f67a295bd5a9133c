#include "rooms/write/naming.h"

#include "matrix/canonical_json.h"
#include "matrix/id.h"
#include "rooms/servers.h"
#include "storage/rooms/aliases.h"

static const struct err *naming_malformed(const char *alias)
{
    return err(ERR_INVALID_PARAM, "\"%s\" is not a room alias", alias);
}

const struct err *naming_check_new_alias(struct job *job, const char *alias)
{
    struct str localpart, server;
    if (!id_is_alias(str_of(alias)) || !id_split('#', str_of(alias), &localpart, &server) ||
        !localpart.n)
        return naming_malformed(alias);
    for (size_t i = 0; i < localpart.n; i++)
        if ((unsigned char)localpart.p[i] <= ' ')
            return err(ERR_INVALID_PARAM, "A room alias must not contain white space");
    if (!id_is_local(job->node, alias))
        return err(ERR_INVALID_PARAM, "%s is not an alias of this server", alias);
    return NULL;
}

static const struct err *naming_find(struct job *job, const char *alias, struct alias *ret)
{
    bool found = false;
    if (id_is_local(job->node, alias))
        TRY(aliases_find(job_tx(job), alias, &found, ret));
    if (!found)
        *ret = (struct alias){0};
    return NULL;
}

const struct err *naming_resolve(struct job *job, const char *id_or_alias, const char **ret_room_id)
{
    if (id_is_room(str_of(id_or_alias))) {
        *ret_room_id = id_or_alias;
        return NULL;
    }
    if (!id_is_alias(str_of(id_or_alias)))
        return err(ERR_INVALID_PARAM, "\"%s\" is neither a room id nor a room alias", id_or_alias);
    struct alias alias;
    TRY(naming_find(job, id_or_alias, &alias));
    if (!alias.room)
        return err(ERR_NOT_FOUND, "Room alias %s not found", id_or_alias);
    *ret_room_id = alias.room_id;
    return NULL;
}

/* ---- m.room.canonical_alias ---- */

static bool names_alias(const json_t *content, const char *alias)
{
    const char *main_alias = json_text(content, "alias");
    const json_t *others = json_object_get(content, "alt_aliases");
    if (main_alias && strcmp(main_alias, alias) == 0)
        return true;
    for (size_t i = 0; i < json_array_size(others); i++) {
        const char *other = json_string_text(json_array_get(others, i));
        if (other && strcmp(other, alias) == 0)
            return true;
    }
    return false;
}

static const struct err *leads_to(struct job *job, struct room *room, const char *text,
                                  const struct alias_asker *asker, bool *ret)
{
    struct alias alias;
    const char *room_id = NULL;
    if (!id_is_local(job->node, text)) {
        TRY(asker->ask(asker->ctx, job, text, &room_id));
        *ret = room_id && strcmp(room_id, room->room_id) == 0;
        return NULL;
    }
    TRY(naming_find(job, text, &alias));
    *ret = alias.room == room->id;
    return NULL;
}

static const struct err *check_one(struct job *job, struct room *room, const json_t *current,
                                   const struct alias_asker *asker, const json_t *value)
{
    const char *text = json_string_text(value);
    if (!text)
        return err(ERR_INVALID_PARAM, "Aliases must be strings");
    if (names_alias(current, text))
        return NULL;
    if (!id_is_alias(str_of(text)))
        return naming_malformed(text);
    bool right;
    TRY(leads_to(job, room, text, asker, &right));
    if (!right)
        return err(ERR_BAD_ALIAS, "The alias %s does not point to this room", text);
    return NULL;
}

const struct err *naming_check_canonical(struct basis *on, const json_t *content,
                                         const struct alias_asker *asker)
{
    struct job *job = on->job;
    struct room *room = on->room;
    const struct event *e;
    TRY(basis_state(on, "m.room.canonical_alias", "", &e));
    const json_t *current = e ? event_content(e) : NULL;
    const json_t *main_alias = json_object_get(content, "alias");
    const json_t *others = json_object_get(content, "alt_aliases");
    if (others && !json_is_array(others))
        return err(ERR_INVALID_PARAM, "\"alt_aliases\" must be a list");
    if (main_alias && !json_is_null(main_alias) && json_string_length(main_alias) > 0)
        TRY(check_one(job, room, current, asker, main_alias));
    else if (main_alias && !json_is_null(main_alias) && !json_is_string(main_alias))
        return err(ERR_INVALID_PARAM, "Aliases must be strings");
    for (size_t i = 0; i < json_array_size(others); i++)
        TRY(check_one(job, room, current, asker, json_array_get(others, i)));
    return NULL;
}

static json_t *naming_without_alias(struct arena *a, const json_t *current, const char *alias)
{
    json_t *content = json_keep(a, json_deep_copy(current));
    const char *main_alias = json_text(content, "alias");
    if (main_alias && strcmp(main_alias, alias) == 0)
        json_object_del(content, "alias");
    json_t *others = json_object_get(content, "alt_aliases");
    for (size_t i = json_array_size(others); i-- > 0;) {
        const char *other = json_string_text(json_array_get(others, i));
        if (other && strcmp(other, alias) == 0)
            json_array_remove(others, i);
    }
    if (canonical_json_check_tree(content)) /* in old rooms it may have floats of other servers */
        content = json_keep(a, json_pack("{s:O*, s:O*}", "alias", json_object_get(content, "alias"),
                                         "alt_aliases", others));
    return content;
}

static const struct err *decide_to_drop(void *ctx, struct basis *on, struct new_event *ret,
                                        const char **ret_existing)
{
    const char *alias = ctx;
    const struct event *current;
    struct arena *a = on->job->arena;
    TRY(basis_state(on, "m.room.canonical_alias", "", &current));
    if (!current || !names_alias(event_content(current), alias)) {
        *ret_existing = current ? current->event_id : "";
        return NULL;
    }
    const json_t *content = naming_without_alias(a, event_content(current), alias);
    *ret = (struct new_event){.type = "m.room.canonical_alias",
                              .state_key = "",
                              .content = str_of(json_write(a, content))};
    return NULL;
}

const struct err *naming_drop_canonical(struct job *job, struct room *room,
                                        const struct author *author, const char *alias)
{
    const struct decision decision = {decide_to_drop, (void *)alias};
    const char *id;
    return room_decide_state(job, room, author, &decision, &id);
}

/* ---- servers ---- */

void naming_list_servers(struct job *job, struct room *room, const char *const **ret, size_t *ret_n)
{
    enum { SERVERS_MAX = 100 };
    const char *const *others;
    size_t n;
    room_list_servers(job, room, &others, &n);
    n = n < SERVERS_MAX ? n : SERVERS_MAX - 1;
    const char **list = arena_alloc_array(job->arena, n + 1, sizeof *list);
    list[0] = job->config->server_name;
    if (n)
        memcpy(list + 1, others, n * sizeof *list);
    *ret = list;
    *ret_n = n + 1;
}
