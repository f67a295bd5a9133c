/* The extensions of the whole account; room_extensions.c has those of rooms. */
#include "server/sliding/extensions.h"

#include "rooms/room_cache.h"
#include "server/sync/read/device.h"
#include "server/sync/sync.h"
#include "server/sync_token.h"

enum { MESSAGES_MAX = 100 };

/* ---- to-device messages (MSC3885) ---- */

/* They are acknowledged by a token of their own. It stays the same while nothing comes. */
static const struct err *extension_write_to_device(struct sliding_sync *s, struct buf *out)
{
    const struct sliding_extension *x = &s->request->to_device;
    struct sync_token token = {0};
    struct sync_to_device read;
    int limit = x->limit > 0 && x->limit < MESSAGES_MAX ? (int)x->limit : MESSAGES_MAX;
    if (x->since)
        TRY(sync_token_parse_since(s->who.job->storage, x->since, &token));
    struct sync_range range = s->range;
    range.since = token.position;
    TRY(sync_to_device_read(&s->who, limit, &range, &read));
    extension_begin(out, "to_device");
    BUF_LIT(out, "\"next_batch\":\"");
    sync_token_add(out, s->who.job->storage, !read.n && x->since ? range.since : range.until, 0);
    BUF_LIT(out, "\",");
    sync_add_messages(&read, out);
    buf_add_char(out, '}');
    s->any |= read.n > 0;
    return NULL;
}

/* ---- end-to-end encryption (MSC3884) ---- */

/* Whether a membership in one of the user's rooms may have changed in the range. */
static const struct err *extension_members_changed(struct sliding_sync *s, bool *ret)
{
    bool changed = false;
    for (size_t i = 0; i < s->changed_n && !changed; i++) {
        struct room *room;
        TRY(room_get_by_id(s->who.job, s->changed[i].room, &room));
        changed = room && !room_state_is_older(room, s->range.since);
    }
    *ret = changed;
    return NULL;
}

static const struct err *extension_write_e2ee(struct sliding_sync *s, struct buf *out)
{
    struct sync_device_lists lists;
    struct device_summary keys;
    bool members_changed;
    TRY(extension_members_changed(s, &members_changed));
    TRY(sync_device_lists_read(&s->who, &s->range, members_changed, &lists));
    TRY(sync_key_counts_read(&s->who, &keys));
    extension_begin(out, "e2ee");
    if (lists.changed_n || lists.left_n) {
        BUF_LIT(out, "\"device_lists\":{");
        sync_add_users(out, "changed", lists.changed, lists.changed_n);
        buf_add_char(out, ',');
        sync_add_users(out, "left", lists.left, lists.left_n);
        BUF_LIT(out, "},");
        s->any = true;
    }
    buf_printf(out, "\"device_one_time_keys_count\":%s,\"device_unused_fallback_key_types\":%s}",
               keys.one_time_key_counts, keys.unused_fallback_types);
    return NULL;
}

const struct err *sliding_write_extensions(struct sliding_sync *s, struct buf *out)
{
    const struct sliding_request *r = s->request;
    if (r->to_device.enabled)
        TRY(extension_write_to_device(s, out));
    if (r->e2ee.enabled)
        TRY(extension_write_e2ee(s, out));
    if (r->account_data.enabled)
        TRY(extension_write_account_data(s, out));
    if (r->receipts.enabled)
        TRY(extension_write_receipts(s, out));
    return r->typing.enabled ? extension_write_typing(s, out) : NULL;
}
