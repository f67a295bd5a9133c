/* The body of a request to a push gateway (push-gateway-api, "POST /_matrix/push/v1/notify"). */
#include "server/push/push_internal.h"

#include "base/json.h"

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

static const struct err *push_body_whole(struct pushes *p, struct job *job, struct room *room,
                                         const struct event *e, struct push_notice *n)
{
    const struct event *sender;
    const char *name, *alias;
    TRY(room_state(job, room, "m.room.member", e->sender, &sender));
    TRY(room_state_text(job, room, "m.room.name", "name", &name));
    TRY(room_state_text(job, room, "m.room.canonical_alias", "alias", &alias));
    push_body_text(&n->whole, "id", e->event_id); /* of older gateways */
    push_body_text(&n->whole, "type", e->type);
    push_body_text(&n->whole, "sender", e->sender);
    push_body_text(&n->whole, "sender_display_name",
                   sender ? json_text(event_content(sender), "displayname") : NULL);
    push_body_text(&n->whole, "room_name", name ? name : alias);
    push_body_text(&n->whole, "room_alias", alias);
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
