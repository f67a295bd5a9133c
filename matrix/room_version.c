#include "matrix/room_version.h"

#include <string.h>

/* Later versions inherit: each macro adds a version's changes to the previous one. */
#define V1 .aliases_special = true
#define V3 V1, .redaction_auth_by_receiver = true
#define V5 V3, .enforce_key_validity = true
#define V6                                                                                         \
    .redaction_auth_by_receiver = true, .enforce_key_validity = true,                              \
    .canonical = CANONICAL_STRICT, .notifications_in_power_levels = true
#define V7 V6, .knock = true
#define V8 V7, .restricted = true, .redact_keeps_allow = true
#define V9 V8, .redact_keeps_authorised_via = true
#define V10 V9, .knock_restricted = true, .integer_power_levels = true
#define V11                                                                                        \
    V10, .creator_is_sender = true, .redacts_in_content = true, .redact_v11 = true,                \
         .state_keys_in_bytes = true
#define V12 V11, .room_id_is_create_hash = true, .privileged_creators = true

const struct room_version room_versions[] = {
    {"1", 1, EVENT_ID_GIVEN, STATE_RES_V1, V1},
    {"2", 2, EVENT_ID_GIVEN, STATE_RES_V2, V1},
    {"3", 3, EVENT_ID_HASH_STANDARD, STATE_RES_V2, V3},
    {"4", 4, EVENT_ID_HASH_URL, STATE_RES_V2, V3},
    {"5", 5, EVENT_ID_HASH_URL, STATE_RES_V2, V5},
    {"6", 6, EVENT_ID_HASH_URL, STATE_RES_V2, V6},
    {"7", 7, EVENT_ID_HASH_URL, STATE_RES_V2, V7},
    {"8", 8, EVENT_ID_HASH_URL, STATE_RES_V2, V8},
    {"9", 9, EVENT_ID_HASH_URL, STATE_RES_V2, V9},
    {"10", 10, EVENT_ID_HASH_URL, STATE_RES_V2, V10},
    {"11", 11, EVENT_ID_HASH_URL, STATE_RES_V2, V11},
    {"12", 12, EVENT_ID_HASH_URL, STATE_RES_V2_1, V12},
    {0},
};

const struct room_version *room_version_find(const char *id)
{
    for (const struct room_version *v = room_versions; v->id; v++)
        if (strcmp(v->id, id) == 0)
            return v;
    return NULL;
}

const struct room_version *room_version_find_number(int number)
{
    enum { COUNT = sizeof room_versions / sizeof room_versions[0] - 1 };
    return number >= 1 && number <= COUNT ? &room_versions[number - 1] : NULL;
}
