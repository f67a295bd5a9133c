#include "matrix/redact.h"

#include "matrix/json_scan.h"

#include <stddef.h>

/* The room versions of a row: those with, or without, a flag of struct room_version, given by its
 * offset. */
enum when { FOR_ALL, IF_SET, UNLESS_SET };
#define ALWAYS FOR_ALL, 0
#define IF(field) IF_SET, offsetof(struct room_version, field)
#define UNLESS(field) UNLESS_SET, offsetof(struct room_version, field)

static bool redact_applies(enum when when, size_t flag, const struct room_version *v)
{
    return when == FOR_ALL || *((const bool *)((const char *)v + flag)) == (when == IF_SET);
}

static const struct {
    const char *key;
    enum when when;
    size_t flag;
} kept_members[] = {
    {"event_id", ALWAYS},
    {"type", ALWAYS},
    {"room_id", ALWAYS},
    {"sender", ALWAYS},
    {"state_key", ALWAYS},
    {"content", ALWAYS},
    {"hashes", ALWAYS},
    {"signatures", ALWAYS},
    {"depth", ALWAYS},
    {"prev_events", ALWAYS},
    {"auth_events", ALWAYS},
    {"origin_server_ts", ALWAYS},
    {"prev_state", UNLESS(redact_v11)},
    {"origin", UNLESS(redact_v11)},
    {"membership", UNLESS(redact_v11)},
};

#define ANY_KEY NULL
static const struct kept {
    const char *type, *key;
    enum when when;
    size_t flag;
    const char *inner; /* only this member of an object */
} kept_content[] = {
    {"m.room.member", "membership", ALWAYS, NULL},
    {"m.room.member", "join_authorised_via_users_server", IF(redact_keeps_authorised_via), NULL},
    {"m.room.member", "third_party_invite", IF(redact_v11), "signed"},
    {"m.room.create", "creator", ALWAYS, NULL},
    {"m.room.create", ANY_KEY, IF(redact_v11), NULL},
    {"m.room.join_rules", "join_rule", ALWAYS, NULL},
    {"m.room.join_rules", "allow", IF(redact_keeps_allow), NULL},
    {"m.room.power_levels", "ban", ALWAYS, NULL},
    {"m.room.power_levels", "events", ALWAYS, NULL},
    {"m.room.power_levels", "events_default", ALWAYS, NULL},
    {"m.room.power_levels", "invite", IF(redact_v11), NULL},
    {"m.room.power_levels", "kick", ALWAYS, NULL},
    {"m.room.power_levels", "redact", ALWAYS, NULL},
    {"m.room.power_levels", "state_default", ALWAYS, NULL},
    {"m.room.power_levels", "users", ALWAYS, NULL},
    {"m.room.power_levels", "users_default", ALWAYS, NULL},
    {"m.room.aliases", "aliases", IF(aliases_special), NULL},
    {"m.room.history_visibility", "history_visibility", ALWAYS, NULL},
    {"m.room.redaction", "redacts", IF(redacts_in_content), NULL},
};
enum {
    KEPT_MEMBERS = sizeof kept_members / sizeof kept_members[0],
    KEPT_CONTENT = sizeof kept_content / sizeof kept_content[0]
};

static bool keeps_member(const struct room_version *v, struct str key)
{
    for (size_t i = 0; i < KEPT_MEMBERS; i++)
        if (str_is(key, kept_members[i].key))
            return redact_applies(kept_members[i].when, kept_members[i].flag, v);
    return false;
}

/* The first row of a type, whose rows are consecutive; NULL when there are none. */
static const struct kept *rows_of_type(struct str type)
{
    for (size_t i = 0; i < KEPT_CONTENT; i++)
        if (str_is(type, kept_content[i].type))
            return &kept_content[i];
    return NULL;
}

static const struct kept *find_row(const struct room_version *v, const struct kept *first,
                                   struct str key)
{
    for (const struct kept *r = first;
         r < kept_content + KEPT_CONTENT && strcmp(r->type, first->type) == 0; r++)
        if ((r->key == ANY_KEY || str_is(key, r->key)) && redact_applies(r->when, r->flag, v))
            return r;
    return NULL;
}

static void redact_add_member(struct buf *b, size_t start, struct json_member m)
{
    if (b->n > start)
        buf_add_char(b, ',');
    buf_add_char(b, '"');
    buf_add_str(b, m.key);
    BUF_LIT(b, "\":");
    buf_add_str(b, m.value);
}

static void add_inner(struct buf *b, size_t start, const struct kept *row, struct json_member m)
{
    struct str inner = json_scan_get(m.value, row->inner);
    if (m.value.p[0] != '{')
        return;
    redact_add_member(b, start, (struct json_member){m.key, STR("{")});
    if (inner.p)
        redact_add_member(b, b->n, (struct json_member){str_of(row->inner), inner});
    buf_add_char(b, '}');
}

void redact_add_content(struct buf *b, const struct room_version *v, struct str type,
                        struct str content)
{
    buf_add_char(b, '{');
    const struct kept *first = content.n && content.p[0] == '{' ? rows_of_type(type) : NULL;
    struct json_member m;
    size_t start = b->n;
    for (size_t pos = 0; first && json_scan_next(content, &pos, &m);) {
        const struct kept *row = find_row(v, first, m.key);
        if (row && row->inner)
            add_inner(b, start, row, m);
        else if (row)
            redact_add_member(b, start, m);
    }
    buf_add_char(b, '}');
}

void redact_add(struct buf *b, const struct room_version *v, struct str event, bool for_signing)
{
    struct str type = json_scan_get(event, "type");
    type = type.n > 2 ? (struct str){type.p + 1, type.n - 2} : (struct str){0};
    buf_add_char(b, '{');
    struct json_member m;
    size_t start = b->n;
    for (size_t pos = 0; json_scan_next(event, &pos, &m);) {
        if (!keeps_member(v, m.key) || (for_signing && str_is(m.key, "signatures")))
            continue;
        if (!str_is(m.key, "content")) {
            redact_add_member(b, start, m);
            continue;
        }
        redact_add_member(b, start, (struct json_member){m.key, {0}});
        redact_add_content(b, v, type, m.value);
    }
    buf_add_char(b, '}');
}
