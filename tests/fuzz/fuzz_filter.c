/* Input: a filter. */
#include "matrix/filter.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char event_text[] =
    "{\"type\":\"m.room.message\",\"sender\":\"@a:x\",\"room_id\":\"!r:x\",\"content\":{"
    "\"body\":\"b\",\"m.relates_to\":{\"rel_type\":\"m.thread\",\"event_id\":\"$e\"}}}";

static void ask(const struct event_filter *f)
{
    struct filter_subject s = {"m.room.message", "@a:x", "!r:x", true, "m.thread"};
    if (f->matches_everything && !filter_matches(f, &s))
        abort();
    if (filter_matches(f, &s) && !filter_wants_type(f, s.type))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    arena_auto struct arena *a = arena_create();
    json_t *json, *event;
    if (json_read(a, (struct str){(const char *)data, size}, &json))
        return 0;
    struct event_filter part;
    if (!filter_parse_event(a, json, &part))
        ask(&part);
    struct filter f;
    if (filter_parse(a, json, &f))
        return 0;
    ask(&f.timeline);
    ask(&f.presence);
    filter_wants_room(&f, "!r:x");
    if (json_read(a, str_of(event_text), &event))
        abort();
    json_auto_t *before = json_deep_copy(event), *kept = filter_fields(&f, event);
    if (!json_equal(before, event) || !json_is_object(kept))
        abort();
    return 0;
}
