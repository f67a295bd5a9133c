#include "server/sliding/sliding.h"

#include "matrix/json_scan.h"
#include "rooms/room_cache.h"
#include "server/sync/read/state.h"
#include "server/sync/read/summary.h"
#include "server/sync_token.h"
#include "storage/rooms/outlines.h"
#include "users/unread.h"

enum { OWN_RECEIPTS_MAX = 100 };

/* What is written of a room. */
struct room_writing {
    struct sliding_sync *s;
    struct sliding_room *r;
    struct buf *out;
    struct sync_range range; /* of this room */
    struct sync_room room;
    struct sync_timeline line;
    struct str code;        /* of the required state, in the request's arena */
    struct required before; /* as the room was sent before */
    bool is_initial, is_dm;
    bool has_grown;   /* another state is required than before */
    bool is_expanded; /* the timeline begins before what the client has */
    bool only_grown;  /* the state that is read is what has not been required before */
    bool state_any;
    struct str name, avatar; /* raw JSON, of events in the state that was read; p NULL: none */
    bool has_name_event, has_avatar_event;
};

/* ---- state ---- */

static bool writing_is_in_line(const struct room_writing *w, const char *user_id)
{
    for (size_t i = 0; i < w->line.shown_n; i++) {
        const struct stored_event *e = w->line.shown[i];
        bool is_target = e->is_state && strcmp(e->event->type, "m.room.member") == 0 &&
                         strcmp(e->event->state_key, user_id) == 0;
        if (is_target || strcmp(e->event->sender, user_id) == 0)
            return true;
    }
    return false;
}

/* With lazy loading: members who are in the timeline, and, where nothing was left out, all changes.
 */
static bool writing_requires(const struct room_writing *w, const char *type, const char *key)
{
    if (required_wants(&w->r->required, type, key))
        return !w->only_grown || !required_wants(&w->before, type, key);
    return !w->only_grown && strcmp(type, "m.room.member") == 0 &&
           required_is_lazy(&w->r->required) &&
           (!(w->is_initial || w->line.limited) || writing_is_in_line(w, key));
}

static bool writing_is_name(const char *type, const char *key)
{
    return !*key && strcmp(type, "m.room.name") == 0;
}

static bool writing_is_avatar(const char *type, const char *key)
{
    return !*key && strcmp(type, "m.room.avatar") == 0;
}

static bool writing_wants(const void *ctx, const char *type, const char *key)
{
    return writing_is_name(type, key) || writing_is_avatar(type, key) ||
           writing_requires(ctx, type, key);
}

/* A string that is not empty, as raw JSON. */
static struct str writing_text(struct arena *a, const struct event *e, const char *key)
{
    struct str raw = json_scan_get(e->content, key);
    if (raw.n <= 2 || raw.p[0] != '"')
        return (struct str){0};
    return (struct str){str_dup(a, raw), raw.n};
}

static const struct err *writing_add_state(void *ctx, const struct stored_event *e)
{
    struct room_writing *w = ctx;
    const char *type = e->event->type, *key = e->event->state_key;
    if (!w->only_grown && writing_is_name(type, key)) {
        w->name = writing_text(w->s->who.job->arena, e->event, "name");
        w->has_name_event = true;
    } else if (!w->only_grown && writing_is_avatar(type, key)) {
        w->avatar = writing_text(w->s->who.job->arena, e->event, "url");
        w->has_avatar_event = true;
    }
    if (!writing_requires(w, type, key))
        return NULL;
    if (w->state_any)
        buf_add_char(w->out, ',');
    w->state_any = true;
    return serialize_state_event(w->s->who.job, &w->s->viewer, e, w->out);
}

static const struct err *writing_end_page(void *ctx)
{
    struct room_writing *w = ctx;
    return w->is_initial && w->s->rq->pool == POOL_INITIAL ? reply_flush(w->s->rp) : NULL;
}

/* Members that are sent whether they are in the timeline or not, and those that changed in it. */
static void writing_list_members(struct room_writing *w, struct sync_state_wanted *wanted)
{
    struct arena *a = w->s->who.job->arena;
    size_t named_n, n = 0;
    const char *const *named = required_members(a, &w->r->required, &named_n);
    const char **list = arena_alloc_array(a, named_n + w->line.shown_n + 1, sizeof *list);
    for (size_t i = 0; i < named_n && (w->is_initial || w->only_grown); i++)
        list[n++] = named[i];
    for (size_t i = 0; i < w->line.shown_n; i++)
        if (w->line.shown[i]->is_state &&
            strcmp(w->line.shown[i]->event->type, "m.room.member") == 0)
            list[n++] = w->line.shown[i]->event->state_key;
    wanted->heroes = list;
    wanted->heroes_n = n;
}

static const struct err *writing_read_state(struct room_writing *w, const struct sync_room *room,
                                            const struct sync_timeline *line)
{
    const struct event_filter filter = {.contains_url = -1,
                                        .matches_everything = true,
                                        .lazy_load_members =
                                            !required_has_all_members(&w->r->required)};
    struct sync_state_wanted wanted = {
        .filter = &filter, .at_end = true, .wants = writing_wants, .wants_ctx = w};
    const struct sync_state_sink sink = {w, writing_add_state, writing_end_page};
    writing_list_members(w, &wanted);
    return sync_state_read(&w->s->who, &w->range, room, line, &wanted, &sink);
}

static const struct err *writing_add_required_state(struct room_writing *w)
{
    BUF_LIT(w->out, "\"required_state\":[");
    if (w->is_initial || w->r->is_changed || w->r->sent->until) {
        struct sync_timeline line = w->line;
        line.limited |= w->is_expanded;
        TRY(writing_read_state(w, &w->room, &line));
    }
    if (w->has_grown && w->room.may_see_state) {
        struct sync_room whole = w->room;
        const struct sync_timeline none = {.start = w->room.until + 1};
        whole.is_full = w->only_grown = true;
        TRY(writing_read_state(w, &whole, &none));
        w->only_grown = false;
    }
    buf_add_char(w->out, ']');
    return NULL;
}

/* ---- timeline ---- */

/* With a higher limit than before the newest events come again, with older ones. */
static void writing_expand(const struct room_writing *w, struct sync_room *room)
{
    int64_t joined_at = room_join_position(room->room);
    room->joined_at = joined_at <= room->until ? joined_at : 0;
    room->since = room->joined_at ? room->joined_at - 1 : 0;
    room->may_hide = true;
}

static const struct err *writing_read_timeline(struct room_writing *w)
{
    const struct sliding_room *r = w->r;
    struct sync_room room = w->room;
    const struct event_filter filter = {.limit = r->timeline_limit,
                                        .limit_given = true,
                                        .contains_url = -1,
                                        .matches_everything = true};
    bool may_expand = !w->is_initial && r->timeline_limit > r->sent->timeline_limit &&
                      room.section == SYNC_JOIN && !room.is_newly_joined;
    if (may_expand)
        writing_expand(w, &room);
    TRY(sync_timeline_read(&w->s->who, &w->range, &room, &filter, &w->line));
    w->is_expanded = may_expand && w->line.shown_n && w->line.shown[0]->position <= r->since;
    return NULL;
}

static size_t writing_live(const struct room_writing *w)
{
    size_t n = 0;
    while (!w->s->range.is_initial && n < w->line.shown_n &&
           w->line.shown[w->line.shown_n - 1 - n]->position > w->s->range.since)
        n++;
    return n;
}

static const struct err *writing_add_timeline(struct room_writing *w)
{
    const struct sync_timeline *line = &w->line;
    BUF_LIT(w->out, ",\"timeline\":[");
    TRY(serialize_events(w->s->who.job, &w->s->viewer, line->shown, line->shown_n, line->relations,
                         w->out));
    buf_printf(w->out, "],\"limited\":%s,\"num_live\":%zu,\"prev_batch\":\"",
               line->limited ? "true" : "false", writing_live(w));
    sync_token_add(w->out, w->s->who.job->storage, line->start - 1, 0);
    buf_add_char(w->out, '"');
    if (w->is_expanded)
        buf_add_text(w->out, w->s->request->is_accepted ? ",\"expanded_timeline\":true"
                                                        : ",\"unstable_expanded_timeline\":true");
    return NULL;
}

/* ---- the summary ---- */

static void writing_add_member(struct buf *out, const struct event *e, const char *from,
                               const char *to)
{
    struct str raw = json_scan_get(e->content, from);
    if (raw.n <= 2 || raw.p[0] != '"')
        return;
    buf_printf(out, ",\"%s\":", to);
    buf_add_str(out, raw);
}

static const struct err *writing_add_heroes(struct room_writing *w, const struct sync_summary *sum)
{
    struct job *job = w->s->who.job;
    if (!sum->heroes_n)
        return NULL;
    TRY(room_load_members(job, w->room.room, sum->heroes, sum->heroes_n));
    BUF_LIT(w->out, ",\"heroes\":[");
    for (size_t i = 0; i < sum->heroes_n; i++) {
        const struct event *e;
        TRY(room_state(job, w->room.room, "m.room.member", sum->heroes[i], &e));
        buf_add_text(w->out, i ? ",{\"user_id\":" : "{\"user_id\":");
        buf_add_json_string(w->out, str_of(sum->heroes[i]));
        if (e) {
            writing_add_member(w->out, e, "displayname", "displayname");
            writing_add_member(w->out, e, "avatar_url", "avatar_url");
        }
        buf_add_char(w->out, '}');
    }
    buf_add_char(w->out, ']');
    return NULL;
}

static void writing_add_text_field(const struct room_writing *w, const char *key, struct str raw,
                                   bool has_event)
{
    if (raw.p) {
        buf_printf(w->out, ",\"%s\":", key);
        buf_add_str(w->out, raw);
    } else if (has_event && !w->is_initial && w->s->request->is_accepted) {
        buf_printf(w->out, ",\"%s\":null", key);
    }
}

static const struct err *writing_add_summary(struct room_writing *w)
{
    writing_add_text_field(w, "name", w->name, w->has_name_event);
    writing_add_text_field(w, "avatar", w->avatar, w->has_avatar_event);
    if (w->room.section != SYNC_JOIN)
        return NULL;
    bool is_due = w->is_initial || w->has_name_event || sync_summary_is_due(&w->room, &w->line);
    if (is_due) {
        struct sync_summary sum;
        TRY(sync_summary_read(&w->s->who, w->room.room, &sum));
        TRY(writing_add_heroes(w, &sum));
        buf_printf(w->out, ",\"joined_count\":%lld,\"invited_count\":%lld", (long long)sum.joined,
                   (long long)sum.invited);
    }
    if (w->s->request->is_accepted)
        return NULL;
    struct unread_counts counts;
    TRY(unread_get(w->s->who.job, w->room.room, w->s->who.caller->user, w->s->who.caller->user_id,
                   false, &counts));
    buf_printf(w->out, ",\"notification_count\":%lld,\"highlight_count\":%lld",
               (long long)counts.notify, (long long)counts.highlight);
    return NULL;
}

static void writing_add_lists(const struct room_writing *w)
{
    bool any = false;
    for (size_t i = 0; i < w->s->request->lists_n; i++) {
        if (!(w->r->lists[i / 64] >> i % 64 & 1))
            continue;
        buf_add_text(w->out, any ? "," : ",\"lists\":[");
        buf_add_json_string(w->out, str_of(w->s->request->lists[i].name));
        any = true;
    }
    if (any)
        buf_add_char(w->out, ']');
}

/* What all rooms have. */
static void writing_add_common(const struct room_writing *w)
{
    buf_printf(w->out, ",\"bump_stamp\":%lld", (long long)w->r->bump);
    if (w->is_initial)
        BUF_LIT(w->out, ",\"initial\":true");
    if (w->is_dm || (!w->is_initial && w->is_dm != w->r->sent->is_dm))
        buf_printf(w->out, ",\"is_dm\":%s", w->is_dm ? "true" : "false");
    if (!w->s->request->is_accepted)
        return;
    buf_printf(w->out, ",\"membership\":\"%s\"", membership_text(w->r->at.membership));
    writing_add_lists(w);
}

/* ---- kinds of rooms ---- */

/* Whether the user's own receipts may have changed the counts, without any event. */
static bool writing_was_read(const struct room_writing *w)
{
    struct feed *feed = w->s->who.job->storage->feed;
    int64_t user = w->s->who.caller->user;
    const struct change *changes;
    size_t n;
    bool more, read = false;
    if (w->s->request->is_accepted || w->room.section != SYNC_JOIN || !w->r->is_changed)
        return false;
    if (!w->range.from_feed)
        return true;
    if (feed_user_position(feed, user) <= w->range.since)
        return false;
    feed_read_user(feed, w->s->who.job->arena, user, w->range.since, w->range.until,
                   1u << CHANGE_RECEIPT, OWN_RECEIPTS_MAX, &changes, &n, &more);
    for (size_t i = 0; i < n && !read; i++)
        read = changes[i].room == w->r->at.room;
    return read || more;
}

static const struct err *writing_add_full(struct room_writing *w, bool *ret_any)
{
    TRY(writing_read_timeline(w));
    TRY(writing_add_required_state(w));
    *ret_any = w->is_initial || w->line.shown_n || w->line.limited || w->state_any ||
               w->has_name_event || w->has_avatar_event || w->is_dm != w->r->sent->is_dm ||
               writing_was_read(w);
    if (!*ret_any)
        return NULL;
    TRY(writing_add_timeline(w));
    w->r->line_start = w->line.shown_n ? w->line.shown[0]->position : 0;
    return writing_add_summary(w);
}

static const struct err *writing_add_stripped(struct room_writing *w)
{
    struct str stripped;
    TRY(sync_room_stripped(&w->s->who, &w->room, &stripped));
    buf_add_text(w->out, w->s->request->is_accepted ? "\"stripped_state\":" : "\"invite_state\":");
    buf_add_str(w->out, stripped.p ? stripped : STR("[]"));
    return NULL;
}

/* A room that the user has left by themselves is forgotten once the client knows; where
 * they were put out of, it stays in the lists. */
static const struct err *writing_has_ended(const struct room_writing *w, bool *ret)
{
    int64_t sender = 0;
    enum membership m = w->r->at.membership;
    if (m == MEMBERSHIP_LEAVE || m == MEMBERSHIP_BAN)
        TRY(outlines_senders(job_tx(w->s->who.job), &w->r->at.event, 1, &sender));
    *ret = sender == w->s->who.caller->user;
    return NULL;
}

static void writing_forget(const struct room_writing *w)
{
    struct sliding_orders *orders = w->s->orders;
    if (w->r->sent)
        sliding_draft_remove(&w->s->draft, w->r->at.room);
    for (size_t i = 0; i < orders->n; i++) {
        size_t at = sliding_order_find(&orders->lists[i], w->r->at.room);
        if (at < orders->lists[i].n) {
            sliding_order_remove(&orders->lists[i], at);
            orders->is_settled = false; /* others move up */
        }
    }
}

/* The client has all of the room now. */
static const struct err *writing_note_sent(struct room_writing *w)
{
    const struct sliding_sent *was = w->r->sent;
    bool has_ended;
    TRY(writing_has_ended(w, &has_ended));
    if (has_ended) {
        writing_forget(w);
        return NULL;
    }
    struct sliding_sent now = {.room = w->r->at.room,
                               .config = sliding_draft_config(&w->s->draft, w->code),
                               .timeline_limit = (uint16_t)w->r->timeline_limit,
                               .is_dm = w->is_dm};
    if (was && was->timeline_limit > now.timeline_limit)
        now.timeline_limit = was->timeline_limit;
    if (!was || was->until || was->config != now.config || was->is_dm != now.is_dm ||
        was->timeline_limit != now.timeline_limit)
        sliding_draft_put(&w->s->draft, &now);
    return NULL;
}

static const struct err *writing_find_direct(struct room_writing *w)
{
    const struct map *direct;
    w->is_dm = !w->is_initial && w->r->sent->is_dm;
    if (!w->is_initial && !w->s->direct_changed)
        return NULL;
    TRY(sliding_direct(w->s, &direct));
    w->is_dm = map_get(direct, str_of(w->room.room->room_id));
    return NULL;
}

/* Nothing of the room, or of what is asked for, is different from before. */
static bool writing_is_up_to_date(const struct room_writing *w)
{
    const struct sliding_room *r = w->r;
    return r->sent && !r->sent->until && !r->is_changed && !w->has_grown && !w->s->direct_changed &&
           r->timeline_limit <= r->sent->timeline_limit;
}

static const struct err *writing_init(struct sliding_sync *s, struct sliding_room *r,
                                      struct buf *out, struct room_writing *w)
{
    struct feed *feed = s->who.job->storage->feed;
    *w = (struct room_writing){.s = s, .r = r, .out = out, .is_initial = !r->since};
    w->code = required_code(s->draft.arena, &r->required);
    w->range = s->range;
    w->range.since = r->since;
    w->range.is_initial = w->is_initial;
    w->range.from_feed =
        !w->is_initial && s->rq->pool != POOL_INITIAL && feed_covers(feed, r->since);
    w->room = (struct sync_room){.at = r->at};
    if (!r->sent)
        return NULL;
    struct str before = s->base->configs[r->sent->config];
    w->has_grown = !str_eq(before, w->code);
    if (w->has_grown && !required_decode(s->who.job->arena, before, r->required.me, &w->before))
        return err_internal("a connection has required state that cannot be read");
    return NULL;
}

const struct err *sliding_write_room(struct sliding_sync *s, struct sliding_room *r,
                                     struct buf *out, bool *ret_any)
{
    struct room_writing w;
    *ret_any = false;
    TRY(writing_init(s, r, out, &w));
    if (writing_is_up_to_date(&w))
        return NULL;
    TRY(room_get_by_id(s->who.job, r->at.room, &w.room.room));
    if (!w.room.room)
        return NULL;
    TRY(sync_room_plan(&s->who, &w.range, false, true, &w.room));
    TRY(writing_find_direct(&w));
    buf_add_json_string(out, str_of(w.room.room->room_id));
    BUF_LIT(out, ":{");
    if (w.room.section == SYNC_JOIN || w.room.section == SYNC_LEAVE) {
        TRY(writing_add_full(&w, ret_any));
    } else if (w.room.section != SYNC_OMITTED) {
        TRY(writing_add_stripped(&w));
        *ret_any = true;
    }
    if (*ret_any)
        writing_add_common(&w);
    buf_add_char(out, '}');
    r->is_written = *ret_any;
    return w.room.section == SYNC_OMITTED && w.is_initial ? NULL : writing_note_sent(&w);
}
