/* The conditions of the authorization rules about m.room.power_levels. */
#include "matrix/auth/auth_internal.h"
#include "matrix/id.h"

static const char *const named_levels[] = {
    "users_default", "events_default", "state_default", "ban", "redact", "kick", "invite",
};
enum { NAMED_LEVELS = sizeof named_levels / sizeof *named_levels };

static const json_t *new_content(const struct auth_case *c)
{
    return event_content(c->e);
}

static const json_t *current_content(const struct auth_case *c)
{
    return auth_content_of(c->s, "m.room.power_levels", "");
}

static bool is_level(const struct auth_case *c, const json_t *value)
{
    int64_t level;
    return auth_read_level(c->v, value, &level);
}

bool named_levels_are_malformed(struct auth_case *c)
{
    for (size_t i = 0; i < NAMED_LEVELS; i++) {
        const json_t *value = json_object_get(new_content(c), named_levels[i]);
        if (value && !is_level(c, value))
            return auth_because(c, "The power level %s is not an integer", named_levels[i]);
    }
    return false;
}

static bool levels_are_malformed(struct auth_case *c, const char *section)
{
    const json_t *levels = json_object_get(new_content(c), section);
    if (!levels)
        return false;
    if (!json_is_object(levels))
        return auth_because(c, "%s of the power levels is not an object", section);
    const char *key;
    json_t *value;
    json_object_foreach ((json_t *)levels, key, value) {
        if (!is_level(c, value))
            return auth_because(c, "The power level of %.100s is not an integer", key);
    }
    return false;
}

bool event_levels_are_malformed(struct auth_case *c)
{
    return levels_are_malformed(c, "events") || levels_are_malformed(c, "notifications");
}

/* v1 to v5 allow numbers beyond doubles; such content is read as an empty tree. */
static bool content_is_unreadable(const struct auth_case *c)
{
    return json_object_size(new_content(c)) == 0 && !str_is(c->e->content, "{}");
}

bool user_levels_are_malformed(struct auth_case *c)
{
    if (content_is_unreadable(c))
        return auth_because(c, "The power levels cannot be read");
    if (levels_are_malformed(c, "users"))
        return true;
    const char *key;
    json_t *value;
    json_object_foreach (json_object_get(new_content(c), "users"), key, value) {
        if (!id_is_user(str_of(key)))
            return auth_because(c, "%.100s in the power levels is not a user id", key);
    }
    return false;
}

bool user_levels_name_a_creator(struct auth_case *c)
{
    const char *key;
    json_t *value;
    json_object_foreach (json_object_get(new_content(c), "users"), key, value) {
        if (auth_is_creator(c->v, c->create, key))
            return auth_because(c, "%.100s created the room and can have no power level", key);
    }
    return false;
}

bool room_has_no_power_levels(struct auth_case *c)
{
    return !c->s->get(c->s, "m.room.power_levels", "");
}

/* Added, changed or removed. Two spellings of one level ("50" and 50) count as equal. */
static bool is_altered(const struct auth_case *c, const json_t *now, const json_t *then)
{
    int64_t a, b;
    if (!now || !then)
        return now != then;
    if (auth_read_level(c->v, now, &a) && auth_read_level(c->v, then, &b))
        return a != b;
    return !json_equal(now, then);
}

enum side { CURRENT_LEVEL, NEW_LEVEL };

/* Whether the level is above the limit. Before v10 nothing else refuses unreadable new levels. */
static bool is_above(struct auth_case *c, const char *name, const json_t *value, enum side side,
                     int64_t limit)
{
    int64_t level;
    if (!value)
        return false;
    if (!auth_read_level(c->v, value, &level))
        return side == NEW_LEVEL &&
               auth_because(c, "The power level of %.80s is not a number", name);
    return level > limit && auth_because(c,
                                         "The %s power level of %.60s is %lld, too high to be "
                                         "altered by power level %lld",
                                         side == NEW_LEVEL ? "new" : "current", name,
                                         (long long)level, (long long)auth_sender_power(c));
}

static bool alters_named(struct auth_case *c, enum side side)
{
    for (size_t i = 0; i < NAMED_LEVELS; i++) {
        const char *name = named_levels[i];
        const json_t *now = json_object_get(current_content(c), name);
        const json_t *then = json_object_get(new_content(c), name);
        if (is_altered(c, now, then) &&
            is_above(c, name, side == NEW_LEVEL ? then : now, side, auth_sender_power(c)))
            return true;
    }
    return false;
}

static bool alters_entry(struct auth_case *c, const char *section, enum side side, int64_t limit,
                         const char *except)
{
    json_t *now = json_object_get(current_content(c), section);
    json_t *then = json_object_get(new_content(c), section);
    const char *key;
    json_t *value;
    json_object_foreach (side == NEW_LEVEL ? then : now, key, value) {
        if (except && strcmp(key, except) == 0)
            continue;
        if (is_altered(c, json_object_get(now, key), json_object_get(then, key)) &&
            is_above(c, key, value, side, limit))
            return true;
    }
    return false;
}

static bool alters_events(struct auth_case *c, enum side side)
{
    return alters_entry(c, "events", side, auth_sender_power(c), NULL) ||
           (c->v->notifications_in_power_levels &&
            alters_entry(c, "notifications", side, auth_sender_power(c), NULL));
}

bool alters_named_level_above_sender(struct auth_case *c)
{
    return alters_named(c, CURRENT_LEVEL);
}

bool alters_named_level_to_above_sender(struct auth_case *c)
{
    return alters_named(c, NEW_LEVEL);
}

bool alters_event_level_above_sender(struct auth_case *c)
{
    return alters_events(c, CURRENT_LEVEL);
}

bool alters_event_level_to_above_sender(struct auth_case *c)
{
    return alters_events(c, NEW_LEVEL);
}

/* Users of equal level cannot be altered either; the sender's own level can. */
bool alters_user_level_not_below_sender(struct auth_case *c)
{
    return alters_entry(c, "users", CURRENT_LEVEL, auth_sender_power(c) - 1, c->e->sender);
}

bool alters_user_level_to_above_sender(struct auth_case *c)
{
    return alters_entry(c, "users", NEW_LEVEL, auth_sender_power(c), NULL);
}
