/* The differences between room versions (1 to 12), as one table. All code in matrix/ that depends
 * on the version reads this struct, never the number. */
#ifndef MATRIX_ROOM_VERSION_H
#define MATRIX_ROOM_VERSION_H

#include "matrix/canonical_json.h"

enum event_id_format { EVENT_ID_GIVEN, EVENT_ID_HASH_STANDARD, EVENT_ID_HASH_URL };
enum state_res_algorithm { STATE_RES_V1, STATE_RES_V2, STATE_RES_V2_1 };

struct room_version {
    const char *id; /* "1" .. "12" */
    int number;
    enum event_id_format event_id;      /* v1-2 given, v3 standard base64, v4+ URL-safe */
    enum state_res_algorithm state_res; /* v1; v2 from 2; v2.1 from 12 */
    enum canonical_mode canonical;      /* strict from 6 */
    bool enforce_key_validity;          /* 5+ */
    bool aliases_special;               /* v1-5: m.room.aliases in auth and redaction */
    bool notifications_in_power_levels; /* 6+: rule on the notifications property */
    bool knock;                         /* 7+ */
    bool restricted;                    /* 8+ */
    bool knock_restricted;              /* 10+ */
    bool integer_power_levels;          /* 10+: strings are refused */
    bool creator_is_sender;             /* 11+: create content has no creator */
    bool redacts_in_content;            /* 11+ */
    bool redaction_auth_by_receiver;    /* 3+: redactions checked on receipt, not by auth */
    bool redact_keeps_allow;            /* 8+: join_rules.allow */
    bool redact_keeps_authorised_via;   /* 9+: member.join_authorised_via_users_server */
    bool redact_v11;                    /* 11+: the updated redaction algorithm */
    bool state_keys_in_bytes;    /* 11+: how their length is limited; before, in characters */
    bool room_id_is_create_hash; /* 12: room id from the create event */
    bool privileged_creators;    /* 12: creators have infinite power */
};

/* NULL when the version is unknown. */
const struct room_version *room_version_find(const char *id);
const struct room_version *room_version_find_number(int number);
/* All versions, oldest first; ends with a NULL id. */
extern const struct room_version room_versions[];

#endif
