#include "federation/users/remote_summary.h"

#include "matrix/id.h"

enum { TEXT_MAX = 65535, /* as long as an event could make it */ ALLOWED_MAX = 64 };

static const char *usable_text(const json_t *answer, const char *key)
{
    const char *text = json_text(answer, key);
    return text && *text && strlen(text) <= TEXT_MAX ? text : NULL;
}

static void copy_texts(json_t *o, const json_t *answer)
{
    static const char *const keys[] = {"name",      "topic",        "avatar_url", "room_type",
                                       "join_rule", "room_version", "encryption"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const char *text = usable_text(answer, keys[i]);
        if (text)
            json_object_set_new(o, keys[i], json_string(text));
    }
    const char *alias = usable_text(answer, "canonical_alias");
    if (alias && id_is_alias(str_of(alias)))
        json_object_set_new(o, "canonical_alias", json_string(alias));
}

static void copy_allowed(json_t *o, const json_t *answer)
{
    const json_t *list = json_object_get(answer, "allowed_room_ids");
    json_t *rooms = json_array();
    for (size_t i = 0; i < json_array_size(list) && json_array_size(rooms) < ALLOWED_MAX; i++) {
        const json_t *item = json_array_get(list, i);
        struct str id = {json_string_value(item), json_string_length(item)};
        if (id.p && id_is_room(id))
            json_array_append_new(rooms, json_string(id.p));
    }
    if (json_array_size(rooms))
        json_object_set(o, "allowed_room_ids", rooms);
    json_decref(rooms);
}

json_t *remote_summary_read(const json_t *answer)
{
    const char *room_id = json_text(answer, "room_id");
    if (!room_id || !id_is_room(str_of(room_id)))
        return NULL;
    json_int_t joined = json_integer_value(json_object_get(answer, "num_joined_members"));
    json_t *o = json_pack("{s:s, s:I, s:b, s:b}", "room_id", room_id, "num_joined_members",
                          joined > 0 ? joined : 0, "world_readable",
                          json_is_true(json_object_get(answer, "world_readable")), "guest_can_join",
                          json_is_true(json_object_get(answer, "guest_can_join")));
    copy_texts(o, answer);
    copy_allowed(o, answer);
    return o;
}
