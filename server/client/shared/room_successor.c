#include "server/client/shared/room_successor.h"

#include "base/log.h"
#include "matrix/push_rules.h"
#include "rooms/room_cache.h"
#include "rooms/write/upgrade.h"
#include "server/client/shared/user_request.h"
#include "storage/users/account_data.h"

struct room_succession {
    struct request *rq;
    struct room *old, *new;
    const json_t *found; /* the old room's data */
};

/* The room that this one claims to replace, if it is known; else NULL. */
static const struct err *find_old(struct request *rq, struct room *room, struct room **ret)
{
    const struct event *create;
    TRY(room_state(job_of(rq), room, "m.room.create", "", &create));
    const char *id =
        json_string_text(json_at(event_content(create), "predecessor", "room_id", NULL));
    *ret = NULL;
    if (id)
        TRY(room_find(job_of(rq), id, ret));
    return NULL;
}

static const struct err *room_successor_read(struct request *rq, int64_t room, const char *type,
                                             const json_t **ret)
{
    struct str raw;
    json_t *tree = NULL;
    TRY(account_data_get(job_tx(job_of(rq)), caller_of(rq)->user, room, type, &raw));
    if (raw.p)
        TRY(json_read_own(rq->arena, raw, &tree));
    *ret = tree;
    return NULL;
}

/* ---- tags ---- */

static const struct err *edit_tags(void *ctx, const json_t *before, json_t **ret)
{
    const struct room_succession *s = ctx;
    json_t *tags = json_deep_copy(json_object_get(s->found, "tags"));
    if (json_is_object(json_object_get(before, "tags")))
        json_object_update(tags, json_object_get(before, "tags"));
    *ret = json_pack("{s:o}", "tags", tags);
    return NULL;
}

static const struct err *move_tags(struct room_succession *s)
{
    TRY(room_successor_read(s->rq, s->old->id, "m.tag", &s->found));
    if (json_object_size(json_object_get(s->found, "tags")) == 0)
        return NULL;
    return account_data_edit(job_of(s->rq), &(struct account_edit){.user = caller_of(s->rq)->user,
                                                                   .room = s->new->id,
                                                                   .type = "m.tag",
                                                                   .edit = edit_tags,
                                                                   .ctx = s});
}

/* ---- push rules ---- */

static const struct err *edit_rules(void *ctx, const json_t *before, json_t **ret)
{
    const struct room_succession *s = ctx;
    return push_rules_put(before, "room", s->new->room_id, s->found, NULL, NULL, ret);
}

static const struct err *move_rules(struct room_succession *s)
{
    const json_t *stored;
    TRY(room_successor_read(s->rq, 0, "m.push_rules", &stored));
    if (!stored)
        return NULL;
    json_t *rules = json_keep(s->rq->arena, push_rules_merge(caller_of(s->rq)->user_id, stored));
    s->found = push_rules_find(rules, "room", s->old->room_id);
    if (!s->found || push_rules_find(rules, "room", s->new->room_id))
        return NULL;
    return account_data_edit(job_of(s->rq), &(struct account_edit){.user = caller_of(s->rq)->user,
                                                                   .type = "m.push_rules",
                                                                   .edit = edit_rules,
                                                                   .ctx = s});
}

/* ---- direct chats ---- */

static bool names(const json_t *rooms, const char *id)
{
    for (size_t i = 0; i < json_array_size(rooms); i++) {
        const char *one = json_string_text(json_array_get(rooms, i));
        if (one && strcmp(one, id) == 0)
            return true;
    }
    return false;
}

static bool room_successor_is_direct(const struct room_succession *s, const json_t *rooms)
{
    return names(rooms, s->old->room_id) && !names(rooms, s->new->room_id);
}

static const struct err *edit_direct(void *ctx, const json_t *before, json_t **ret)
{
    const struct room_succession *s = ctx;
    const char *user_id;
    json_t *rooms, *after = before ? json_deep_copy(before) : json_object();
    json_object_foreach (after, user_id, rooms)
        if (room_successor_is_direct(s, rooms))
            json_array_append_new(rooms, json_string(s->new->room_id));
    *ret = after;
    return NULL;
}

static const struct err *move_direct(struct room_succession *s)
{
    const char *user_id;
    json_t *rooms;
    bool any = false;
    TRY(room_successor_read(s->rq, 0, "m.direct", &s->found));
    json_object_foreach ((json_t *)s->found, user_id, rooms)
        any |= room_successor_is_direct(s, rooms);
    if (!any)
        return NULL;
    return account_data_edit(job_of(s->rq), &(struct account_edit){.user = caller_of(s->rq)->user,
                                                                   .type = "m.direct",
                                                                   .edit = edit_direct,
                                                                   .ctx = s});
}

static const struct err *move_all(struct request *rq, struct room *room)
{
    struct room_succession s = {.rq = rq, .new = room};
    TRY(find_old(rq, room, &s.old));
    if (!s.old)
        return NULL;
    TRY(room_upgrade_follow(job_of(rq), s.old, room));
    if (room_membership(s.old, caller_of(rq)->user) == MEMBERSHIP_NONE)
        return NULL;
    TRY(move_tags(&s));
    TRY(move_rules(&s));
    return move_direct(&s);
}

void room_successor_joined(struct request *rq, struct room *room)
{
    const struct err *e = move_all(rq, room);
    if (e && log_limited("settings of an upgraded room", LOG_FEW))
        log_err(LOG_WARN, "settings of an upgraded room", e);
}
