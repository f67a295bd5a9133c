#include "rooms/write/upgrade_content.h"

#include "matrix/canonical_json.h"

/* ---- numbers ---- */

/* Old versions allowed levels as text and floats; ours must be integers. */
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

/* Removes floats and large integers, which are in old rooms but not allowed in new events. */
void successor_drop_uncanonical(json_t *content)
{
    const char *key;
    json_t *value;
    void *next;
    json_object_foreach_safe (content, next, key, value)
        if (canonical_json_check_tree(value))
            json_object_del(content, key);
}

/* ---- power levels ---- */

static json_t *member_object(json_t *o, const char *key)
{
    if (!json_is_object(json_object_get(o, key)))
        json_object_set_new(o, key, json_object());
    return json_object_get(o, key);
}

/* For versions in which creators have infinite power: they are not listed, and a tombstone needs
 * more power than any other state. */
static void make_privileged(const struct succession *s, json_t *levels)
{
    json_t *users = member_object(levels, "users"), *events = member_object(levels, "events");
    json_object_del(users, s->upgrader);
    for (size_t i = 0; i < json_array_size(s->additional_creators); i++)
        json_object_del(users, json_string_value(json_array_get(s->additional_creators, i)));
    const json_t *state_default = json_object_get(levels, "state_default");
    json_int_t least = 150, now = json_integer_value(json_object_get(events, "m.room.tombstone"));
    if (json_integer_value(state_default) >= least)
        least = json_integer_value(state_default) + 1;
    json_object_set_new(events, "m.room.tombstone", json_integer(now > least ? now : least));
}

/* For other versions: users who had infinite power get the usual 100, which must suffice to send a
 * tombstone. */
static void make_ordinary(const struct succession *s, json_t *levels)
{
    json_t *users = member_object(levels, "users"), *events = member_object(levels, "events");
    if (json_integer_value(json_object_get(events, "m.room.tombstone")) > 100)
        json_object_set_new(events, "m.room.tombstone", json_integer(100));
    const json_t *more = json_object_get(event_content(s->old_create), "additional_creators");
    json_object_set_new(users, s->upgrader, json_integer(100));
    json_object_set_new(users, s->old_create->sender, json_integer(100));
    for (size_t i = 0; i < json_array_size(more); i++)
        json_object_set_new(users, json_string_value(json_array_get(more, i)), json_integer(100));
}

static json_t *convert_levels(const struct succession *s, const json_t *current)
{
    json_t *levels = json_deep_copy(current);
    make_integers(levels, 0);
    successor_drop_uncanonical(levels);
    if (s->version->privileged_creators)
        make_privileged(s, levels);
    else if (s->old_version->privileged_creators)
        make_ordinary(s, levels);
    return levels;
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

/* Only moderators may send or invite. */
json_t *successor_silent_levels(const json_t *current)
{
    json_t *levels = json_deep_copy(current);
    make_integers(levels, 0);
    successor_drop_uncanonical(levels);
    json_int_t least = level(levels, "users_default", 0) + 1;
    least = least > 50 ? least : 50;
    raise_level(levels, "events_default", level(levels, "events_default", 0), least);
    raise_level(levels, "invite", level(levels, "invite", 0), least);
    return levels;
}

/* ---- any state ---- */

/* With a rule that is unknown in the new version no user could ever join; with `invite` they can be
 * invited. */
static bool is_known_rule(const struct room_version *v, const char *rule)
{
    return strcmp(rule, "knock") == 0              ? v->knock
           : strcmp(rule, "restricted") == 0       ? v->restricted
           : strcmp(rule, "knock_restricted") == 0 ? v->knock_restricted
                                                   : true;
}

json_t *successor_content(const struct succession *s, const char *type, const json_t *current)
{
    if (strcmp(type, "m.room.power_levels") == 0)
        return convert_levels(s, current);
    const char *rule = json_text(current, "join_rule");
    if (strcmp(type, "m.room.join_rules") == 0 && (!rule || !is_known_rule(s->version, rule)))
        return rule ? json_pack("{s:s}", "join_rule", "invite") : NULL;
    json_t *content = json_copy((json_t *)current);
    successor_drop_uncanonical(content);
    return content;
}
