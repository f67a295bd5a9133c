/* Received PDUs: the first of the checks on receipt, "complies with the event format". */
#include "matrix/event_internal.h"
#include "matrix/id.h"
#include "matrix/json_scan.h"

#include <stddef.h>

enum kind { OBJECT, LIST, STRING, INTEGER };

static const struct {
    const char *name;
    size_t offset;
    enum kind kind;
    bool optional;
} format[] = {
    {"auth_events", offsetof(struct event_fields, auth_events), LIST, false},
    {"content", offsetof(struct event_fields, content), OBJECT, false},
    {"depth", offsetof(struct event_fields, depth), INTEGER, false},
    {"hashes", offsetof(struct event_fields, hashes), OBJECT, false},
    {"origin_server_ts", offsetof(struct event_fields, origin_server_ts), INTEGER, false},
    {"prev_events", offsetof(struct event_fields, prev_events), LIST, false},
    {"sender", offsetof(struct event_fields, sender), STRING, false},
    {"signatures", offsetof(struct event_fields, signatures), OBJECT, false},
    {"state_key", offsetof(struct event_fields, state_key), STRING, true},
    {"type", offsetof(struct event_fields, type), STRING, false},
    {"unsigned", offsetof(struct event_fields, unsigned_), OBJECT, true},
};

static bool is_kind(struct str raw, enum kind kind)
{
    int64_t ignored;
    switch (kind) {
    case OBJECT:
        return raw.p[0] == '{';
    case LIST:
        return raw.p[0] == '[';
    case STRING:
        return raw.p[0] == '"';
    case INTEGER:
        return json_scan_int(raw, &ignored);
    }
    return false;
}

static const struct err *bad_member(const char *name)
{
    return err(ERR_BAD_JSON, "The event's \"%s\" is missing or malformed", name);
}

static const struct err *check_format(const struct event_fields *f)
{
    for (size_t i = 0; i < sizeof format / sizeof format[0]; i++) {
        struct str raw = *(const struct str *)((const char *)f + format[i].offset);
        if (raw.p ? !is_kind(raw, format[i].kind) : !format[i].optional)
            return bad_member(format[i].name);
    }
    return NULL;
}

/* Which of these members the version has. */
static const struct err *check_versioned_format(const struct room_version *v,
                                                const struct event_fields *f)
{
    if (v->event_id == EVENT_ID_GIVEN && (!f->event_id.p || !is_kind(f->event_id, STRING)))
        return bad_member("event_id");
    if (!v->redacts_in_content && json_scan_string_is(f->type, "m.room.redaction") &&
        f->redacts.p && !is_kind(f->redacts, STRING))
        return bad_member("redacts");
    if (event_names_its_room(v, f))
        return f->room_id.p ? err(ERR_BAD_JSON, "The create event must not have a \"room_id\"")
                            : NULL;
    return f->room_id.p && is_kind(f->room_id, STRING) ? NULL : bad_member("room_id");
}

static const struct err *check_hashes(struct str hashes)
{
    struct str sha256 = json_scan_get(hashes, "sha256");
    return sha256.p && is_kind(sha256, STRING) ? NULL : bad_member("hashes");
}

/* Objects of strings, by server. */
static const struct err *event_parse_check_signatures(struct str signatures)
{
    struct json_member server, key;
    for (size_t pos = 0; json_scan_next(signatures, &pos, &server);) {
        if (!is_kind(server.value, OBJECT))
            return bad_member("signatures");
        for (size_t at = 0; json_scan_next(server.value, &at, &key);)
            if (!is_kind(key.value, STRING))
                return bad_member("signatures");
    }
    return NULL;
}

/* [event id, {"sha256": hash}] */
static bool is_pair(struct str raw)
{
    struct json_member m;
    size_t pos = 0;
    return is_kind(raw, LIST) && json_scan_next(raw, &pos, &m) && is_kind(m.value, STRING) &&
           json_scan_next(raw, &pos, &m) && is_kind(m.value, OBJECT) &&
           !json_scan_next(raw, &pos, &m);
}

static const struct err *check_list(const struct room_version *v, const char *name, struct str list,
                                    size_t max)
{
    struct json_member m;
    size_t n = 0;
    for (size_t pos = 0; json_scan_next(list, &pos, &m); n++)
        if (n == max ||
            !(v->event_id == EVENT_ID_GIVEN ? is_pair(m.value) : is_kind(m.value, STRING)))
            return bad_member(name);
    return NULL;
}

static const struct err *check_fields(const struct room_version *v, const struct event_fields *f)
{
    TRY(check_format(f));
    TRY(check_versioned_format(v, f));
    TRY(check_hashes(f->hashes));
    TRY(event_parse_check_signatures(f->signatures));
    TRY(check_list(v, "auth_events", f->auth_events, EVENT_AUTH_MAX));
    return check_list(v, "prev_events", f->prev_events, EVENT_PREV_MAX);
}

static const struct err *check_length(const char *name, const char *value)
{
    if (value && strlen(value) > EVENT_KEY_MAX)
        return err(ERR_TOO_LARGE, "The event's \"%s\" is longer than %d bytes", name,
                   EVENT_KEY_MAX);
    return NULL;
}

static size_t count_characters(const char *utf8)
{
    size_t n = 0;
    for (; *utf8; utf8++)
        n += ((unsigned char)*utf8 & 0xc0) != 0x80;
    return n;
}

/* Rooms of versions before 11 have keys of up to 255 characters. */
static const struct err *check_state_key(const struct event *e)
{
    if (!e->state_key || e->version->state_keys_in_bytes ||
        count_characters(e->state_key) > EVENT_KEY_MAX)
        return check_length("state_key", e->state_key);
    return NULL;
}

static const struct err *check_lengths(const struct event *e)
{
    TRY(check_length("type", e->type));
    TRY(check_state_key(e));
    TRY(check_length("sender", e->sender));
    TRY(check_length("room_id", e->room_id));
    return check_length("event_id", e->event_id);
}

/* An id with a server part, like all ids that are not hashes. */
static bool is_named_id(char sigil, const char *id)
{
    struct str localpart, server;
    return id_split(sigil, str_of(id), &localpart, &server) && server.n;
}

static const struct err *check_references(const struct event *e, const char *name,
                                          const char *const *ids, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (e->version->event_id == EVENT_ID_GIVEN
                ? ids[i][0] != '$' || strlen(ids[i]) > EVENT_KEY_MAX
                : !event_id_is_hash(e->version, '$', str_of(ids[i])))
            return bad_member(name);
    return NULL;
}

static const struct err *check_ids(const struct event *e)
{
    const struct room_version *v = e->version;
    if (!id_is_user(str_of(e->sender)))
        return bad_member("sender");
    if (v->room_id_is_create_hash ? !event_id_is_hash(v, '!', str_of(e->room_id))
                                  : !is_named_id('!', e->room_id))
        return bad_member("room_id");
    if (v->event_id == EVENT_ID_GIVEN && !is_named_id('$', e->event_id))
        return bad_member("event_id");
    TRY(check_references(e, "auth_events", e->auth_events, e->auth_n));
    return check_references(e, "prev_events", e->prev_events, e->prev_n);
}

/* Cuts `unsigned` out: every server on the way may have changed it. */
static void drop_unsigned(struct buf *pdu, struct event_fields *f)
{
    if (!f->unsigned_.p)
        return;
    size_t from = (size_t)(f->unsigned_.p - pdu->p) - strlen("\"unsigned\":");
    size_t to = (size_t)(f->unsigned_.p - pdu->p) + f->unsigned_.n;
    if (pdu->p[from - 1] == ',')
        from--;
    else if (pdu->p[to] == ',')
        to++;
    memmove(pdu->p + from, pdu->p + to, pdu->n - to);
    buf_truncate(pdu, pdu->n - (to - from));
    event_fields_find(buf_str(pdu), f);
}

const struct err *event_parse(const struct room_version *v, struct str pdu, struct event **ret)
{
    buf_auto struct buf b = {0};
    struct event_fields f;
    TRY(canonical_json_add(&b, v->canonical, pdu));
    if (b.p[0] != '{')
        return err(ERR_BAD_JSON, "An event must be an object");
    event_fields_find(buf_str(&b), &f);
    TRY(check_fields(v, &f));
    drop_unsigned(&b, &f);
    if (b.n > EVENT_SIZE_MAX)
        return err(ERR_TOO_LARGE, "An event is at most %d bytes", EVENT_SIZE_MAX);

    char id[EVENT_HASH_ID_LENGTH + 1];
    bool given = v->event_id == EVENT_ID_GIVEN;
    if (!given) {
        unsigned char hash[SHA256_BYTES];
        event_hash_reference(v, buf_str(&b), hash);
        event_id_from_hash(v, '$', hash, id);
    }
    struct event *e = event_create(v, given ? NULL : id, buf_str(&b), &f);
    if (!e)
        return err(ERR_BAD_JSON, "The event has NUL in a name");
    const struct err *wrong = check_lengths(e);
    if (!wrong)
        wrong = check_ids(e);
    if (!wrong && e->depth < 0)
        wrong = bad_member("depth");
    if (wrong)
        event_unref(e);
    else
        *ret = e;
    return wrong;
}
