/* Input: a letter for the room version (a: 1 to l: 12), then a JSON array of events as [type,
 * sender, state key or null, content]: the event to judge, then the state. */
#include "matrix/auth/auth_rules.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { STATE_MAX = 10 };

static const char *text_at(const json_t *words, size_t i)
{
    const json_t *v = json_array_get(words, i);
    return json_is_string(v) && json_string_length(v) <= EVENT_KEY_MAX ? json_string_value(v)
                                                                       : NULL;
}

static void add_text(struct buf *b, const char *key, const char *text)
{
    buf_printf(b, "\"%s\":", key);
    buf_add_json_string(b, str_of(text));
    buf_add_char(b, ',');
}

/* NULL for events that no parser accepts. */
static const struct event *make_event(struct arena *a, const struct room_version *v,
                                      const json_t *words, size_t number)
{
    const char *type = text_at(words, 0), *sender = text_at(words, 1), *key = text_at(words, 2);
    const json_t *content = json_array_get(words, 3);
    if (!type || !sender || !json_is_object(content))
        return NULL;
    bool names_room = v->room_id_is_create_hash && strcmp(type, "m.room.create") == 0;
    buf_auto struct buf b = {0};
    buf_add_text(&b, "{\"auth_events\":[\"$1\",\"$2\",\"$3\"],\"content\":");
    buf_add_json(&b, content);
    buf_add_text(&b, ",\"depth\":1,\"origin_server_ts\":1,\"prev_events\":[\"$1\"],");
    if (!names_room || !key || key[0])
        add_text(&b, "room_id", v->room_id_is_create_hash ? "!1" : "!room:a");
    add_text(&b, "sender", sender);
    if (key)
        add_text(&b, "state_key", key);
    buf_add_text(&b, "\"type\":");
    buf_add_json_string(&b, str_of(type));
    buf_add_char(&b, '}');
    struct event *e;
    if (event_parse_stored(v, arena_printf(a, "$%zu", number), buf_str(&b), &e))
        return NULL;
    return event_keep(a, e);
}

static void check(const struct err *e)
{
    if (e && (e->code != ERR_FORBIDDEN || !e->text[0] || !strstr(e->cause, " rule ")))
        abort();
}

static void count(void *ctx, const char *type, const char *state_key)
{
    if (!type || !state_key)
        abort();
    (*(size_t *)ctx)++;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct room_version *v = size ? room_version_find_number(data[0] - 'a' + 1) : NULL;
    arena_auto struct arena *a = arena_create();
    json_t *json;
    if (!v || json_read(a, (struct str){(const char *)data + 1, size - 1}, &json))
        return 0;
    const struct event *e = make_event(a, v, json_array_get(json, 0), 0);
    if (!e)
        return 0;
    const struct event *state[STATE_MAX];
    size_t n = 0;
    for (size_t i = 1; i < json_array_size(json) && n < STATE_MAX; i++)
        if ((state[n] = make_event(a, v, json_array_get(json, i), n + 1)))
            n++;
    struct auth_state_list list;
    auth_state_list_init(&list, state, n, NULL);
    const struct err *first = auth_check(e, &list.state), *second = auth_check(e, &list.state);
    if (!first != !second)
        abort();
    check(first);
    if (n >= e->auth_n)
        check(auth_check_auth_events(e, state, NULL));
    size_t selected = 0;
    auth_events_for(v, e->type, e->sender, e->state_key, event_content(e), count, &selected);
    if (selected > EVENT_AUTH_MAX)
        abort();
    if (n)
        auth_redaction_applies(e, state[0], &list.state);
    return 0;
}
