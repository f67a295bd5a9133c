#include "rooms/read/search_text.h"

#include "base/map.h"
#include "matrix/json_scan.h"
#include "storage/db/intern.h"

/* ---- the text of an event ---- */

/* The text/plain representation in m.topic; NULL: none. */
static const char *plain_topic(struct arena *a, struct str content)
{
    struct str list = json_scan_path(content, "m.topic", "m.text", NULL);
    struct json_member m;
    size_t pos = 0;
    if (!list.p || list.p[0] != '[')
        return NULL;
    while (json_scan_next(list, &pos, &m)) {
        if (m.value.p[0] != '{')
            continue;
        struct str mimetype = json_scan_get(m.value, "mimetype");
        if (!mimetype.p || json_scan_string_is(mimetype, "text/plain"))
            return json_scan_string(a, json_scan_get(m.value, "body"));
    }
    return NULL;
}

static const char *topic_of(struct arena *a, struct str content)
{
    const char *topic = json_scan_string(a, json_scan_get(content, "topic"));
    const char *plain = plain_topic(a, content);
    if (!topic || !plain || strcmp(topic, plain) == 0)
        return topic ? topic : plain;
    return arena_printf(a, "%s\n%s", topic, plain);
}

/* The text of a file whose body is a caption includes its name. */
static const char *search_text_body_of(struct arena *a, struct str content)
{
    const char *body = json_scan_string(a, json_scan_get(content, "body"));
    const char *filename = json_scan_string(a, json_scan_get(content, "filename"));
    if (!body || !filename || strcmp(body, filename) == 0)
        return body ? body : filename;
    return arena_printf(a, "%s\n%s", body, filename);
}

bool search_text_of(struct arena *a, const struct stored_event *e, struct search_text *ret)
{
    struct str content = e->event->content;
    struct search_text text = {0};
    if (e->type == TYPE_MESSAGE) {
        text.key = SEARCH_BODY;
        text.text = str_of(search_text_body_of(a, content));
    } else if (e->type == TYPE_NAME) {
        text.key = SEARCH_NAME;
        text.text = str_of(json_scan_string(a, json_scan_get(content, "name")));
    } else if (e->type == TYPE_TOPIC) {
        text.key = SEARCH_TOPIC;
        text.text = str_of(topic_of(a, content));
    }
    if (!text.text.n)
        return false;
    *ret = text;
    return true;
}

/* ---- its words ---- */

struct text_words {
    const struct stored_event *event;
    enum search_key key;
    const struct word *words;
    size_t n;
};

/* The words of the events that have any. */
static const struct text_words *split(struct arena *a, const struct stored_event *const *events,
                                      size_t n, size_t *ret_n)
{
    struct text_words *texts = arena_alloc_array(a, n + 1, sizeof *texts);
    *ret_n = 0;
    for (size_t i = 0; i < n; i++) {
        struct search_text text;
        struct text_words *t = &texts[*ret_n];
        if (!search_text_of(a, events[i], &text))
            continue;
        *t = (struct text_words){.event = events[i], .key = text.key};
        t->words = words_of(a, text.text, &t->n);
        *ret_n += t->n > 0;
    }
    return texts;
}

/* A stem has the same beginning as its word: only words that begin like one of the term may match
 * it. */
static bool may_match(const struct search_terms *terms, const struct word *w)
{
    enum { SAME = 2 };
    for (size_t i = 0; i < terms->n; i++) {
        struct str wanted = terms->parts[i].words[0].folded;
        if (terms->parts[i].n == 1 && wanted.n >= SAME && w->folded.n >= SAME &&
            memcmp(wanted.p, w->folded.p, SAME) == 0)
            return true;
    }
    return false;
}

/* The words of the events, and the stems of those that may match terms (NULL: of all) and of the
 * terms. */
static const struct err *split_with_stems(struct tx *tx, const struct config_list *languages,
                                          const struct search_terms *terms,
                                          const struct stored_event *const *events, size_t n,
                                          const struct text_words **ret, size_t *ret_n,
                                          struct search_stems **ret_stems)
{
    struct search_stems *stems = search_stems_create(tx->arena);
    size_t texts_n;
    const struct text_words *texts = split(tx->arena, events, n, &texts_n);
    if (terms)
        search_terms_want_stems(terms, stems);
    for (size_t i = 0; i < texts_n; i++)
        for (size_t j = 0; j < texts[i].n; j++)
            if (!terms || may_match(terms, &texts[i].words[j]))
                search_stems_want(stems, &texts[i].words[j]);
    TRY(search_stems_read(tx, languages, stems));
    *ret = texts;
    *ret_n = texts_n;
    *ret_stems = stems;
    return NULL;
}

/* ---- for the index ---- */

const struct err *search_text_rows(struct tx *tx, const struct config_list *languages,
                                   const struct stored_event *const *events, size_t n,
                                   const struct search_row **ret, size_t *ret_n)
{
    struct arena *a = tx->arena;
    const struct text_words *texts;
    struct search_stems *stems;
    TRY(split_with_stems(tx, languages, NULL, events, n, &texts, &n, &stems));
    struct search_row *rows = arena_alloc_array(a, n + 1, sizeof *rows);
    for (size_t i = 0; i < n; i++)
        rows[i] = (struct search_row){texts[i].event->position, texts[i].event->room, texts[i].key,
                                      search_vector(a, texts[i].words, texts[i].n, stems)};
    *ret = rows;
    *ret_n = n;
    return NULL;
}

/* ---- highlights ---- */

struct highlights {
    struct map seen;
    struct str *list;
    size_t n;
};

static void search_text_add_highlights(struct highlights *h, const struct search_terms *terms,
                                       const struct search_stems *stems,
                                       const struct text_words *text)
{
    for (size_t i = 0; i < text->n && h->n < SEARCH_HIGHLIGHTS_MAX; i++) {
        const struct word *w = &text->words[i];
        /* In a run the pair has matched, not the whole run. */
        struct str word = w->kind == WORD_WHOLE ? w->written : w->folded;
        if (map_get(&h->seen, word) || !search_terms_match(terms, stems, w))
            continue;
        h->list[h->n] = word;
        map_put(&h->seen, word, &h->list[h->n++]);
    }
}

const struct err *search_text_highlights(struct tx *tx, const struct config_list *languages,
                                         const struct search_terms *terms,
                                         const struct stored_event *const *events, size_t n,
                                         const struct str **ret, size_t *ret_n)
{
    const struct text_words *texts;
    struct search_stems *stems;
    TRY(split_with_stems(tx, languages, terms, events, n, &texts, &n, &stems));
    struct highlights h = {.list =
                               arena_alloc_array(tx->arena, SEARCH_HIGHLIGHTS_MAX, sizeof *h.list)};
    for (size_t i = 0; i < n; i++)
        search_text_add_highlights(&h, terms, stems, &texts[i]);
    map_finish(&h.seen);
    *ret = h.list;
    *ret_n = h.n;
    return NULL;
}
