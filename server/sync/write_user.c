/* The parts of /sync for a user and a device, except rooms. */
#include "server/sync/read/device.h"
#include "server/sync/sync.h"
#include "users/presence.h"

enum { MESSAGES_MAX = 100 };

void sync_add_account_event(const char *type, struct str content, bool *any, struct buf *out)
{
    buf_add_text(out, *any ? ",{\"type\":" : "{\"type\":");
    buf_add_json_string(out, str_of(type));
    BUF_LIT(out, ",\"content\":");
    buf_add_str(out, content);
    buf_add_char(out, '}');
    *any = true;
}

const struct err *sync_add_push_rules(const struct sync_reader *who, bool *any, struct buf *out)
{
    const struct user_rules *rules;
    TRY(sync_account_push_rules(who, &rules));
    buf_auto struct buf content = {0};
    BUF_LIT(&content, "{\"global\":");
    buf_add_json(&content, rules->ruleset);
    buf_add_char(&content, '}');
    sync_add_account_event("m.push_rules", buf_str(&content), any, out);
    return NULL;
}

const struct err *sync_add_account_events(struct sync *s, struct buf *out)
{
    bool any = false;
    const struct account_data *d = NULL;
    while ((d = sync_account_next(&s->account, d, NULL, &s->filter.account_data)))
        sync_add_account_event(d->type, d->content, &any, out);
    if (s->account.push_rules &&
        filter_matches(&s->filter.account_data, &(struct filter_subject){.type = "m.push_rules"}))
        TRY(sync_add_push_rules(&s->who, &any, out));
    s->any |= any;
    return NULL;
}

const struct err *sync_write_account_data(struct sync *s, struct buf *out)
{
    BUF_LIT(out, ",\"account_data\":{\"events\":[");
    TRY(sync_add_account_events(s, out));
    BUF_LIT(out, "]}");
    return NULL;
}

void sync_add_messages(const struct sync_to_device *read, struct buf *out)
{
    BUF_LIT(out, "\"events\":[");
    for (size_t i = 0; i < read->n; i++) {
        if (i)
            buf_add_char(out, ',');
        buf_add_str(out, read->messages[i].json);
    }
    buf_add_char(out, ']');
}

const struct err *sync_write_to_device(struct sync *s, struct buf *out)
{
    struct sync_to_device read;
    TRY(sync_to_device_read(&s->who, MESSAGES_MAX, &s->range, &read));
    BUF_LIT(out, ",\"to_device\":{");
    sync_add_messages(&read, out);
    buf_add_char(out, '}');
    s->any |= read.n > 0;
    return NULL;
}

void sync_write_presence(struct sync *s, struct buf *out)
{
    const struct presence_row *rows;
    size_t n;
    presence_read(s->who.job, s->who.session, s->range.since, s->range.until, &s->filter.presence,
                  s->who.ignored, &rows, &n);
    BUF_LIT(out, ",\"presence\":{\"events\":[");
    presence_add_events(rows, n, out);
    BUF_LIT(out, "]}");
    s->any |= n > 0;
}

void sync_add_users(struct buf *out, const char *key, const char *const *users, size_t n)
{
    buf_printf(out, "\"%s\":[", key);
    for (size_t i = 0; i < n; i++) {
        if (i)
            buf_add_char(out, ',');
        buf_add_json_string(out, str_of(users[i]));
    }
    buf_add_char(out, ']');
}

const struct err *sync_write_device_lists(struct sync *s, struct buf *out)
{
    struct sync_device_lists lists;
    TRY(sync_device_lists_read(&s->who, &s->range, s->members_changed, &lists));
    if (!lists.changed_n && !lists.left_n)
        return NULL;
    BUF_LIT(out, ",\"device_lists\":{");
    if (lists.changed_n)
        sync_add_users(out, "changed", lists.changed, lists.changed_n);
    if (lists.changed_n && lists.left_n)
        buf_add_char(out, ',');
    if (lists.left_n)
        sync_add_users(out, "left", lists.left, lists.left_n);
    buf_add_char(out, '}');
    s->any = true;
    return NULL;
}

const struct err *sync_write_key_counts(struct sync *s, struct buf *out)
{
    struct device_summary summary;
    TRY(sync_key_counts_read(&s->who, &summary));
    buf_printf(out,
               ",\"device_one_time_keys_count\":%s,\"device_unused_fallback_key_types\":%s,"
               "\"org.matrix.msc2732.device_unused_fallback_key_types\":%s",
               summary.one_time_key_counts, summary.unused_fallback_types,
               summary.unused_fallback_types);
    return NULL;
}
