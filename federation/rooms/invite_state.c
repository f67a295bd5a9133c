#include "federation/rooms/invite_state.h"

#include "federation/in/pdu.h"
#include "matrix/id.h"
#include "rooms/state/stripped.h"

enum { ENTRIES_MAX = 50 };

/* ---- writing ---- */

static const struct err *invite_state_add_state(struct job *job, struct room *room,
                                                const char *type, const char *key, struct buf *b)
{
    const struct event *e;
    TRY(room_state(job, room, type, key, &e));
    if (!e)
        return NULL;
    buf_add_json_comma(b);
    buf_add_str(b, pdu_bytes(e));
    return NULL;
}

const struct err *invite_state_write(struct job *job, struct room *room, const char *user_id,
                                     struct str *ret)
{
    buf_auto struct buf b = {0};
    buf_add_char(&b, '[');
    for (const char *const *type = stripped_types; *type; type++)
        TRY(invite_state_add_state(job, room, *type, "", &b));
    if (user_id)
        TRY(invite_state_add_state(job, room, "m.room.member", user_id, &b));
    buf_add_char(&b, ']');
    *ret = (struct str){arena_memdup(job->arena, b.p, b.n), b.n};
    return NULL;
}

/* ---- reading ---- */

static bool is_pdu(const json_t *entry)
{
    return json_is_array(json_object_get(entry, "auth_events")) &&
           json_is_object(json_object_get(entry, "signatures"));
}

static bool invite_state_is_create(const char *type, const char *state_key)
{
    return strcmp(type, "m.room.create") == 0 && !*state_key;
}

/* The members that clients may rely on in a stripped event. */
static bool is_stripped(const json_t *entry)
{
    const char *sender = json_text(entry, "sender");
    return json_text(entry, "type") && json_text(entry, "state_key") && sender &&
           id_is_user(str_of(sender)) && json_is_object(json_object_get(entry, "content"));
}

struct reading {
    const json_t *list;
    struct pdu *pdus; /* one for each entry; without bytes if it is not a PDU */
    size_t n;
    bool has_create, proves_version;
};

static const struct err *check_pdus(struct job *job, const struct event *member, struct reading *r)
{
    struct pdu *pdus = arena_alloc_array(job->arena, r->n + 1, sizeof *pdus);
    size_t *places = arena_alloc_array(job->arena, r->n + 1, sizeof *places), n = 0;
    r->pdus = arena_alloc_array(job->arena, r->n + 1, sizeof *r->pdus);
    for (size_t i = 0; i < r->n; i++) {
        const json_t *entry = json_array_get(r->list, i);
        if (!is_pdu(entry))
            continue;
        pdus[n].raw = str_of(json_write(job->arena, entry));
        places[n++] = i;
    }
    TRY(pdu_read(job, member->version, member->room_id, pdus, n));
    for (size_t i = 0; i < n; i++)
        r->pdus[places[i]] = pdus[i];
    return NULL;
}

/* Only the server in the room id may create that room; in version 12 the id is the event's hash. */
static bool is_version_proof(const struct event *create)
{
    const char *version = json_text(event_content(create), "room_version");
    return strcmp(version ? version : "1", create->version->id) == 0 &&
           (create->version->room_id_is_create_hash ||
            str_eq(id_server(str_of(create->room_id)), id_server(str_of(create->sender))));
}

static void add_entry(struct reading *r, size_t i, struct buf *b)
{
    const json_t *entry = json_array_get(r->list, i);
    const struct event *e = r->pdus[i].event;
    if (e && e->state_key) {
        event_add_stripped(b, e);
        r->has_create |= invite_state_is_create(e->type, e->state_key);
        r->proves_version |= invite_state_is_create(e->type, e->state_key) && is_version_proof(e);
    } else if (!r->pdus[i].raw.p && is_stripped(entry)) {
        json_auto_t *o =
            json_pack("{s:O, s:O, s:O, s:O}", "content", json_object_get(entry, "content"),
                      "sender", json_object_get(entry, "sender"), "state_key",
                      json_object_get(entry, "state_key"), "type", json_object_get(entry, "type"));
        json_t *ts = json_object_get(entry, "origin_server_ts");
        if (json_is_integer(ts))
            json_object_set(o, "origin_server_ts", ts);
        buf_add_json(b, o);
    } else {
        return;
    }
    buf_add_char(b, ',');
}

static const struct err *check_all(const struct reading *r)
{
    for (size_t i = 0; i < r->n; i++)
        if (!r->pdus[i].event || !r->pdus[i].event->state_key)
            return err(ERR_INVALID_PARAM,
                       "Entry %zu of invite_room_state is not a valid state event of the room: %s",
                       i, r->pdus[i].raw.p ? r->pdus[i].refused.text : "it is not a PDU");
    return r->has_create ? NULL
                         : err(ERR_INVALID_PARAM, "The create event is not in invite_room_state");
}

const struct err *invite_state_read(struct job *job, const struct event *member, const json_t *list,
                                    bool is_strict, struct str *ret, bool *ret_proves_version)
{
    struct reading r = {.list = list, .n = json_array_size(list)};
    if (is_strict && !json_is_array(list))
        return err(ERR_MISSING_PARAM, "\"invite_room_state\" is missing");
    if (r.n > ENTRIES_MAX)
        return err(ERR_INVALID_PARAM, "The room's state has more than %d entries", ENTRIES_MAX);
    TRY(check_pdus(job, member, &r));
    buf_auto struct buf b = {0};
    buf_add_char(&b, '[');
    for (size_t i = 0; i < r.n; i++)
        add_entry(&r, i, &b);
    event_add_stripped(&b, member);
    buf_add_char(&b, ']');
    if (is_strict)
        TRY(check_all(&r));
    *ret_proves_version = r.proves_version;
    *ret = (struct str){arena_memdup(job->arena, b.p, b.n), b.n};
    return NULL;
}
