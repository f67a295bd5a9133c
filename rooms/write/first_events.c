#include "rooms/write/first_events.h"

#include "matrix/id.h"
#include "rooms/write/membership.h"

void first_events_init(struct first_events *f, struct job *job, const struct author *author,
                       const struct room_version *version)
{
    *f = (struct first_events){.job = job, .author = author, .version = version};
}

void first_events_add_raw(struct first_events *f, const char *type, const char *state_key,
                          struct str content)
{
    if (f->n == f->size) {
        f->size = f->size ? 2 * f->size : 16;
        struct new_event *grown = arena_alloc_array(f->job->arena, f->size, sizeof *grown);
        if (f->n)
            memcpy(grown, f->list, f->n * sizeof *grown);
        f->list = grown;
    }
    f->list[f->n++] = (struct new_event){.type = type, .state_key = state_key, .content = content};
}

void first_events_add(struct first_events *f, const char *type, const char *state_key,
                      json_t *content)
{
    first_events_add_raw(f, type, state_key, str_of(json_write(f->job->arena, content)));
    json_decref(content);
}

static bool has_string(const json_t *array, const char *text)
{
    for (size_t i = 0; i < json_array_size(array); i++)
        if (strcmp(json_string_value(json_array_get(array, i)), text) == 0)
            return true;
    return false;
}

/* Both lists in one, each user once. */
static const struct err *join_creators(const json_t *given, const char *const *creators, size_t n,
                                       json_t *ret)
{
    if (given && !json_is_array(given))
        return err(ERR_INVALID_PARAM, "\"additional_creators\" must be a list of user ids");
    for (size_t i = 0; i < json_array_size(given); i++) {
        const char *id = json_string_text(json_array_get(given, i));
        if (!id || !id_is_user(str_of(id)))
            return err(ERR_INVALID_PARAM, "\"additional_creators\" must be a list of user ids");
        if (!has_string(ret, id))
            json_array_append_new(ret, json_string(id));
    }
    for (size_t i = 0; i < n; i++)
        if (!has_string(ret, creators[i]))
            json_array_append_new(ret, json_string(creators[i]));
    return NULL;
}

const struct err *first_events_add_create(struct first_events *f, const json_t *content,
                                          const char *const *creators, size_t n)
{
    struct arena *a = f->job->arena;
    json_t *o = json_keep(a, content ? json_copy((json_t *)content) : json_object());
    json_object_set_new(o, "room_version", json_string(f->version->id));
    json_object_del(o, "creator");
    if (!f->version->creator_is_sender)
        json_object_set_new(o, "creator", json_string(f->author->user_id));
    if (f->version->privileged_creators) {
        json_t *all = json_keep(a, json_array());
        TRY(join_creators(json_object_get(o, "additional_creators"), creators, n, all));
        if (json_array_size(all))
            json_object_set(o, "additional_creators", all);
    }
    first_events_add(f, "m.room.create", "", json_incref(o));
    return NULL;
}

const struct err *first_events_add_creator(struct first_events *f)
{
    json_t *content;
    struct known_rules rules;
    TRY(membership_content_of_creator(f->job, f->author->user_id, &content, &rules));
    first_events_add(f, "m.room.member", f->author->user_id, content);
    f->list[f->n - 1].rules = rules;
    return NULL;
}

json_t *first_events_power_levels(const struct first_events *f)
{
    bool lists_creator = first_events_lists_creator(f);
    json_t *users = json_object();
    if (lists_creator)
        json_object_set_new(users, f->author->user_id, json_integer(100));
    /* In version 12 a tombstone must need more power than any other state. */
    json_t *events =
        json_pack("{s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i}", "m.room.name", 50, "m.room.avatar",
                  50, "m.room.canonical_alias", 50, "m.room.power_levels", 100,
                  "m.room.history_visibility", 100, "m.room.server_acl", 100, "m.room.encryption",
                  100, "m.room.tombstone", lists_creator ? 100 : 150);
    return json_pack("{s:o, s:o, s:i, s:i, s:i, s:i, s:i, s:i, s:i}", "users", users, "events",
                     events, "users_default", 0, "events_default", 0, "state_default", 50, "ban",
                     50, "kick", 50, "redact", 50, "invite", 50);
}

const struct err *first_events_make_room(const struct first_events *f, struct new_room *new_room,
                                         const char **ret_room_id)
{
    const char **ids = arena_alloc_array(f->job->arena, f->n, sizeof *ids);
    new_room->version = f->version;
    const struct err *e =
        room_append_new(f->job, new_room, f->author, f->list, f->n, ret_room_id, ids);
    if (e && e->code == ERR_FORBIDDEN)
        return err(ERR_INVALID_ROOM_STATE, "The room cannot be created like this: %s", e->text);
    return e;
}
