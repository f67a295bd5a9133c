/* Input: an array of an event and a rule to put; the stored form may come third. */
#include "matrix/push_rules.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char ALICE[] = "@alice:example.org";

struct singled {
    bool alice;
};

static void find_alice(void *ctx, const char *user_id)
{
    struct singled *s = ctx;
    s->alice |= strcasecmp(user_id, ALICE) == 0;
}

static bool is_singled_out(const json_t *event)
{
    struct singled s = {false};
    push_rules_mentioned(event, find_alice, &s);
    struct str body = push_rules_names_body(event);
    struct push_words words;
    push_words_init(&words, body);
    return s.alice || (body.p && (push_words_contain(&words, STR("alice")) ||
                                  push_words_contain(&words, STR("Al B."))));
}

/* Users who are not singled out by the event get the base outcome. */
static void compare_with_base(const json_t *event, const struct push_context *c)
{
    json_auto_t *ruleset = push_rules_merge(ALICE, NULL);
    struct push_outcome whole, base = push_rules_evaluate_base(event, c);
    push_rules_evaluate(ruleset, event, c, &whole);
    bool same = whole.notify == base.notify && whole.highlight == base.highlight;
    if (!same && !is_singled_out(event))
        abort();
}

static void edit(const json_t *stored, const json_t *rule, const json_t *event,
                 const struct push_context *c)
{
    for (size_t kind = 0; kind < PUSH_KINDS; kind++) {
        json_t *ret;
        if (push_rules_put(stored, push_kind_names[kind], "!r:x", rule, NULL, NULL, &ret))
            continue;
        json_auto_t *changed = ret, *ruleset = push_rules_merge(ALICE, changed);
        if (!push_rules_find(ruleset, push_kind_names[kind], "!r:x"))
            abort();
        struct push_outcome o;
        push_rules_evaluate(ruleset, event, c, &o);
        json_t *enabled, *deleted;
        if (push_rules_set_enabled(changed, push_kind_names[kind], "!r:x", false, &enabled) ||
            push_rules_delete(changed, push_kind_names[kind], "!r:x", &deleted))
            abort();
        json_decref(enabled);
        json_decref(deleted);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    arena_auto struct arena *a = arena_create();
    json_t *input;
    if (json_read(a, (struct str){(const char *)data, size}, &input))
        return 0;
    const json_t *event = json_array_get(input, 0);
    struct push_context c = {ALICE, "Al B.", 2, 50, 50, json_array_get(input, 2)};
    compare_with_base(event, &c);
    edit(json_array_get(input, 2), json_array_get(input, 1), event, &c);
    return 0;
}
