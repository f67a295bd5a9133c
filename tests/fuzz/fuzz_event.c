/* Events: the first byte picks the room version and whether the rest is a PDU to parse or the
 * content of an event to build. An accepted event must be readable again in every way. */
#include "fuzz.h"
#include "matrix/event.h"
#include "matrix/json_scan.h"

static const struct signing_key *signing_key(void)
{
    static struct signing_key k;
    if (!k.id[0])
        HOLDS(!signing_key_parse(STR("ed25519 1 YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA1"), &k));
    return &k;
}

static void same(struct event *e, const struct event *as)
{
    HOLDS(strcmp(e->event_id, as->event_id) == 0);
    HOLDS(strcmp(e->room_id, as->room_id) == 0);
    HOLDS(str_eq(e->json, as->json));
    HOLDS(str_eq(e->content, as->content));
    HOLDS(e->prev_n == as->prev_n && e->auth_n == as->auth_n);
    event_unref(e);
}

static void check_formats(const struct event *e)
{
    buf_auto struct buf b = {0};
    event_add_client_format(&b, e, true);
    buf_add_char(&b, '}');
    HOLDS(!json_scan_check(buf_str(&b)));
    buf_clear(&b);
    event_add_stripped(&b, e);
    HOLDS(!json_scan_check(buf_str(&b)));
    HOLDS(json_is_object(event_content(e)));
}

static void check_id_bytes(const struct event *e)
{
    arena_auto struct arena *a = arena_create();
    struct str bytes = event_id_to_bytes(a, e->version, e->event_id);
    HOLDS(bytes.p && strcmp(event_id_from_bytes(a, e->version, bytes), e->event_id) == 0);
}

static void check_event(const struct event *e)
{
    struct event *other;
    HOLDS(e->json.n <= EVENT_SIZE_MAX && e->prev_n <= EVENT_PREV_MAX &&
          e->auth_n <= EVENT_AUTH_MAX);
    HOLDS(e->depth >= 0 && strlen(e->type) <= EVENT_KEY_MAX);
    HOLDS(!event_parse(e->version, e->json, &other));
    same(other, e);
    HOLDS(!event_parse_stored(e->version, e->event_id, e->json, &other));
    same(other, e);

    /* The redacted copy is the same event. */
    struct event *redacted = event_redacted(e);
    HOLDS(!event_parse(e->version, redacted->json, &other));
    same(other, redacted);
    HOLDS(strcmp(redacted->event_id, e->event_id) == 0);
    event_unref(redacted);
    check_formats(e);
    check_id_bytes(e);
}

static void check_parse(const struct room_version *v, struct str pdu)
{
    struct event *e;
    if (event_parse(v, pdu, &e))
        return;
    event_content_hash_ok(e);
    check_event(e);
    event_unref(e);
}

static void check_build(const struct room_version *v, bool state, struct str content)
{
    static const char *const ids[] = {"$Rqnc1F2dvnEYJTyHq3iKxU2bZ1CI922kuZq3a5lr5Zg"};
    struct event_template t = {
        .room_id = v->room_id_is_create_hash ? "!Rqnc1F2dvnEYJTyHq3iKxU2bZ1CI922kuZq3a5lr5Zg"
                                             : "!room:domain",
        .type = state ? "m.room.member" : "m.room.redaction",
        .sender = "@a:domain",
        .state_key = state ? "@a:domain" : NULL,
        .redacts = state ? NULL : ids[0],
        .content = content,
        .prev_events = ids,
        .auth_events = ids,
        .prev_n = 1,
        .auth_n = 1,
    };
    struct event *e;
    if (event_build(v, &t, "domain", signing_key(), &e))
        return;
    HOLDS(event_content_hash_ok(e));
    HOLDS(event_signature_ok(e, "domain", "ed25519:1",
                             STR("XGX0JRS2Af3be3knz2fBiRbApjm2Dh61gXDJA8kcJNI")));
    check_event(e);
    event_unref(e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size)
        return 0;
    const struct room_version *v = &room_versions[(data[0] & 15) % 12];
    struct str rest = fuzz_str(data + 1, size - 1);
    if (data[0] & 0x10)
        check_build(v, data[0] & 0x20, rest);
    else
        check_parse(v, rest);
    return 0;
}
