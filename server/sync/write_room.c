/* One room of a reply. */
#include "server/sync/sync.h"
#include "users/users.h"

#include "server/sync/read/state.h"
#include "server/sync/read/summary.h"
#include "server/sync_token.h"
#include "users/receipts.h"
#include "users/typing.h"
#include "users/unread.h"

/* ---- state and timeline ---- */

struct state_writing {
    struct sync *s;
    struct buf *out;
    bool any;
};

static const struct err *write_state_event(void *ctx, const struct stored_event *e)
{
    struct state_writing *w = ctx;
    if (w->any)
        buf_add_char(w->out, ',');
    w->any = true;
    return serialize_state_event(w->s->who.job, &w->s->viewer, e, w->out);
}

static const struct err *write_state_page(void *ctx)
{
    struct state_writing *w = ctx;
    return w->out == &w->s->rp->body ? reply_flush(w->s->rp) : NULL;
}

/* `"state":{"events":[…]}` or its state_after spelling; *ret_any: not empty. */
static const struct err *write_state(struct sync *s, const struct sync_room *room,
                                     const struct sync_timeline *line,
                                     const struct sync_summary *summary, struct buf *out,
                                     bool *ret_any)
{
    struct state_writing w = {.s = s, .out = out};
    const struct sync_state_sink sink = {&w, write_state_event, write_state_page};
    const struct sync_state_wanted wanted = {.filter = &s->filter.state,
                                             .at_end = s->state_after != NULL,
                                             .heroes = summary->heroes,
                                             .heroes_n = summary->heroes_n};
    buf_printf(out, "\"%s\":{\"events\":[", s->state_after ? s->state_after : "state");
    TRY(sync_state_read(&s->who, &s->range, room, line, &wanted, &sink));
    BUF_LIT(out, "]}");
    *ret_any = w.any;
    return NULL;
}

static const struct err *write_timeline(struct sync *s, const struct sync_timeline *line,
                                        struct buf *out)
{
    BUF_LIT(out, ",\"timeline\":{\"events\":[");
    TRY(serialize_events(s->who.job, &s->viewer, line->shown, line->shown_n, line->relations, out));
    buf_printf(out, "],\"limited\":%s,\"prev_batch\":\"", line->limited ? "true" : "false");
    sync_token_add(out, s->who.job->storage, line->start - 1, 0);
    BUF_LIT(out, "\"}");
    return NULL;
}

static void write_summary(const struct sync_summary *summary, struct buf *out)
{
    BUF_LIT(out, ",\"summary\":{");
    for (size_t i = 0; i < summary->heroes_n; i++) {
        buf_add_text(out, i ? "," : "\"m.heroes\":[");
        buf_add_json_string(out, str_of(summary->heroes[i]));
    }
    buf_printf(out, "%s\"m.joined_member_count\":%lld,\"m.invited_member_count\":%lld}",
               summary->heroes_n ? "]," : "", (long long)summary->joined,
               (long long)summary->invited);
}

static const struct err *write_unread(struct sync *s, const struct sync_room *room, struct buf *out)
{
    bool by_thread = s->filter.timeline.unread_thread_notifications;
    struct unread_counts c;
    TRY(unread_get(s->who.job, room->room, s->who.caller->user, s->who.caller->user_id, by_thread,
                   &c));
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

static bool wants_ephemeral(const struct sync *s, const struct sync_room *room, const char *type)
{
    const struct filter_subject subject = {.type = type, .room_id = room->room->room_id};
    return filter_matches(&s->filter.ephemeral, &subject);
}

static void write_typing(struct sync *s, const struct sync_room *room, bool *any, struct buf *out)
{
    struct typing *typing = s->who.job->users->typing;
    struct typing_place seen = {s->range.since, s->range.typing_since};
    const char *const *users;
    size_t n;
    const struct typing_place until = {s->range.until, s->range.typing_until};
    if (room->is_newly_joined)
        seen = (struct typing_place){0};
    if (!wants_ephemeral(s, room, "m.typing") ||
        !typing_has_changed(typing, room->room->id, &seen, &until))
        return;
    typing_list(typing, s->who.job->arena, room->room->id, s->who.ignored, &users, &n);
    typing_add_event(users, n, NULL, out);
    *any = true;
}

static const struct err *write_receipts(struct sync *s, const struct sync_room *room, bool *any,
                                        struct buf *out)
{
    struct receipt *list;
    size_t n;
    if (!wants_ephemeral(s, room, "m.receipt"))
        return NULL;
    TRY(receipts_read(s->who.job, room->room->id, s->who.caller->user,
                      room->is_newly_joined ? 0 : s->range.since, room->until, s->who.ignored,
                      &list, &n));
    if (n)
        buf_add_text(out, *any ? "," : "");
    receipts_add_events(list, n, NULL, out);
    *any |= n > 0;
    return NULL;
}

static const struct err *write_ephemeral(struct sync *s, const struct sync_room *room,
                                         struct buf *out, bool *ret_any)
{
    bool any = false;
    BUF_LIT(out, ",\"ephemeral\":{\"events\":[");
    write_typing(s, room, &any, out);
    TRY(write_receipts(s, room, &any, out));
    BUF_LIT(out, "]}");
    *ret_any = any;
    return NULL;
}

static bool write_room_account_data(struct sync *s, const struct sync_room *room, struct buf *out)
{
    bool any = false;
    const struct account_data *d = NULL;
    BUF_LIT(out, ",\"account_data\":{\"events\":[");
    while ((d = sync_account_next(&s->account, d, room->room, &s->filter.room_account_data)))
        sync_add_account_event(d->type, d->content, &any, out);
    BUF_LIT(out, "]}");
    return any;
}

/* ---- a whole room ---- */

static const struct err *write_joined(struct sync *s, const struct sync_room *room, struct buf *out,
                                      bool *ret_any)
{
    struct sync_timeline line;
    struct sync_summary summary = {0};
    TRY(sync_timeline_read(&s->who, &s->range, room, &s->filter.timeline, &line));
    bool has_summary = sync_summary_is_due(room, &line);
    if (has_summary)
        TRY(sync_summary_read(&s->who, room->room, &summary));
    bool state_any, ephemeral_any;
    TRY(write_state(s, room, &line, &summary, out, &state_any));
    TRY(write_timeline(s, &line, out));
    if (has_summary)
        write_summary(&summary, out);
    TRY(write_unread(s, room, out));
    TRY(write_ephemeral(s, room, out, &ephemeral_any));
    bool account_any = write_room_account_data(s, room, out);
    *ret_any =
        room->is_full || line.shown_n || line.limited || state_any || ephemeral_any || account_any;
    return NULL;
}

static const struct err *write_left(struct sync *s, const struct sync_room *room, struct buf *out)
{
    struct sync_timeline line;
    struct sync_summary summary = {0};
    bool any;
    TRY(sync_timeline_read(&s->who, &s->range, room, &s->filter.timeline, &line));
    if (s->filter.state.lazy_load_members && sync_summary_is_due(room, &line))
        TRY(sync_summary_read(&s->who, room->room, &summary));
    TRY(write_state(s, room, &line, &summary, out, &any));
    TRY(write_timeline(s, &line, out));
    write_room_account_data(s, room, out);
    return NULL;
}

static const struct err *write_stripped(struct sync *s, const struct sync_room *room,
                                        struct buf *out)
{
    struct str stripped;
    TRY(sync_room_stripped(&s->who, room, &stripped));
    buf_printf(out, "\"%s_state\":{\"events\":", sync_section_name(room->section));
    if (stripped.p)
        buf_add_str(out, stripped);
    else
        BUF_LIT(out, "[]");
    buf_add_char(out, '}');
    return NULL;
}

const struct err *sync_write_room(struct sync *s, const struct sync_room *room, struct buf *out,
                                  bool *ret_any)
{
    *ret_any = true;
    buf_add_json_string(out, str_of(room->room->room_id));
    BUF_LIT(out, ":{");
    if (room->section == SYNC_JOIN)
        TRY(write_joined(s, room, out, ret_any));
    else if (room->section == SYNC_LEAVE)
        TRY(write_left(s, room, out));
    else
        TRY(write_stripped(s, room, out));
    buf_add_char(out, '}');
    return NULL;
}
