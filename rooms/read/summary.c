#include "rooms/read/summary.h"

#include "matrix/id.h"
#include "matrix/json_scan.h"
#include "rooms/room_cache.h"
#include "rooms/servers.h"
#include "rooms/state/restricted.h"
#include "storage/rooms/events.h"
#include "storage/rooms/public_rooms.h"

/* An empty text counts as none. */
static const struct err *summary_read_text(struct job *job, struct room *room, const char *type,
                                           const char *key, const char **ret)
{
    TRY(room_state_text(job, room, type, key, ret));
    if (*ret && !**ret)
        *ret = NULL;
    return NULL;
}

static const struct err *read_is(struct job *job, struct room *room, const char *type,
                                 const char *key, const char *value, bool *ret)
{
    const char *text;
    TRY(room_state_text(job, room, type, key, &text));
    *ret = text && strcmp(text, value) == 0;
    return NULL;
}

static bool is_rule(const struct room_summary *s, const char *rule)
{
    return strcmp(s->join_rule, rule) == 0;
}

static const struct err *read_join_rule(struct job *job, struct room *room, struct room_summary *s)
{
    const struct event *e;
    TRY(room_state(job, room, "m.room.join_rules", "", &e));
    const char *rule = e ? json_text(event_content(e), "join_rule") : NULL;
    s->join_rule = rule ? rule : "invite";
    if (is_rule(s, "restricted") || is_rule(s, "knock_restricted"))
        s->allow = json_object_get(event_content(e), "allow");
    return NULL;
}

const struct err *room_summary_read(struct job *job, struct room *room, struct room_summary *ret)
{
    struct room_summary s = {.room_id = room->room_id,
                             .room_version = room->version->id,
                             .joined_n = room_joined_count(room)};
    TRY(summary_read_text(job, room, "m.room.name", "name", &s.name));
    TRY(summary_read_text(job, room, "m.room.topic", "topic", &s.topic));
    TRY(summary_read_text(job, room, "m.room.avatar", "url", &s.avatar_url));
    TRY(summary_read_text(job, room, "m.room.canonical_alias", "alias", &s.canonical_alias));
    TRY(summary_read_text(job, room, "m.room.create", "type", &s.room_type));
    TRY(summary_read_text(job, room, "m.room.encryption", "algorithm", &s.encryption));
    TRY(read_is(job, room, "m.room.history_visibility", "history_visibility", "world_readable",
                &s.world_readable));
    TRY(read_is(job, room, "m.room.guest_access", "guest_access", "can_join", &s.guest_can_join));
    TRY(read_join_rule(job, room, &s));
    *ret = s;
    return NULL;
}

/* ---- of many rooms ---- */

static const char *summary_text_of(struct arena *a, struct str content, const char *key)
{
    const char *text = json_scan_string(a, json_scan_get(content, key));
    return text && *text ? text : NULL;
}

static void set_from(struct arena *a, struct room_summary *s, int64_t type, struct str content)
{
    const char *text;
    switch (type) {
    case TYPE_NAME:
        s->name = summary_text_of(a, content, "name");
        break;
    case TYPE_TOPIC:
        s->topic = summary_text_of(a, content, "topic");
        break;
    case TYPE_AVATAR:
        s->avatar_url = summary_text_of(a, content, "url");
        break;
    case TYPE_CANONICAL_ALIAS:
        s->canonical_alias = summary_text_of(a, content, "alias");
        break;
    case TYPE_CREATE:
        s->room_type = summary_text_of(a, content, "type");
        break;
    case TYPE_HISTORY_VISIBILITY:
        text = summary_text_of(a, content, "history_visibility");
        s->world_readable = text && strcmp(text, "world_readable") == 0;
        break;
    case TYPE_GUEST_ACCESS:
        text = summary_text_of(a, content, "guest_access");
        s->guest_can_join = text && strcmp(text, "can_join") == 0;
        break;
    case TYPE_JOIN_RULES:
        text = json_scan_string(a, json_scan_get(content, "join_rule"));
        s->join_rule = text ? text : s->join_rule;
        break;
    }
}

const struct err *room_summaries_read(struct job *job, const int64_t *ids, size_t n,
                                      const int64_t **ret_rooms, struct room_summary **ret,
                                      size_t *ret_n)
{
    static const int64_t types[] = {
        TYPE_NAME,         TYPE_TOPIC,           TYPE_AVATAR,     TYPE_CREATE,
        TYPE_GUEST_ACCESS, TYPE_CANONICAL_ALIAS, TYPE_JOIN_RULES, TYPE_HISTORY_VISIBILITY};
    const struct public_room *rooms;
    const struct public_room_state *states;
    size_t rooms_n, states_n, at = 0;
    TRY(public_rooms_read(job_tx(job), ids, n, &rooms, &rooms_n));
    TRY(public_rooms_read_state(job_tx(job), ids, n, types, sizeof types / sizeof *types, &states,
                                &states_n));
    struct room_summary *list = arena_alloc_array(job->arena, rooms_n + 1, sizeof *list);
    int64_t *numbers = arena_alloc_array(job->arena, rooms_n + 1, sizeof *numbers);
    for (size_t i = 0; i < rooms_n; i++) {
        numbers[i] = rooms[i].room;
        list[i] = (struct room_summary){
            .room_id = rooms[i].room_id, .joined_n = rooms[i].joined_n, .join_rule = "invite"};
        for (; at < states_n && states[at].room <= rooms[i].room; at++)
            if (states[at].room == rooms[i].room)
                set_from(job->arena, &list[i], states[at].type,
                         json_scan_get(states[at].json, "content"));
    }
    *ret_rooms = numbers;
    *ret = list;
    *ret_n = rooms_n;
    return NULL;
}

/* ---- JSON ---- */

static void summary_set_text(json_t *o, const char *key, const char *text)
{
    if (text)
        json_object_set_new(o, key, json_string(text));
}

json_t *room_summary_chunk(const struct room_summary *s)
{
    json_t *o = json_pack("{s:s, s:I, s:b, s:b, s:s}", "room_id", s->room_id, "num_joined_members",
                          (json_int_t)s->joined_n, "world_readable", s->world_readable,
                          "guest_can_join", s->guest_can_join, "join_rule", s->join_rule);
    summary_set_text(o, "name", s->name);
    summary_set_text(o, "topic", s->topic);
    summary_set_text(o, "avatar_url", s->avatar_url);
    summary_set_text(o, "canonical_alias", s->canonical_alias);
    summary_set_text(o, "room_type", s->room_type);
    return o;
}

json_t *room_summary_whole(const struct room_summary *s)
{
    json_t *o = room_summary_chunk(s), *rooms = json_array();
    summary_set_text(o, "room_version", s->room_version);
    summary_set_text(o, "encryption", s->encryption);
    for (size_t i = 0; i < json_array_size(s->allow); i++) {
        const json_t *condition = json_array_get(s->allow, i);
        const char *type = json_text(condition, "type"), *id = json_text(condition, "room_id");
        if (type && id && strcmp(type, "m.room_membership") == 0)
            json_array_append_new(rooms, json_string(id));
    }
    if (json_array_size(rooms))
        json_object_set(o, "allowed_room_ids", rooms);
    json_decref(rooms);
    return o;
}

/* ---- who may see it ---- */

/* May all users join or knock? */
static bool is_open(const struct room *room, const struct room_summary *s)
{
    return is_rule(s, "public") || (is_rule(s, "knock") && room->version->knock) ||
           (is_rule(s, "knock_restricted") && room->version->knock_restricted);
}

static bool is_restricted(const struct room_summary *s)
{
    return is_rule(s, "restricted") || is_rule(s, "knock_restricted");
}

const struct err *room_summary_may_see(struct job *job, struct room *room,
                                       const struct room_summary *s, int64_t user, bool *ret)
{
    enum membership m = user ? room_membership(room, user) : MEMBERSHIP_NONE;
    *ret = s->world_readable || m == MEMBERSHIP_JOIN || m == MEMBERSHIP_INVITE ||
           (m != MEMBERSHIP_BAN && is_open(room, s));
    if (!*ret && user && is_restricted(s) && m != MEMBERSHIP_BAN)
        TRY(restricted_is_allowed(job, room, user, ret));
    return NULL;
}

/* Is the user in one of these rooms, as far as we know? */
static const struct err *is_in_one_of(struct job *job, const json_t *room_ids, int64_t user,
                                      bool *ret)
{
    *ret = false;
    for (size_t i = 0; i < json_array_size(room_ids) && !*ret; i++) {
        const char *id = json_string_text(json_array_get(room_ids, i));
        struct room *room = NULL;
        if (id)
            TRY(room_find(job, id, &room));
        *ret = room && room_membership(room, user) == MEMBERSHIP_JOIN;
    }
    return NULL;
}

const struct err *remote_summary_may_see(struct job *job, const json_t *summary, int64_t user,
                                         bool *ret)
{
    static const char *const open[] = {"public", "knock", "knock_restricted"};
    const char *rule = json_text(summary, "join_rule"), *id = json_text(summary, "room_id");
    struct room *room = NULL;
    *ret = json_is_true(json_object_get(summary, "world_readable"));
    for (size_t i = 0; rule && i < sizeof open / sizeof *open; i++)
        *ret = *ret || strcmp(rule, open[i]) == 0;
    if (*ret || !user)
        return NULL;
    if (id)
        TRY(room_find(job, id, &room));
    enum membership m = room ? room_membership(room, user) : MEMBERSHIP_NONE;
    *ret = m == MEMBERSHIP_JOIN || m == MEMBERSHIP_INVITE;
    return *ret ? NULL : is_in_one_of(job, json_object_get(summary, "allowed_room_ids"), user, ret);
}

static bool has_invited(struct job *job, struct room *room, const char *server)
{
    const struct room_member *members;
    size_t n;
    room_list_members(job, room, MEMBERSHIP_INVITE, false, &members, &n);
    for (size_t i = 0; i < n; i++)
        if (id_is_of(members[i].user_id, server))
            return true;
    return false;
}

const struct err *room_summary_may_serve(struct job *job, struct room *room,
                                         const struct room_summary *s, const char *server,
                                         bool *ret)
{
    const struct err *denied = room_check_acl(job, room, server);
    if (denied && denied->code != ERR_FORBIDDEN)
        return denied;
    *ret = !denied && (s->world_readable || is_open(room, s) || room_has_server(room, server) ||
                       has_invited(job, room, server));
    if (!*ret && !denied && is_restricted(s))
        TRY(restricted_is_allowed_server(job, room, server, ret));
    return NULL;
}
