#include "matrix/glob.h"
#include "matrix/membership.h"
#include "matrix/push_rules.h"

static bool is_plain_text(const json_t *v)
{
    return json_is_string(v) && strlen(json_string_value(v)) == json_string_length(v);
}

void push_rules_mentioned(const json_t *event, void (*each)(void *ctx, const char *user_id),
                          void *ctx)
{
    const char *type = json_text(event, "type");
    const json_t *state_key = json_object_get(event, "state_key");
    if (type && strcmp(type, "m.room.member") == 0) {
        const json_t *membership = json_at(event, "content", "membership", NULL);
        if (is_plain_text(state_key) && is_plain_text(membership) &&
            membership_parse(json_string_value(membership)) == MEMBERSHIP_INVITE)
            each(ctx, json_string_value(state_key));
    }
    const json_t *user_id, *user_ids = json_at(event, "content", "m.mentions", "user_ids", NULL);
    size_t i;
    json_array_foreach (user_ids, i, user_id) {
        if (is_plain_text(user_id))
            each(ctx, json_string_value(user_id));
    }
}

struct str push_rules_names_body(const json_t *event)
{
    const json_t *content = json_object_get(event, "content");
    const json_t *body = json_object_get(content, "body");
    if (json_string_length(body) == 0 || json_object_get(content, "m.mentions"))
        return (struct str){NULL, 0};
    return (struct str){json_string_value(body), json_string_length(body)};
}

/* The next run of ASCII word characters from *pos on, as a hash of its lower-case form. A name can
 * be between word boundaries only if each of its runs is a whole run of the body. */
static bool push_mentions_next_word(struct str s, size_t *pos, uint64_t *ret_hash)
{
    while (*pos < s.n && !glob_is_word_char(s.p[*pos]))
        (*pos)++;
    if (*pos == s.n)
        return false;
    uint64_t hash = 0xcbf29ce484222325u;
    for (; *pos < s.n && glob_is_word_char(s.p[*pos]); (*pos)++)
        hash = (hash ^ glob_fold((unsigned char)s.p[*pos])) * 0x100000001b3u;
    *ret_hash = hash;
    return true;
}

enum { SEEN_BITS = 8 * sizeof(((struct push_words *)0)->seen) };

static uint64_t bit_of(uint64_t hash)
{
    return (hash ^ hash >> 32) % SEEN_BITS;
}

void push_words_init(struct push_words *w, struct str body)
{
    *w = (struct push_words){.body = body};
    uint64_t hash;
    for (size_t pos = 0; push_mentions_next_word(body, &pos, &hash);)
        w->seen[bit_of(hash) / 64] |= (uint64_t)1 << bit_of(hash) % 64;
}

bool push_words_contain(const struct push_words *w, struct str name)
{
    uint64_t hash;
    for (size_t pos = 0; push_mentions_next_word(name, &pos, &hash);)
        if (!(w->seen[bit_of(hash) / 64] >> bit_of(hash) % 64 & 1))
            return false;
    return glob_finds_words(name, w->body, GLOB_LITERAL);
}
