/* Input: a letter for the room version (a: 1 to l: 12), then ten bytes an event: its type, sender,
 * state key and content, the events it cites (perhaps itself), its time, and which of three sets it
 * is in.
 * Whatever the order of the sets, the outcome must be the same. */
#include "base/map.h"
#include "matrix/auth/state_res.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { EVENTS_MAX = 48, BYTES = 10, SETS = 3 };

struct room {
    const struct room_version *v;
    const struct event *events[EVENTS_MAX];
    const uint8_t *words[EVENTS_MAX];
    size_t n;
};

static const char *const users[] = {"@a:a", "@b:b", "@c:c", "@d:d"};
static const char *const types[] = {"m.room.member", "m.room.power_levels", "m.room.join_rules",
                                    "m.room.topic"};
static const char *const memberships[] = {"join", "leave", "ban", "invite"};
static const char *const rules[] = {"public", "invite", "knock", "restricted"};

static void add_content(struct buf *b, const uint8_t *w)
{
    switch (w[0] & 3) {
    case 0:
        buf_printf(b, "{\"membership\":\"%s\"}", memberships[w[3] & 3]);
        break;
    case 1:
        buf_printf(b, "{\"users\":{\"@b:b\":%d,\"@c:c\":%d},\"users_default\":%d}", (w[3] & 3) * 50,
                   (w[3] >> 2 & 3) * 50, w[3] >> 6);
        break;
    case 2:
        buf_printf(b, "{\"join_rule\":\"%s\"}", rules[w[3] & 3]);
        break;
    default:
        buf_add_text(b, "{}");
    }
}

static const struct event *make_event(struct arena *a, const struct room *room, const uint8_t *w)
{
    buf_auto struct buf b = {0};
    size_t n = room->n;
    const char *type = n == 0 ? "m.room.create" : types[w[0] & 3];
    bool names_room = n == 0 && room->v->room_id_is_create_hash;
    buf_add_text(&b, "{\"auth_events\":[");
    if (n > 0)
        buf_printf(&b, "\"$%d\",\"$%d\",\"$%d\",\"$%d\"", w[4] % EVENTS_MAX, w[5] % EVENTS_MAX,
                   w[6] % EVENTS_MAX, w[0] & 0x80 ? 0 : w[4] % EVENTS_MAX);
    buf_add_text(&b, "],\"content\":");
    if (n == 0)
        buf_add_text(&b, "{\"creator\":\"@a:a\"}");
    else
        add_content(&b, w);
    buf_printf(&b, ",\"depth\":%d,\"origin_server_ts\":%d,\"prev_events\":[%s],", w[7] >> 4,
               w[7] & 15, n == 0 ? "" : "\"$0\"");
    if (!names_room)
        buf_printf(&b, "\"room_id\":\"%s\",", room->v->room_id_is_create_hash ? "!0" : "!r:a");
    buf_printf(&b, "\"sender\":\"%s\",\"state_key\":\"%s\",\"type\":\"%s\"}",
               n == 0 ? users[0] : users[w[1] & 3], n > 0 && (w[0] & 3) == 0 ? users[w[2] & 3] : "",
               type);
    struct event *e;
    if (event_parse_stored(room->v, arena_printf(a, "$%zu", n), buf_str(&b), &e))
        abort();
    return event_keep(a, e);
}

static const struct event *get_event(void *ctx, const char *event_id, bool *ret_rejected)
{
    const struct room *room = ctx;
    size_t i = (size_t)atoi(event_id + 1);
    if (i >= room->n || (room->words[i][8] & 0xf0) == 0xf0)
        return NULL;
    *ret_rejected = (room->words[i][8] & 0xf0) == 0xe0;
    return room->events[i];
}

/* A state has one event for a key: the first that is in the set. */
static struct state_set make_set(struct arena *a, const struct room *room, int bit, bool reversed)
{
    struct state_entry *entries = arena_alloc_array(a, room->n, sizeof *entries);
    size_t n = 0;
    for (size_t i = 0; i < room->n; i++) {
        const struct event *e = room->events[i];
        bool is_new = room->words[i][9] >> bit & 1;
        for (size_t k = 0; k < n; k++)
            is_new = is_new && (strcmp(entries[k].type, e->type) != 0 ||
                                strcmp(entries[k].state_key, e->state_key) != 0);
        if (is_new)
            entries[n++] = (struct state_entry){e->type, e->state_key, e->event_id};
    }
    for (size_t i = 0; reversed && i < n / 2; i++) {
        struct state_entry swap = entries[i];
        entries[i] = entries[n - 1 - i];
        entries[n - 1 - i] = swap;
    }
    return (struct state_set){entries, n};
}

static bool has(const struct state_set *set, const struct state_entry *entry)
{
    for (size_t i = 0; i < set->n; i++)
        if (strcmp(set->entries[i].event_id, entry->event_id) == 0)
            return true;
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct room room = {.v = size ? room_version_find_number(data[0] - 'a' + 1) : NULL};
    if (!room.v)
        return 0;
    arena_auto struct arena *a = arena_create();
    for (size_t at = 1; at + BYTES <= size && room.n < EVENTS_MAX; at += BYTES, room.n++) {
        room.words[room.n] = data + at;
        room.events[room.n] = make_event(a, &room, data + at);
    }
    struct state_res_source source = {.get_event = get_event, .ctx = &room};
    struct state_set forth[SETS], back[SETS], one, other;
    for (int i = 0; i < SETS; i++) {
        forth[i] = make_set(a, &room, i, false);
        back[SETS - 1 - i] = make_set(a, &room, i, true);
    }
    if (state_resolve(a, room.v, &source, forth, SETS, &one) ||
        state_resolve(a, room.v, &source, back, SETS, &other))
        abort();
    if (one.n != other.n)
        abort();
    for (size_t i = 0; i < one.n; i++)
        if (!has(&other, &one.entries[i]))
            abort();
    return 0;
}
