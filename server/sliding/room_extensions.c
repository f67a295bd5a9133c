#include "server/sliding/extensions.h"
#include "users/users.h"

#include "matrix/json_scan.h"
#include "server/sync/sync.h"
#include "storage/db/intern.h"
#include "users/receipts.h"
#include "users/typing.h"

/* ---- which rooms (MSC4508) ---- */

static bool extension_names(const struct filter_list *list, const char *name)
{
    for (size_t i = 0; i < list->n; i++)
        if (strcmp(list->items[i], name) == 0 || strcmp(list->items[i], "*") == 0)
            return true;
    return !list->present;
}

static bool extension_covers(const struct sliding_sync *s, const struct sliding_extension *x,
                             const struct sliding_room *r, const char *room_id)
{
    if (r->is_subscribed && extension_names(&x->rooms, room_id))
        return true;
    for (size_t i = 0; i < s->request->lists_n; i++)
        if (r->lists[i / 64] >> i % 64 & 1 && extension_names(&x->lists, s->request->lists[i].name))
            return true;
    return false;
}

/* Writes what one room has of the extension, as a value; nothing if that is nothing. */
typedef const struct err *extension_room_writer(struct sliding_sync *s,
                                                const struct sliding_room *r, struct buf *out);

static bool extension_may_have(const struct sliding_room *r)
{
    return !r->sent || r->sent->until || r->is_changed;
}

/* `"rooms":{…}`; nothing if no room has anything. */
static const struct err *extension_add_rooms(struct sliding_sync *s,
                                             const struct sliding_extension *x,
                                             extension_room_writer *write, struct buf *out)
{
    size_t start = out->n;
    bool any = false;
    buf_add_json_comma(out);
    BUF_LIT(out, "\"rooms\":{");
    for (size_t i = 0; i < s->rooms_n; i++) {
        const struct sliding_room *r = &s->rooms[i];
        const char *room_id;
        size_t before = out->n;
        if (!extension_may_have(r))
            continue;
        TRY(intern_name(s->who.job->storage->intern, INTERN_ROOM, r->at.room, &room_id));
        if (!extension_covers(s, x, r, room_id))
            continue;
        buf_add_json_comma(out);
        buf_add_json_string(out, str_of(room_id));
        buf_add_char(out, ':');
        size_t empty = out->n;
        TRY(write(s, r, out));
        if (out->n == empty)
            buf_truncate(out, before);
        any |= out->n > empty;
    }
    buf_add_char(out, '}');
    if (!any)
        buf_truncate(out, start);
    s->any |= any;
    return NULL;
}

/* The extension with what `write` finds in rooms; nothing if that is nothing. */
static const struct err *extension_write_of_rooms(struct sliding_sync *s, const char *name,
                                                  const struct sliding_extension *x,
                                                  extension_room_writer *write, struct buf *out)
{
    size_t start = out->n;
    extension_begin(out, name);
    size_t empty = out->n;
    TRY(extension_add_rooms(s, x, write, out));
    bool any = out->n > empty;
    buf_add_char(out, '}');
    if (!any)
        buf_truncate(out, start);
    return NULL;
}

/* ---- account data (MSC3959) ---- */

static bool extension_is_push_rules(const struct account_data *d)
{
    return !d->room && strcmp(d->type, "m.push_rules") == 0;
}

/* `"global":[…]`; nothing if nothing has changed. */
static const struct err *extension_add_global(struct sliding_sync *s, struct buf *out)
{
    size_t start = out->n;
    bool any = false;
    BUF_LIT(out, "\"global\":[");
    for (size_t i = 0; i < s->account.n; i++) {
        const struct account_data *d = &s->account.list[i];
        if (!d->room && !extension_is_push_rules(d))
            sync_add_account_event(d->type, d->content, &any, out);
    }
    if (s->account.push_rules)
        TRY(sync_add_push_rules(&s->who, &any, out));
    buf_add_char(out, ']');
    if (!any)
        buf_truncate(out, start);
    s->any |= any;
    return NULL;
}

/* Beside what has changed in the range: what rooms have of which the client does not have all. */
static const struct err *extension_read_account_data(struct sliding_sync *s)
{
    struct job *job = s->who.job;
    const struct account_data *more;
    size_t n = 0, more_n;
    int64_t *rooms = arena_alloc_array(job->arena, s->rooms_n + 1, sizeof *rooms);
    if (s->range.is_initial) {
        rooms[n++] = 0;
        s->account.push_rules = true;
    }
    for (size_t i = 0; i < s->rooms_n; i++)
        if (s->rooms[i].since < s->range.since || !s->rooms[i].since)
            rooms[n++] = s->rooms[i].at.room;
    if (!n)
        return NULL;
    TRY(account_data_of_rooms(job_tx(job), s->who.caller->user, rooms, n, s->range.until, &more,
                              &more_n));
    struct account_data *all =
        arena_alloc_array(job->arena, s->account.n + more_n + 1, sizeof *all);
    n = 0;
    for (size_t i = 0; i < more_n; i++)
        if (more[i].position <= s->range.since || s->range.is_initial)
            all[n++] = more[i];
    if (s->account.n)
        memcpy(all + n, s->account.list, s->account.n * sizeof *all);
    s->account.list = all;
    s->account.n += n;
    return NULL;
}

static const struct err *extension_write_room_account_data(struct sliding_sync *s,
                                                           const struct sliding_room *r,
                                                           struct buf *out)
{
    size_t start = out->n;
    bool any = false;
    buf_add_char(out, '[');
    for (size_t i = 0; i < s->account.n; i++) {
        const struct account_data *d = &s->account.list[i];
        if (d->room == r->at.room && d->position > r->since)
            sync_add_account_event(d->type, d->content, &any, out);
    }
    buf_add_char(out, ']');
    if (!any)
        buf_truncate(out, start);
    return NULL;
}

const struct err *extension_write_account_data(struct sliding_sync *s, struct buf *out)
{
    size_t start = out->n;
    TRY(extension_read_account_data(s));
    extension_begin(out, "account_data");
    size_t empty = out->n;
    TRY(extension_add_global(s, out));
    TRY(extension_add_rooms(s, &s->request->account_data, extension_write_room_account_data, out));
    bool any = out->n > empty;
    buf_add_char(out, '}');
    if (!any)
        buf_truncate(out, start);
    return NULL;
}

/* ---- receipts (MSC3960) ---- */

/* Of a room that the client did not have: the user's own, and those of events in the timeline. */
static const struct err *extension_read_receipts(struct sliding_sync *s,
                                                 const struct sliding_room *r, struct receipt **ret,
                                                 size_t *ret_n)
{
    int64_t user = s->who.caller->user;
    if (r->since)
        return receipts_read(s->who.job, r->at.room, user, r->since, s->range.until, s->who.ignored,
                             ret, ret_n);
    return receipts_read_of_events(s->who.job, r->at.room, user,
                                   r->line_start ? r->line_start : INT64_MAX, s->range.until,
                                   s->who.ignored, ret, ret_n);
}

static const struct err *
extension_write_room_receipts(struct sliding_sync *s, const struct sliding_room *r, struct buf *out)
{
    struct receipt *list;
    size_t n;
    if (r->at.membership != MEMBERSHIP_JOIN)
        return NULL;
    TRY(extension_read_receipts(s, r, &list, &n));
    if (!n)
        return NULL;
    buf_auto struct buf events = {0};
    struct json_member first;
    size_t at = 0;
    buf_add_char(&events, '[');
    receipts_add_events(list, n, NULL, &events);
    buf_add_char(&events, ']');
    if (json_scan_next(buf_str(&events), &at, &first)) /* there is place for one event */
        buf_add_str(out, first.value);
    return NULL;
}

const struct err *extension_write_receipts(struct sliding_sync *s, struct buf *out)
{
    return extension_write_of_rooms(s, "receipts", &s->request->receipts,
                                    extension_write_room_receipts, out);
}

/* ---- typing (MSC4508) ---- */

static const struct err *extension_write_room_typing(struct sliding_sync *s,
                                                     const struct sliding_room *r, struct buf *out)
{
    struct typing *typing = s->who.job->users->typing;
    const struct typing_place seen = {s->range.since, s->range.typing_since};
    const struct typing_place until = {s->range.until, s->range.typing_until};
    bool enters = !r->sent || r->sent->until;
    const char *const *users;
    size_t n;
    if (r->at.membership != MEMBERSHIP_JOIN ||
        (!enters && !typing_has_changed(typing, r->at.room, &seen, &until)))
        return NULL;
    typing_list(typing, s->who.job->arena, r->at.room, s->who.ignored, &users, &n);
    if (n || r->sent)
        typing_add_event(users, n, NULL, out);
    return NULL;
}

const struct err *extension_write_typing(struct sliding_sync *s, struct buf *out)
{
    return extension_write_of_rooms(s, "typing", &s->request->typing, extension_write_room_typing,
                                    out);
}
