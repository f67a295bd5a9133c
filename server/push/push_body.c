/* The body of a request to a push gateway (push-gateway-api, "POST /_matrix/push/v1/notify"). */
#include "server/push/push_internal.h"

#include "base/json.h"
#include "storage/db/intern.h"

bool push_body_is_high(bool is_loud, bool is_encrypted)
{
    return is_loud || is_encrypted;
}

void push_body_tweaks(const json_t *actions, struct buf *out)
{
    const json_t *action;
    size_t i;
    BUF_LIT(out, "{");
    json_array_foreach (actions, i, action) {
        const char *tweak = json_text(action, "set_tweak");
        const json_t *value = json_object_get(action, "value");
        if (!tweak)
            continue;
        buf_add_json_comma(out);
        buf_add_json_string(out, str_of(tweak));
        BUF_LIT(out, ":");
        if (value)
            buf_add_json(out, value);
        else
            BUF_LIT(out, "true");
    }
    BUF_LIT(out, "}");
}

static void push_body_text(struct buf *out, const char *key, const char *value)
{
    if (!value || !*value)
        return;
    buf_printf(out, ",\"%s\":", key);
    buf_add_json_string(out, str_of(value));
}

/* What people see of the room and the sender. */
struct push_names {
    const char *room, *alias, *sender; /* or NULL */
};

static void push_body_use_stripped(const json_t *state, const struct event *e,
                                   struct push_names *names)
{
    const json_t *one;
    size_t i;
    json_array_foreach (state, i, one) {
        const char *type = json_text(one, "type"), *key = json_text(one, "state_key");
        const json_t *content = json_object_get(one, "content");
        if (!type || !key)
            continue;
        if (!names->room && strcmp(type, "m.room.name") == 0)
            names->room = json_text(content, "name");
        else if (!names->alias && strcmp(type, "m.room.canonical_alias") == 0)
            names->alias = json_text(content, "alias");
        else if (!names->sender && strcmp(type, "m.room.member") == 0 &&
                 strcmp(key, e->sender) == 0)
            names->sender = json_text(content, "displayname");
    }
}

/* Of a room that only other servers are in, the invite has a part of the state. */
static const struct err *push_body_read_stripped(struct job *job, const struct room *room,
                                                 const struct event *e, struct push_names *names)
{
    int64_t user;
    struct str json;
    json_t *state;
    TRY(intern_find(job->storage->intern, INTERN_USER, e->state_key, &user));
    TRY(members_stripped(job_tx(job), room->id, user, &json));
    if (!json.p)
        return NULL;
    TRY(json_read_own(job->arena, json, &state));
    push_body_use_stripped(state, e, names);
    return NULL;
}

static const struct err *push_body_read_names(struct job *job, struct room *room,
                                              const struct event *e, struct push_names *ret)
{
    const struct event *sender;
    TRY(room_state(job, room, "m.room.member", e->sender, &sender));
    TRY(room_state_text(job, room, "m.room.name", "name", &ret->room));
    TRY(room_state_text(job, room, "m.room.canonical_alias", "alias", &ret->alias));
    ret->sender = sender ? json_text(event_content(sender), "displayname") : NULL;
    if (!sender && e->state_key && event_membership(e) == MEMBERSHIP_INVITE)
        TRY(push_body_read_stripped(job, room, e, ret));
    return NULL;
}

static const struct err *push_body_whole(struct pushes *p, struct job *job, struct room *room,
                                         const struct event *e, struct push_notice *n)
{
    struct push_names names = {0};
    TRY(push_body_read_names(job, room, e, &names));
    push_body_text(&n->whole, "id", e->event_id); /* of older gateways */
    push_body_text(&n->whole, "type", e->type);
    push_body_text(&n->whole, "sender", e->sender);
    push_body_text(&n->whole, "sender_display_name", names.sender);
    push_body_text(&n->whole, "room_name", names.room ? names.room : names.alias);
    push_body_text(&n->whole, "room_alias", names.alias);
    if (n->is_member)
        push_body_text(&n->whole, "membership", json_text(event_content(e), "membership"));
    if (p->node->config->push_include_content && e->content.n > 2) {
        BUF_LIT(&n->whole, ",\"content\":");
        buf_add_str(&n->whole, e->content);
    }
    return NULL;
}

const struct err *push_body_notice(struct pushes *p, struct job *job, struct room *room,
                                   const struct event *e, struct push_notice *n)
{
    BUF_LIT(&n->ids, "\"event_id\":");
    buf_add_json_string(&n->ids, str_of(e->event_id));
    push_body_text(&n->ids, "room_id", room->room_id);
    return push_body_whole(p, job, room, e, n);
}

static void push_body_event(const struct push_message *m, struct buf *out)
{
    const struct push_notice *n = m->notice;
    buf_add_str(out, buf_str(&n->ids));
    if (!m->pusher->by_id_only)
        buf_add_str(out, buf_str(&n->whole));
    if (!m->pusher->by_id_only && n->is_member)
        buf_add_text(out, m->is_target ? ",\"user_is_target\":true" : ",\"user_is_target\":false");
    buf_add_text(out, push_body_is_high(m->is_loud, n->is_encrypted) ? ",\"prio\":\"high\","
                                                                     : ",\"prio\":\"low\",");
}

static void push_body_device(const struct push_message *m, struct buf *out)
{
    const struct live_pusher *x = m->pusher;
    BUF_LIT(out, "\"devices\":[{\"app_id\":");
    buf_add_json_string(out, str_of(x->app_id));
    BUF_LIT(out, ",\"pushkey\":");
    buf_add_json_string(out, str_of(x->pushkey));
    buf_printf(out, ",\"pushkey_ts\":%lld,\"data\":", (long long)(x->set_ts / 1000));
    buf_add_text(out, x->data);
    if (m->tweaks && !x->by_id_only) {
        BUF_LIT(out, ",\"tweaks\":");
        buf_add_text(out, m->tweaks);
    }
    BUF_LIT(out, "}]");
}

void push_body_write(const struct push_message *m, struct buf *out)
{
    BUF_LIT(out, "{\"notification\":{");
    if (m->notice)
        push_body_event(m, out);
    if (m->unread >= 0)
        buf_printf(out, "\"counts\":{\"unread\":%lld},", (long long)m->unread);
    push_body_device(m, out);
    BUF_LIT(out, "}}");
}
