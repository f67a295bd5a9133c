#include "server/client/room/state_content.h"

#include "matrix/auth/auth_rules.h"

static const struct err *state_content_check_create(struct job *job, struct room *room,
                                                    const json_t *content)
{
    return room->version->room_id_is_create_hash
               ? err(ERR_INVALID_PARAM, "A room has only one create event")
               : NULL;
}

/* Creators have infinite power, which no level can express. */
static const struct err *check_power_levels(struct job *job, struct room *room,
                                            const json_t *content)
{
    const struct event *create;
    const char *user_id;
    json_t *level;
    if (!room->version->privileged_creators)
        return NULL;
    TRY(room_state(job, room, "m.room.create", "", &create));
    json_object_foreach (json_object_get(content, "users"), user_id, level)
        if (create && auth_is_creator(room->version, create, user_id))
            return err(ERR_INVALID_PARAM, "%.200s created the room and can have no power level",
                       user_id);
    return NULL;
}

/* Clients would follow it in a circle. */
static const struct err *check_tombstone(struct job *job, struct room *room, const json_t *content)
{
    const char *replacement = json_text(content, "replacement_room");
    return replacement && strcmp(replacement, room->room_id) == 0
               ? err(ERR_INVALID_PARAM, "A room cannot be replaced by itself")
               : NULL;
}

static const struct {
    const char *type;
    const struct err *(*check)(struct job *job, struct room *room, const json_t *content);
} checks[] = {
    {"m.room.create", state_content_check_create},
    {"m.room.power_levels", check_power_levels},
    {"m.room.tombstone", check_tombstone},
};

const struct err *state_content_check(struct job *job, struct room *room, const char *type,
                                      const json_t *content)
{
    for (size_t i = 0; i < sizeof checks / sizeof *checks; i++)
        if (strcmp(checks[i].type, type) == 0)
            return checks[i].check(job, room, content);
    return NULL;
}
