/* The folding, the words of a text, and a search term. The results are a well-formed query and a
 * well-formed text of the index, both bounded; folding twice is folding once. The first half of
 * the input is a text, the other a term. */
#include "base/text.h"
#include "fuzz.h"
#include "storage/rooms/search_terms.h"

/* Quotes come in pairs, and parentheses outside of them. */
static void check_syntax(const char *s)
{
    int depth = 0;
    bool quoted = false;
    for (; *s; s++) {
        if (quoted && (*s == '\\' || *s == '\'') && s[1] == *s)
            s++;
        else if (*s == '\'')
            quoted = !quoted;
        else if (!quoted && *s == '(')
            depth++;
        else if (!quoted && *s == ')')
            HOLDS(--depth >= 0);
        else
            HOLDS(quoted || strchr("0123456789:*A&|!<->, ", *s));
    }
    HOLDS(!quoted && depth == 0);
}

static void check_fold(struct arena *a, struct str s)
{
    struct str folded = text_fold(a, s);
    HOLDS(utf8_valid(folded) && folded.n <= 11 * s.n + 3);
    HOLDS(str_eq(text_fold(a, folded), folded));
    HOLDS(str_eq(text_fold(a, text_normalise(a, s)), folded));
    HOLDS(str_eq(text_normalise(a, text_normalise(a, s)), text_normalise(a, s)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 4096)
        return 0;
    arena_auto struct arena *a = arena_create();
    struct str text = {(const char *)data, size / 2},
               term = {(const char *)data + size / 2, size - size / 2};
    struct search_stems *stems = search_stems_create(a);
    struct search_terms t;
    size_t n;
    check_fold(a, text);
    const struct word *words = words_of(a, text, &n);
    for (size_t i = 0; i < n; i++) {
        HOLDS(words[i].folded.n > 0 && words[i].folded.n <= WORD_BYTES_MAX);
        HOLDS(words[i].written.p >= text.p &&
              words[i].written.p + words[i].written.n <= text.p + text.n);
        search_stems_want(stems, &words[i]);
    }
    check_syntax(search_vector(a, words, n, stems));
    search_terms_parse(a, term, &t);
    search_terms_want_stems(&t, stems);
    const char *query = search_terms_query(a, &t, stems);
    if (query)
        check_syntax(query);
    HOLDS((query != NULL) == (t.n > 0) && t.n <= SEARCH_WORDS_MAX);
    for (size_t i = 0; i < n; i++)
        search_terms_match(&t, stems, &words[i]);
    return 0;
}
