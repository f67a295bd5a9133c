/* Makes events for tests from a few words. Header-only, as every unit test is one file. */
#ifndef TESTS_UNIT_EVENT_MAKER_H
#define TESTS_UNIT_EVENT_MAKER_H

#include "matrix/event.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs these before it */
#include <cmocka.h>

/* Texts are JSON with ' for ", so that they can stand in C. NULL members are left out. */
struct event_words {
    const char *id, *room_id, *type, *sender, *state_key, *content, *redacts;
    const char *prev; /* event ids, separated by blanks */
    const char *auth;
    int64_t ts, depth;
};

static inline char *json_of(struct arena *a, const char *words)
{
    char *json = arena_strdup(a, words);
    for (char *p = json; (p = strchr(p, '\''));)
        *p = '"';
    return json;
}

static inline void add_ids(struct buf *b, const char *key, const char *ids)
{
    buf_printf(b, "\"%s\":[", key);
    for (const char *id = ids ? ids : ""; *id; id += strspn(id, " ")) {
        size_t n = strcspn(id, " ");
        buf_printf(b, "%s\"%.*s\"", id == ids ? "" : ",", (int)n, id);
        id += n;
    }
    buf_add_text(b, "],");
}

static inline void add_member(struct buf *b, const char *key, const char *text)
{
    if (text)
        buf_printf(b, "\"%s\":\"%s\",", key, text);
}

static inline const struct event *make_event(struct arena *a, const struct room_version *v,
                                             const struct event_words *w)
{
    buf_auto struct buf b = {0};
    buf_add_char(&b, '{');
    add_ids(&b, "auth_events", w->auth);
    buf_printf(&b, "\"content\":%s,\"depth\":%lld,\"origin_server_ts\":%lld,",
               json_of(a, w->content ? w->content : "{}"), (long long)w->depth, (long long)w->ts);
    add_ids(&b, "prev_events", w->prev);
    add_member(&b, "redacts", w->redacts);
    add_member(&b, "room_id", w->room_id);
    add_member(&b, "sender", w->sender);
    add_member(&b, "state_key", w->state_key);
    buf_printf(&b, "\"type\":\"%s\"}", w->type);
    struct event *e = NULL;
    const struct err *why = event_parse_stored(v, w->id, buf_str(&b), &e);
    if (why)
        fail_msg("%s: %s (%s)", buf_str(&b).p, why->text, why->cause);
    return event_keep(a, e);
}

#endif
