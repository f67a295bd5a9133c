#include "server/sync/sync.h"
#include "users/users.h"

#include "server/sync_token.h"
#include "users/receipts.h"
#include "users/typing.h"
#include "users/unread.h"

static bool has_member_event(const struct timeline *line)
{
    for (size_t i = 0; i < line->visible_n; i++)
        if (line->shown[i]->is_state && strcmp(line->shown[i]->event->type, "m.room.member") == 0)
            return true;
    for (size_t i = 0; i < line->hidden_n; i++)
        if (strcmp(line->hidden[i]->event->type, "m.room.member") == 0)
            return true;
    return false;
}

bool sync_has_summary(const struct room_task *t, const struct timeline *line)
{
    return t->is_full || line->limited || has_member_event(line);
}

static const struct err *write_timeline(struct sync *s, const struct timeline *line,
                                        struct buf *out)
{
    BUF_LIT(out, ",\"timeline\":{\"events\":[");
    TRY(serialize_events(s->job, &s->viewer, line->shown, line->visible_n, line->relations, out));
    buf_printf(out, "],\"limited\":%s,\"prev_batch\":\"", line->limited ? "true" : "false");
    sync_token_add(out, s->job->storage, line->start - 1, 0);
    BUF_LIT(out, "\"}");
    return NULL;
}

static const struct err *write_summary(struct sync *s, const struct room_task *t, struct buf *out)
{
    const char *const *heroes;
    size_t n;
    TRY(sync_heroes(s, t->room, &heroes, &n));
    BUF_LIT(out, ",\"summary\":{");
    for (size_t i = 0; i < n; i++) {
        buf_add_text(out, i ? "," : "\"m.heroes\":[");
        buf_add_json_string(out, str_of(heroes[i]));
    }
    buf_printf(out, "%s\"m.joined_member_count\":%lld,\"m.invited_member_count\":%lld}",
               n ? "]," : "", (long long)room_joined_count(t->room),
               (long long)room_invited_count(t->room));
    return NULL;
}

static const struct err *write_unread(struct sync *s, const struct room_task *t, struct buf *out)
{
    bool by_thread = s->filter.timeline.unread_thread_notifications;
    struct unread_counts c;
    TRY(unread_get(s->job, t->room, s->caller->user, s->caller->user_id, by_thread, &c));
    buf_printf(out,
               ",\"unread_notifications\":{\"notification_count\":%lld,\"highlight_count\":%lld}",
               (long long)c.notify, (long long)c.highlight);
    if (!by_thread)
        return NULL;
    BUF_LIT(out, ",\"unread_thread_notifications\":{");
    for (size_t i = 0; i < c.threads_n; i++) {
        buf_add_text(out, i ? "," : "");
        buf_add_json_string(out, str_of(c.threads[i].root));
        buf_printf(out, ":{\"notification_count\":%lld,\"highlight_count\":%lld}",
                   (long long)c.threads[i].notify, (long long)c.threads[i].highlight);
    }
    buf_add_char(out, '}');
    return NULL;
}

static const struct err *write_ephemeral(struct sync *s, const struct room_task *t, struct buf *out,
                                         bool *ret_any)
{
    const struct event_filter *f = &s->filter.ephemeral;
    const struct filter_subject typing = {.type = "m.typing", .room_id = t->room->room_id};
    const struct filter_subject receipt = {.type = "m.receipt", .room_id = t->room->room_id};
    buf_auto struct buf events = {0};
    struct typing *table = s->job->users->typing;
    if (filter_matches(f, &typing) &&
        typing_room_serial(table, t->room->id) > (t->is_newly_joined ? 0 : s->typing_since))
        typing_add_event(table, t->room->id, s->ignored, NULL, &events);
    if (filter_matches(f, &receipt)) {
        buf_auto struct buf receipts = {0};
        bool any;
        TRY(receipts_add_event(s->job, t->room->id, s->caller->user,
                               t->is_newly_joined ? 0 : s->since, t->until, s->ignored, NULL,
                               &receipts, &any));
        if (any && events.n)
            buf_add_char(&events, ',');
        if (any)
            buf_add_str(&events, buf_str(&receipts));
    }
    *ret_any = events.n > 0;
    BUF_LIT(out, ",\"ephemeral\":{\"events\":[");
    buf_add_str(out, buf_str(&events));
    BUF_LIT(out, "]}");
    return NULL;
}

static bool write_room_account_data(struct sync *s, const struct room_task *t, struct buf *out)
{
    bool any = false;
    BUF_LIT(out, ",\"account_data\":{\"events\":[");
    for (size_t i = 0; i < s->account_data_n; i++) {
        const struct account_data *d = &s->account_data[i];
        if (d->room != t->room->id)
            continue;
        if (!filter_matches(&s->filter.room_account_data,
                            &(struct filter_subject){.type = d->type, .room_id = t->room->room_id}))
            continue;
        buf_add_text(out, any ? ",{\"type\":" : "{\"type\":");
        buf_add_json_string(out, str_of(d->type));
        BUF_LIT(out, ",\"content\":");
        buf_add_str(out, d->content);
        buf_add_char(out, '}');
        any = true;
    }
    BUF_LIT(out, "]}");
    return any;
}

/* Writes the room as a member of rooms.join; ret_any: it is not empty. */
const struct err *sync_write_joined(struct sync *s, struct room_task *t, struct buf *out,
                                    bool *ret_any)
{
    struct timeline line;
    TRY(sync_read_timeline(s, t, &line));
    buf_add_json_string(out, str_of(t->room->room_id));
    BUF_LIT(out, ":{");
    bool state_any, ephemeral_any;
    TRY(sync_write_state(s, t, &line, out, &state_any));
    TRY(write_timeline(s, &line, out));
    if (sync_has_summary(t, &line))
        TRY(write_summary(s, t, out));
    TRY(write_unread(s, t, out));
    TRY(write_ephemeral(s, t, out, &ephemeral_any));
    bool account_any = write_room_account_data(s, t, out);
    buf_add_char(out, '}');
    *ret_any =
        t->is_full || line.visible_n || line.limited || state_any || ephemeral_any || account_any;
    return NULL;
}

const struct err *sync_write_left(struct sync *s, struct room_task *t, struct buf *out)
{
    struct timeline line;
    bool any;
    TRY(sync_read_timeline(s, t, &line));
    buf_add_json_string(out, str_of(t->room->room_id));
    BUF_LIT(out, ":{");
    TRY(sync_write_state(s, t, &line, out, &any));
    TRY(write_timeline(s, &line, out));
    write_room_account_data(s, t, out);
    buf_add_char(out, '}');
    return NULL;
}
