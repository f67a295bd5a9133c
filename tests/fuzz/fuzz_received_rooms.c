/* Input: JSON, a room summary of another server with children_state. */
#include "fuzz.h"

#include "federation/routes/public_rooms.h"
#include "federation/users/remote_summary.h"
#include "matrix/id.h"
#include "rooms/read/space.h"

static void check_text(const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);
    HOLDS(!v || (json_is_string(v) && json_string_length(v) == strlen(json_string_value(v))));
}

static void check_summary(const json_t *answer)
{
    static const char *const texts[] = {"room_id",      "name",       "topic",
                                        "avatar_url",   "room_type",  "join_rule",
                                        "room_version", "encryption", "canonical_alias"};
    json_auto_t *o = remote_summary_read(answer), *again = o ? remote_summary_read(o) : NULL;
    if (!o)
        return;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        check_text(o, texts[i]);
    HOLDS(id_is_room(str_of(json_text(o, "room_id"))));
    HOLDS(json_integer_value(json_object_get(o, "num_joined_members")) >= 0);
    HOLDS(json_is_boolean(json_object_get(o, "world_readable")));
    HOLDS(json_equal(o, again));
}

static void check_children(struct job *job, const json_t *list, bool suggested_only)
{
    const struct space_child *children;
    size_t n;
    space_children_of_answer(job, list, suggested_only, &children, &n);
    HOLDS(n <= json_array_size(list) && n <= SPACE_CHILDREN_MAX);
    for (size_t i = 0; i < n; i++) {
        json_t *shown;
        HOLDS(id_is_room(str_of(children[i].room_id)));
        HOLDS(!json_read(job->arena, children[i].shown, &shown) && json_object_size(shown) == 5);
        for (size_t k = 0; k < children[i].via_n; k++)
            HOLDS(id_is_server_name(str_of(children[i].via[k])));
        HOLDS(i == 0 || !children[i].order || children[i - 1].order);
    }
}

/* The same as a page of its directory: each room is checked like a summary. */
static void check_directory(const json_t *answer)
{
    json_auto_t *page = json_pack("{s:[O,O], s:O, s:O}", "chunk", answer, answer, "next_batch",
                                  answer, "total_room_count_estimate", answer);
    json_auto_t *one = public_rooms_read_answer(answer), *both = public_rooms_read_answer(page);
    const json_t *rooms[] = {json_object_get(one, "chunk"), json_object_get(both, "chunk")};
    json_auto_t *summary = remote_summary_read(answer);
    HOLDS(json_array_size(rooms[1]) == (summary ? 2u : 0u));
    for (int i = 0; i < 2; i++) {
        HOLDS(json_is_array(rooms[i]) && json_array_size(rooms[i]) <= DIRECTORY_PAGE_MAX);
        for (size_t k = 0; k < json_array_size(rooms[i]); k++)
            HOLDS(id_is_room(str_of(json_text(json_array_get(rooms[i], k), "room_id"))));
    }
    check_text(one, "next_batch");
    check_text(one, "prev_batch");
    check_text(both, "next_batch");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    arena_auto struct arena *a = arena_create();
    struct job job = {.arena = a};
    json_t *answer;
    if (json_read(a, fuzz_str(data, size), &answer))
        return 0;
    check_summary(answer);
    check_directory(answer);
    check_children(&job, json_object_get(answer, "children_state"), false);
    check_children(&job, json_object_get(answer, "children_state"), true);
    return 0;
}
