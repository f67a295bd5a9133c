/* Events of every room version for the tests of matrix/event*.c. */
#ifndef TESTS_UNIT_EVENT_FIXTURE_H
#define TESTS_UNIT_EVENT_FIXTURE_H

#include "check.h"
#include "matrix/event_internal.h"

/* The key of the spec's test vectors, and an id of every form. */
#define SPEC_KEY "ed25519 1 YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA1"
#define SPEC_PUBLIC_KEY "XGX0JRS2Af3be3knz2fBiRbApjm2Dh61gXDJA8kcJNI"
#define NAMED_ID "$abc:domain"
#define HASH_ID "$Rqnc1F2dvnEYJTyHq3iKxU2bZ1CI922kuZq3a5lr5Zg"
#define ROOM "!room:domain"
#define HASH_ROOM "!Nhcu5BS1UMnFX7hBVfVSoXiD7OgH6iRT1xyIuqDnpYQ"

static inline struct signing_key spec_key(void)
{
    struct signing_key k;
    check_error("the key of the spec", signing_key_parse(STR(SPEC_KEY), &k), NULL);
    return k;
}

static inline const char *some_id(const struct room_version *v)
{
    return v->event_id == EVENT_ID_GIVEN ? NAMED_ID : HASH_ID;
}

static inline const char *some_room(const struct room_version *v)
{
    return v->room_id_is_create_hash ? HASH_ROOM : ROOM;
}

static inline struct event *build_ok(const struct room_version *v, const struct event_template *t)
{
    struct signing_key k = spec_key();
    struct event *e = NULL;
    check_error(v->id, event_build(v, t, "domain", &k, &e), NULL);
    return e;
}

/* A message, or with a state key a state event; content has single quotes. */
static inline const struct event *build(struct arena *a, const struct room_version *v,
                                        const char *type, const char *state_key,
                                        const char *content)
{
    const char **ids = arena_alloc_array(a, 1, sizeof *ids);
    ids[0] = some_id(v);
    struct event_template t = {
        .room_id = some_room(v),
        .type = type,
        .sender = "@alice:domain",
        .state_key = state_key,
        .content = str_of(quoted(a, content)),
        .origin_server_ts = 1700000000000,
        .depth = 12,
        .prev_events = ids,
        .prev_n = 1,
        .auth_events = ids,
        .auth_n = 1,
    };
    return event_keep(a, build_ok(v, &t));
}

#endif
