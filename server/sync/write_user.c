/* The parts of /sync for a user and a device, except rooms. */
#include "server/sync/sync.h"
#include "users/users.h"

#include "rooms/account_cache.h"
#include "storage/devices/key_changes.h"
#include "users/device_state.h"
#include "users/presence.h"

enum { MESSAGES_MAX = 100 };

static void write_account_event(struct buf *out, bool *any, const char *type, struct str content)
{
    buf_add_text(out, *any ? ",{\"type\":" : "{\"type\":");
    buf_add_json_string(out, str_of(type));
    BUF_LIT(out, ",\"content\":");
    buf_add_str(out, content);
    buf_add_char(out, '}');
    *any = true;
}

/* Only the difference from the predefined rules, which all users have, is stored. */
static const struct err *write_push_rules(struct sync *s, struct buf *out, bool *any)
{
    const struct user_rules *rules;
    if (!filter_matches(&s->filter.account_data, &(struct filter_subject){.type = "m.push_rules"}))
        return NULL;
    TRY(user_rules_get(s->job, s->caller->user, s->caller->user_id, &rules));
    buf_auto struct buf content = {0};
    BUF_LIT(&content, "{\"global\":");
    buf_add_json(&content, rules->ruleset);
    buf_add_char(&content, '}');
    write_account_event(out, any, "m.push_rules", buf_str(&content));
    return NULL;
}

const struct err *sync_add_account_events(struct sync *s, struct buf *out)
{
    bool any = false, push_rules = s->is_initial;
    for (size_t i = 0; i < s->account_data_n; i++) {
        const struct account_data *d = &s->account_data[i];
        bool is_rules = strcmp(d->type, "m.push_rules") == 0;
        push_rules |= is_rules && !d->room;
        if (!d->room && !is_rules &&
            filter_matches(&s->filter.account_data, &(struct filter_subject){.type = d->type}))
            write_account_event(out, &any, d->type, d->content);
    }
    if (push_rules)
        TRY(write_push_rules(s, out, &any));
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

static struct device_ref device_of(const struct sync *s)
{
    return (struct device_ref){s->caller->user, s->caller->device, s->caller->device_id};
}

const struct err *sync_write_to_device(struct sync *s, struct buf *out)
{
    struct device_ref device = device_of(s);
    const struct to_device_message *messages;
    size_t n;
    bool more;
    TRY(device_state_read_messages(s->job, &device, s->since, s->until, MESSAGES_MAX, &messages, &n,
                                   &more));
    /* Messages at or before the next token count as delivered: it must not be beyond waiting
     * messages. */
    if (more)
        s->until = messages[n - 1].position;
    BUF_LIT(out, ",\"to_device\":{\"events\":[");
    for (size_t i = 0; i < n; i++) {
        if (i)
            buf_add_char(out, ',');
        buf_add_str(out, messages[i].json);
    }
    BUF_LIT(out, "]}");
    s->any |= n > 0;
    return NULL;
}

const struct err *sync_write_presence(struct sync *s, struct buf *out)
{
    size_t n = 0;
    BUF_LIT(out, ",\"presence\":{\"events\":[");
    if (s->job->users->presence)
        TRY(presence_add_events(s->job, s->session, s->since, s->until, &s->filter.presence,
                                s->ignored, out, &n));
    BUF_LIT(out, "]}");
    s->any |= n > 0;
    return NULL;
}

static void write_users(struct buf *out, const char *key, const char *const *users, size_t n)
{
    if (!n)
        return;
    buf_printf(out, "\"%s\":[", key);
    for (size_t i = 0; i < n; i++) {
        if (i)
            buf_add_char(out, ',');
        buf_add_json_string(out, str_of(users[i]));
    }
    buf_add_char(out, ']');
}

/* Queries the database only when keys changed anywhere, or the user shares rooms with other users
 * than before. */
static bool members_may_have_changed(const struct sync *s)
{
    return s->members_changed || !s->from_feed;
}

static bool lists_may_have_changed(const struct sync *s)
{
    return members_may_have_changed(s) ||
           feed_kind_position(s->job->storage->feed, CHANGE_DEVICE_LIST) > s->since;
}

const struct err *sync_write_device_lists(struct sync *s, struct buf *out)
{
    if ((s->is_initial && !s->is_resync) || !lists_may_have_changed(s))
        return NULL;
    const char *const *changed, *const *left;
    size_t changed_n, left_n;
    TRY(key_changes_read(job_tx(s->job), s->caller->user, s->caller->user_id, s->since, s->until,
                         members_may_have_changed(s), &changed, &changed_n, &left, &left_n));
    if (!changed_n && !left_n)
        return NULL;
    BUF_LIT(out, ",\"device_lists\":{");
    write_users(out, "changed", changed, changed_n);
    if (changed_n && left_n)
        buf_add_char(out, ',');
    write_users(out, "left", left, left_n);
    buf_add_char(out, '}');
    s->any = true;
    return NULL;
}

const struct err *sync_write_key_counts(struct sync *s, struct buf *out)
{
    struct device_ref device = device_of(s);
    struct device_summary summary;
    TRY(device_state_get(s->job, &device, &summary));
    buf_printf(out,
               ",\"device_one_time_keys_count\":%s,\"device_unused_fallback_key_types\":%s,"
               "\"org.matrix.msc2732.device_unused_fallback_key_types\":%s",
               summary.one_time_key_counts, summary.unused_fallback_types,
               summary.unused_fallback_types);
    return NULL;
}
