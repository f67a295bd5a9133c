/* Events as PDUs (server-server-api, "PDUs"; rooms/vN, "Event format"): parsing, checking,
 * building, hashing, ids, and the client format.
 *
 * A struct event is immutable and reference-counted; every string in it lives as long as it does
 * and it may be read by several threads at once. The canonical bytes of the PDU are made once and
 * kept. */
#ifndef MATRIX_EVENT_H
#define MATRIX_EVENT_H

#include "base/json.h"
#include "matrix/membership.h"
#include "matrix/room_version.h"
#include "matrix/sign.h"

enum {
    EVENT_SIZE_MAX = 65536,
    EVENT_KEY_MAX = 255,
    EVENT_STATE_KEY_MAX = 4 * 255, /* in bytes, of received events: before version 11 the limit was
                                      255 characters in practice */
    EVENT_PREV_MAX = 20,
    EVENT_AUTH_MAX = 10
};

struct event {
    const struct room_version *version;
    const char *event_id; /* "$..." */
    const char *room_id;  /* "!..."; in v12 for the create event: derived from its id */
    const char *type, *sender;
    const char *state_key; /* NULL: not a state event */
    const char *redacts;   /* of m.room.redaction, from this version's place for it; NULL if none */
    int64_t origin_server_ts, depth;
    const char *const *prev_events; /* event ids */
    const char *const *auth_events;
    size_t prev_n, auth_n;
    struct str json;    /* the canonical PDU, signatures and hashes included */
    struct str content; /* range of json: the raw content object */
};

/* Sent by servers only to join forward extremities; clients never see it. */
#define EVENT_TYPE_DUMMY "org.matrix.dummy_event"
static inline bool event_is_dummy(const struct event *e)
{
    return !e->state_key && strcmp(e->type, EVENT_TYPE_DUMMY) == 0;
}

struct event *event_ref(const struct event *e);
/* Its memory, about, with its content as a tree (event_content). */
size_t event_bytes(const struct event *e);
void event_unref(const struct event *e); /* NULL-safe */
/* The arena drops the reference at its reset. Returns its argument. */
const struct event *event_keep(struct arena *a, struct event *e);

/* The content as a tree: parsed at the first call (thread-safe), owned by the event. */
const json_t *event_content(const struct event *e);
/* What a member event says; MEMBERSHIP_NONE without one that is known, or if e is NULL. Reads the
 * bytes: rooms have many member events, and a tree for each would stay in memory. */
enum membership event_membership(const struct event *e);
/* Its size in memory, with that tree if it exists or is likely to. */
size_t event_memory(const struct event *e);

/* Parses a PDU of a known room version; e->json is its canonical form without `unsigned`, which
 * every server on the way may have changed (callers read it from the original bytes). Checks the
 * format of that version (types of every member, lengths of type/state_key/sender/room_id/event_id,
 * numbers of prev and auth events, total size) and computes the event id; checks neither hash nor
 * signatures. M_BAD_JSON, M_TOO_LARGE. */
const struct err *event_parse(const struct room_version *v, struct str pdu, struct event **ret);

/* Parses bytes that were checked when they were stored; the id is known, so nothing is hashed.
 * Cheap: uses the scanner, not jansson. Malformed bytes give ERR_INTERNAL. */
const struct err *event_parse_stored(const struct room_version *v, const char *event_id,
                                     struct str pdu, struct event **ret);

/* The parts of a new event. Borrowed; content is the raw JSON of an object, in any formatting. */
struct event_template {
    const char *room_id; /* NULL for a v12 create event */
    const char *type, *sender, *state_key;
    const char *redacts; /* written to the version's place for it */
    struct str content;
    int64_t origin_server_ts, depth;
    const char *const *prev_events;
    const char *const *auth_events;
    size_t prev_n, auth_n;
    /* v1 and v2 need the hashes of referenced events; base64 SHA-256, same order. NULL: "". */
    const char *const *prev_hashes;
    const char *const *auth_hashes;
};

/* Builds, hashes and signs a local event: the hot path of sending. The canonical bytes are written
 * directly in key order from the canonical content; for ordinary messages no jansson tree is built.
 * M_TOO_LARGE over EVENT_SIZE_MAX or an over-long key, M_BAD_JSON for content that is not canonical
 * JSON by the strict rules, whatever the version. */
const struct err *event_build(const struct room_version *v, const struct event_template *t,
                              const char *origin, const struct signing_key *k, struct event **ret);

/* The reference hash that an event id is made from, and the content hash check. */
void event_reference_hash(const struct event *e, unsigned char ret[32]);
bool event_content_hash_ok(const struct event *e);

/* The bytes that servers sign: redacted, without signatures and unsigned, canonical; appended. */
void event_signed_bytes(const struct event *e, struct buf *ret);

/* Whether the event has a valid signature of that server by this key. */
bool event_signature_ok(const struct event *e, const char *who, const char *key_id,
                        struct str public_key_base64);

/* The redacted copy: for events that were redacted, or whose content hash is wrong. */
struct event *event_redacted(const struct event *e);

/* Adds one server's signature to an event (invites, restricted joins). */
const struct err *event_add_signature(const struct event *e, const char *who,
                                      const struct signing_key *k, struct event **ret);

/* The client format (client-server-api, "Room event format"), spliced from the stored bytes:
 * `{"content":…,"event_id":…,"origin_server_ts":…,"room_id":…,"sender":…,"state_key":…,"type":…`
 * WITHOUT the closing brace and without `unsigned`, so that the caller adds members for the
 * recipient and then `}`. with_room_id is false inside /sync. In v11+ `redacts` of redactions
 * appears both at the top level and in content; in older versions likewise (spec: clients read
 * both). */
void event_add_client_format(struct buf *b, const struct event *e, bool with_room_id);

/* The stripped form (content, sender, state_key, type; and origin_server_ts, as MSC4311 has it) for
 * invites and knocks, a whole object. */
void event_add_stripped(struct buf *b, const struct event *e);

/* Event ids as bytes for the database: 32 hash bytes for v3+ ids, the text for v1/v2 ids. The
 * version decides which text form comes back. An id of v3+ that is not a hash gives p == NULL: no
 * event has it. */
struct str event_id_to_bytes(struct arena *a, const struct room_version *v, const char *event_id);
char *event_id_from_bytes(struct arena *a, const struct room_version *v, struct str bytes);

#endif
