/* Input: a byte, odd for the strict reading, then JSON: the invite_room_state or knock_room_state
 * of another server. No key is known, so that no PDU in it may be shown. */
#include "fuzz.h"

#include "federation/rooms/invite_state.h"
#include "matrix/id.h"
#include "matrix/json_scan.h"

static const char member_json[] =
    "{\"auth_events\":[\"$Rqnc1F2dvnEYJTyHq3iKxU2bZ1CI922kuZq3a5lr5Zg\"],\"content\":{"
    "\"membership\":"
    "\"invite\"},\"depth\":12,\"hashes\":{\"sha256\":\"x\"},\"origin_server_ts\":1,\"prev_events\":"
    "["
    "\"$Rqnc1F2dvnEYJTyHq3iKxU2bZ1CI922kuZq3a5lr5Zg\"],\"room_id\":\"!r:a.example\",\"sender\":"
    "\"@a:a.example\",\"signatures\":{},\"state_key\":\"@b:us\",\"type\":\"m.room.member\"}";

static void check_entry(const json_t *entry)
{
    const char *sender = json_text(entry, "sender");
    HOLDS(json_object_size(entry) >= 4 && json_is_object(json_object_get(entry, "content")));
    HOLDS(json_text(entry, "type") && json_text(entry, "state_key"));
    HOLDS(sender && id_is_user(str_of(sender)));
}

static void check_array(struct arena *a, struct str text, size_t most)
{
    json_t *shown, *last;
    HOLDS(!json_scan_check(text) && !json_read(a, text, &shown) && json_is_array(shown));
    HOLDS(json_array_size(shown) >= 1 && json_array_size(shown) <= most);
    for (size_t i = 0; i < json_array_size(shown); i++)
        check_entry(json_array_get(shown, i));
    last = json_array_get(shown, json_array_size(shown) - 1);
    HOLDS(strcmp(json_text(last, "state_key"), "@b:us") == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    arena_auto struct arena *a = arena_create();
    const struct config config = {.server_name = "us"};
    struct storage storage = {0};
    struct node node = {.config = &config, .storage = &storage};
    struct job job;
    struct event *e;
    json_t *list;
    struct str shown;
    bool proves;
    if (!size || json_read(a, fuzz_str(data + 1, size - 1), &list))
        return 0;
    job_init(&job, &node, a);
    HOLDS(!event_parse(room_version_find("11"), str_of(member_json), &e));
    const struct event *member = event_keep(a, e);
    bool strict = data[0] & 1;
    if (!invite_state_read(&job, member, list, strict, &shown, &proves)) {
        HOLDS(!strict && !proves);
        check_array(a, shown, json_array_size(list) + 1);
    }
    job_finish(&job);
    return 0;
}
