/* Reading power levels (client-server-api, m.room.power_levels) as each room version spells them.
 */
#include "matrix/auth/auth_internal.h"

#include <math.h>
#include <stdio.h>

/* Only old rooms can have levels beyond 64 bits; they are clamped to this range, which is symmetric
 * and short of POWER_INFINITE. */
#define LEVEL_MAX (INT64_MAX - 1)

static bool auth_power_is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* v1 to v9: ` +0100 `, that is white space, a sign, digits, white space. */
static bool read_stringy_level(struct str s, int64_t *ret)
{
    while (s.n && auth_power_is_space(s.p[0]))
        s.p++, s.n--;
    while (s.n && auth_power_is_space(s.p[s.n - 1]))
        s.n--;
    bool negative = s.n && s.p[0] == '-';
    if (s.n && (s.p[0] == '-' || s.p[0] == '+'))
        s.p++, s.n--;
    if (!s.n)
        return false;
    int64_t level = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
        int digit = s.p[i] - '0';
        level = level > (LEVEL_MAX - digit) / 10 ? LEVEL_MAX : level * 10 + digit;
    }
    *ret = negative ? -level : level;
    return true;
}

/* v1 to v5: truncated at the decimal point. */
static bool read_floaty_level(double level, int64_t *ret)
{
    if (!isfinite(level))
        return false;
    if (fabs(level) >= 0x1p62)
        *ret = level > 0 ? LEVEL_MAX : -LEVEL_MAX;
    else
        *ret = (int64_t)level;
    return true;
}

bool auth_read_level(const struct room_version *v, const json_t *value, int64_t *ret)
{
    if (json_is_integer(value)) {
        json_int_t level = json_integer_value(value);
        *ret = level > LEVEL_MAX ? LEVEL_MAX : level < -LEVEL_MAX ? -LEVEL_MAX : level;
        return true;
    }
    if (v->integer_power_levels)
        return false;
    if (json_is_string(value))
        return read_stringy_level((struct str){json_string_value(value), json_string_length(value)},
                                  ret);
    return v->canonical == CANONICAL_LENIENT && json_is_real(value) &&
           read_floaty_level(json_real_value(value), ret);
}

/* A member of an object of levels; the default if it is absent or unreadable. */
static int64_t level_in(const struct room_version *v, const json_t *levels, const char *key,
                        int64_t otherwise)
{
    int64_t level;
    const json_t *value = json_object_get(levels, key);
    return value && auth_read_level(v, value, &level) ? level : otherwise;
}

static bool string_is(const json_t *value, const char *text)
{
    return json_is_string(value) &&
           str_is((struct str){json_string_value(value), json_string_length(value)}, text);
}

bool auth_is_creator(const struct room_version *v, const struct event *create, const char *user_id)
{
    if (!create)
        return false;
    if (!v->creator_is_sender)
        return string_is(json_object_get(event_content(create), "creator"), user_id);
    if (strcmp(create->sender, user_id) == 0)
        return true;
    if (!v->privileged_creators)
        return false;
    const json_t *creators = json_object_get(event_content(create), "additional_creators");
    for (size_t i = 0; i < json_array_size(creators); i++)
        if (string_is(json_array_get(creators, i), user_id))
            return true;
    return false;
}

int64_t auth_power_of_user(const struct auth_state *s, const struct room_version *v,
                           const char *user_id)
{
    if (v->privileged_creators && auth_is_creator(v, s->get(s, "m.room.create", ""), user_id))
        return POWER_INFINITE;
    const struct event *power = s->get(s, "m.room.power_levels", "");
    if (!power)
        return auth_is_creator(v, s->get(s, "m.room.create", ""), user_id) ? 100 : 0;
    const json_t *content = event_content(power);
    return level_in(v, json_object_get(content, "users"), user_id,
                    level_in(v, content, "users_default", 0));
}

int64_t auth_power_to_send(const struct auth_state *s, const struct room_version *v,
                           const char *type, bool is_state)
{
    const json_t *content = auth_content_of(s, "m.room.power_levels", "");
    int64_t otherwise = is_state ? level_in(v, content, "state_default", 50)
                                 : level_in(v, content, "events_default", 0);
    return level_in(v, json_object_get(content, "events"), type, otherwise);
}

int64_t auth_power_for(const struct auth_state *s, const struct room_version *v, const char *action)
{
    const json_t *content = auth_content_of(s, "m.room.power_levels", "");
    return level_in(v, content, action, strcmp(action, "invite") == 0 ? 0 : 50);
}

int64_t auth_power_to_notify_room(const struct auth_state *s, const struct room_version *v)
{
    const json_t *content = auth_content_of(s, "m.room.power_levels", "");
    return level_in(v, json_object_get(content, "notifications"), "room", 50);
}

int64_t auth_sender_power(struct auth_case *c)
{
    if (!c->sender_power_known) {
        c->sender_power = auth_power_of_user(c->s, c->v, c->e->sender);
        c->sender_power_known = true;
    }
    return c->sender_power;
}

bool auth_sender_lacks(struct auth_case *c, int64_t needed, const char *to_do_what)
{
    int64_t power = auth_sender_power(c);
    return power < needed &&
           auth_because(c, "Power level %lld is needed %s; that of %.100s is %lld",
                        (long long)needed, to_do_what, c->e->sender, (long long)power);
}

bool auth_redaction_applies(const struct event *redaction, const struct event *target,
                            const struct auth_state *s)
{
    const struct room_version *v = redaction->version;
    if (strcmp(redaction->room_id, target->room_id) != 0)
        return false;
    if (auth_power_of_user(s, v, redaction->sender) >= auth_power_for(s, v, "redact"))
        return true;
    return v->redaction_auth_by_receiver ? auth_same_server(redaction->sender, target->sender)
                                         : auth_same_server(redaction->event_id, target->event_id);
}
