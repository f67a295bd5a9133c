/* Input: JSON, the content of an EDU of a.example, whatever its type. */
#include "fuzz.h"

#include "federation/in/edu_read.h"
#include "matrix/id.h"
#include "matrix/json_scan.h"

static const char origin[] = "a.example";

/* A text of the sender: it must not contain NUL. */
static bool is_whole(const char *text, const json_t *v)
{
    return json_is_string(v) && text == json_string_value(v) &&
           strlen(text) == json_string_length(v);
}

static bool is_same(const char *text, const json_t *v)
{
    return json_is_string(v) && strlen(text) == json_string_length(v) &&
           strcmp(text, json_string_value(v)) == 0;
}

static void check_receipts(struct arena *a, const json_t *readers, size_t left)
{
    size_t before = left;
    struct receipt *list;
    size_t n = edu_read_receipts(a, origin, readers, &left, &list);
    HOLDS(left <= before && n <= before - left && before - left <= json_object_size(readers));
    for (size_t i = 0; i < n; i++) {
        const struct receipt *r = &list[i];
        const json_t *v = json_object_get(readers, r->user_id);
        const json_t *thread = json_at(v, "data", "thread_id", NULL);
        HOLDS(id_is_user_of(r->user_id, origin) && !r->user && !r->event && r->ts >= 0);
        HOLDS(is_whole(r->event_id, json_array_get(json_object_get(v, "event_ids"), 0)));
        HOLDS(id_is_event(str_of(r->event_id)) && strlen(r->thread) <= ID_LENGTH_MAX);
        HOLDS(thread ? is_whole(r->thread, thread) : !*r->thread);
    }
}

static void check_presence(const json_t *push)
{
    struct presence_push p;
    if (!edu_read_presence(origin, push, &p))
        return;
    HOLDS(id_is_user_of(p.user_id, origin) && p.last_active_ago >= -1);
    HOLDS(p.state == PRESENCE_OFFLINE || p.state == PRESENCE_UNAVAILABLE ||
          p.state == PRESENCE_ONLINE);
}

static void check_devices(const json_t *content)
{
    struct device_list_update u;
    struct signing_key_update k;
    if (!edu_read_device_list_update(content, &u)) {
        HOLDS(is_whole(u.user_id, json_object_get(content, "user_id")) && u.stream_id >= 0);
        HOLDS(id_is_device(str_of(u.device_id)) && (!u.keys || json_is_object(u.keys)));
        HOLDS(!u.prev_id || json_is_array(u.prev_id));
    }
    if (!edu_read_signing_key_update(content, &k))
        HOLDS((!k.master || json_is_object(k.master)) &&
              (!k.self_signing || json_is_object(k.self_signing)));
}

static void check_messages(struct arena *a, struct str raw, const json_t *content)
{
    struct direct_to_device d;
    if (!json_is_object(content) || json_scan_check(raw) ||
        edu_read_direct_to_device(a, origin, raw, &d))
        return;
    HOLDS(id_is_user_of(d.sender, origin) && d.messages.p[0] == '{');
    HOLDS(json_is_object(json_object_get(content, "messages")));
    HOLDS(is_same(d.type, json_object_get(content, "type")) && strlen(d.type) <= 255);
    HOLDS(is_same(d.message_id, json_object_get(content, "message_id")));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    arena_auto struct arena *a = arena_create();
    struct typing_edu t;
    json_t *content, *v;
    const char *key;
    size_t i;
    if (json_read(a, fuzz_str(data, size), &content))
        return 0;
    if (!edu_read_typing(origin, content, &t))
        HOLDS(id_is_user_of(t.user_id, origin) &&
              is_whole(t.room_id, json_object_get(content, "room_id")));
    json_object_foreach (content, key, v) {
        check_receipts(a, json_object_get(v, "m.read"), 500);
        check_receipts(a, json_object_get(v, "m.read"), 1);
    }
    json_array_foreach (json_object_get(content, "push"), i, v)
        check_presence(v);
    check_devices(content);
    check_messages(a, fuzz_str(data, size), content);
    return 0;
}
