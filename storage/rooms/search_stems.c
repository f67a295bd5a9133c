#include "storage/rooms/search_stems.h"

#include "base/map.h"
#include "base/text.h"

enum { STEMMED_MIN = 3, STEMMED_MAX = 40 }; /* bytes */

struct entry {
    struct str word;
    struct word_stems stems;
};

struct search_stems {
    struct arena *arena;
    struct map by_word; /* folded by case alone, or by text_fold() */
};

static void search_stems_finish_map(void *map)
{
    map_finish(map);
}

struct search_stems *search_stems_create(struct arena *a)
{
    struct search_stems *s = arena_alloc(a, sizeof *s);
    s->arena = a;
    arena_defer(a, search_stems_finish_map, &s->by_word);
    return s;
}

/* Numbers and the like have no inflections. */
static bool has_stems(const struct word *w)
{
    if (w->kind != WORD_WHOLE || w->written.n < STEMMED_MIN || w->written.n > STEMMED_MAX)
        return false;
    for (size_t i = 0; i < w->folded.n; i++)
        if (w->folded.p[i] >= '0' && w->folded.p[i] <= '9')
            return false;
    return true;
}

static struct str with_accents(struct arena *a, const struct word *w)
{
    return text_fold_case(a, w->written);
}

static void rooms_search_stems_want(struct search_stems *s, struct str word)
{
    if (map_get(&s->by_word, word))
        return;
    struct entry *e = arena_alloc(s->arena, sizeof *e);
    e->word = word;
    map_put(&s->by_word, word, e);
}

void search_stems_want(struct search_stems *s, const struct word *w)
{
    if (!has_stems(w))
        return;
    rooms_search_stems_want(s, w->folded);
    if (!text_is_ascii(w->written))
        rooms_search_stems_want(s, with_accents(s->arena, w));
}

static void search_stems_add(struct word_stems *stems, struct str form, struct str word)
{
    if (str_eq(form, word))
        return;
    for (size_t i = 0; i < stems->n; i++)
        if (str_eq(stems->forms[i], form))
            return;
    if (stems->n < STEMS_MAX)
        stems->forms[stems->n++] = form;
}

/* A stop word has no stem: an empty list. */
SQL(search_stems_sql,
    "SELECT w.n, l.lexemes[1] FROM unnest($1::text[]) WITH ORDINALITY w(word, n), "
    "unnest($2::text[]) d(name), ts_lexize(d.name::regdictionary, w.word) l(lexemes) "
    "WHERE l.lexemes[1] IS DISTINCT FROM w.word")

const struct err *search_stems_read(struct tx *tx, const struct config_list *languages,
                                    struct search_stems *s)
{
    struct arena *a = tx->arena;
    size_t words_n = 0, n = languages->n;
    struct entry **entries = arena_alloc_array(a, s->by_word.n + 1, sizeof(struct entry *));
    const char **words = arena_alloc_array(a, s->by_word.n + 1, sizeof *words);
    const char **names = arena_alloc_array(a, n + 1, sizeof *names);
    struct rows rows;
    if (!s->by_word.n || !n)
        return NULL;
    for (struct map_slot *slot = NULL; (slot = map_next(&s->by_word, slot));) {
        entries[words_n] = slot->value;
        words[words_n++] = str_dup(a, slot->key);
    }
    for (size_t i = 0; i < n; i++)
        names[i] = arena_printf(a, "pg_catalog.%s_stem", languages->items[i]);
    TRY(db_query(tx, &search_stems_sql, P(TEXT_ARRAY(words, words_n), TEXT_ARRAY(names, n)),
                 &rows));
    while (rows_next(&rows)) {
        struct entry *e = entries[row_int(&rows, 0) - 1];
        const char *stem = row_text(&rows, 1);
        if (stem && *stem)
            search_stems_add(&e->stems, text_fold(s->arena, str_of(arena_strdup(s->arena, stem))),
                             e->word);
        else
            e->stems.is_stop = true;
    }
    return NULL;
}

static const struct word_stems none;

static const struct word_stems *stems_of(const struct search_stems *s, struct str word)
{
    const struct entry *e = map_get(&s->by_word, word);
    return e ? &e->stems : &none;
}

const struct word_stems *search_stems_of(const struct search_stems *s, const struct word *w,
                                         struct word_stems *into)
{
    if (!has_stems(w))
        return &none;
    const struct word_stems *plain = stems_of(s, w->folded);
    if (text_is_ascii(w->written))
        return plain;
    const struct word_stems *accented = stems_of(s, with_accents(s->arena, w));
    *into = *plain;
    for (size_t i = 0; i < accented->n; i++)
        search_stems_add(into, accented->forms[i], w->folded);
    into->is_stop |= accented->is_stop;
    return into;
}
