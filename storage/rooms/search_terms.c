#include "storage/rooms/search_terms.h"

/* ---- lexemes ---- */

/* Quotes and backslashes are doubled. The buffer must be large enough. Returns the end. */
static char *write_lexeme(char *p, struct str lexeme)
{
    *p++ = '\'';
    for (size_t i = 0; i < lexeme.n; i++) {
        *p++ = lexeme.p[i];
        if (lexeme.p[i] == '\'' || lexeme.p[i] == '\\')
            *p++ = lexeme.p[i];
    }
    *p++ = '\'';
    return p;
}

static void add_lexeme(struct buf *out, struct str lexeme)
{
    buf_reserve(out, 2 * lexeme.n + 2);
    out->n = (size_t)(write_lexeme(out->p + out->n, lexeme) - out->p);
}

/* after: its position and its weight. */
static void add_at(struct buf *out, struct str lexeme, struct str after)
{
    buf_reserve(out, 2 * lexeme.n + 2 + after.n);
    char *p = write_lexeme(out->p + out->n, lexeme);
    memcpy(p, after.p, after.n);
    out->n = (size_t)(p - out->p) + after.n;
}

const char *search_vector(struct arena *a, const struct word *words, size_t n,
                          const struct search_stems *stems)
{
    buf_auto struct buf out = {0}, after = {0};
    BUF_LIT(&out, "");
    for (size_t i = 0; i < n && out.n < SEARCH_VECTOR_MAX; i++) {
        struct word_stems into;
        const struct word_stems *s = search_stems_of(stems, &words[i], &into);
        after.n = 0;
        BUF_LIT(&after, ":");
        buf_add_int(&after, (int64_t)i + 1);
        BUF_LIT(&after, "A ");
        add_at(&out, words[i].folded, buf_str(&after));
        after.p[after.n - 2] = ' '; /* no weight */
        for (size_t j = 0; j < s->n; j++)
            add_at(&out, s->forms[j], (struct str){after.p, after.n - 1});
    }
    return str_dup(a, buf_str(&out));
}

/* ---- a term ---- */

struct quotes {
    const char *open, *close;
};

static const struct quotes quote_pairs[] = {
    {"\"", "\""}, {"\u00ab", "\u00bb"}, {"\u201c", "\u201d"}, {"\u201e", "\u201c"}};

static bool search_terms_is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool search_terms_find(struct str s, size_t from, const char *what, size_t *ret)
{
    const char *at = memmem(s.p + from, s.n - from, what, strlen(what));
    if (at)
        *ret = (size_t)(at - s.p);
    return at != NULL;
}

/* The text between quotes at *pos, which is moved behind them. */
static bool search_terms_read_quoted(struct str term, size_t *pos, struct str *ret)
{
    struct str rest = {term.p + *pos, term.n - *pos};
    for (size_t i = 0; i < sizeof quote_pairs / sizeof *quote_pairs; i++) {
        const struct quotes *q = &quote_pairs[i];
        size_t from = *pos + strlen(q->open), end;
        if (!str_starts_with(rest, q->open) || !search_terms_find(term, from, q->close, &end))
            continue;
        *ret = (struct str){term.p + from, end - from};
        *pos = end + strlen(q->close);
        return true;
    }
    return false;
}

static struct str read_plain(struct str term, size_t *pos)
{
    size_t from = *pos;
    while (*pos < term.n && !search_terms_is_space(term.p[*pos]))
        (*pos)++;
    return (struct str){term.p + from, *pos - from};
}

/* "l'", "d'", "qu'" before a French word: the apostrophe follows, straight or curly. */
static bool is_elided(const struct word *w, struct str segment)
{
    static const char *const whole[] = {"qu", "jusqu", "lorsqu", "puisqu", "quoiqu"};
    const char *end = w->written.p + w->written.n;
    struct str rest = {end, (size_t)(segment.p + segment.n - end)};
    if (!str_starts_with(rest, "'") && !str_starts_with(rest, "\u2019"))
        return false;
    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++)
        if (str_is(w->folded, whole[i]))
            return true;
    return w->folded.n == 1 && strchr("cdjlmnst", w->folded.p[0]);
}

static bool search_terms_is_same(const struct search_part *x, const struct search_part *y)
{
    if (x->n != y->n || x->exact != y->exact || x->excluded != y->excluded ||
        x->begins != y->begins)
        return false;
    for (size_t i = 0; i < x->n; i++)
        if (!str_eq(x->words[i].folded, y->words[i].folded))
            return false;
    return true;
}

/* Is the part repeated since the last OR? It would find the same, at twice the cost. */
static bool is_repeated(const struct search_terms *t, const struct search_part *p)
{
    bool same_alternative = !p->or_before;
    for (size_t i = t->n; i-- > 0 && same_alternative;) {
        if (search_terms_is_same(&t->parts[i], p))
            return true;
        same_alternative = !t->parts[i].or_before;
    }
    return false;
}

static void search_terms_add_part(struct search_terms *t, struct search_part p, struct str segment,
                                  size_t *words)
{
    if (!p.exact && p.n > 1 && is_elided(&p.words[0], segment)) {
        p.words++;
        p.n--;
    }
    if (p.n > SEARCH_WORDS_MAX - *words)
        p.n = SEARCH_WORDS_MAX - *words;
    if (!p.n)
        return;
    const struct word *last = &p.words[p.n - 1];
    const char *end = last->written.p + last->written.n;
    p.begins = !p.exact && end < segment.p + segment.n && *end == '*';
    if (is_repeated(t, &p))
        return;
    *words += p.n;
    t->parts[t->n++] = p;
}

static bool is_or(struct str segment)
{
    return str_is(segment, "or") || str_is(segment, "OR");
}

void search_terms_parse(struct arena *a, struct str term, struct search_terms *ret)
{
    struct search_terms *t = ret;
    size_t words = 0;
    bool or_before = false;
    t->n = 0;
    for (size_t pos = 0; pos < term.n && words < SEARCH_WORDS_MAX;) {
        struct search_part p = {.or_before = or_before};
        struct str segment;
        if (search_terms_is_space(term.p[pos])) {
            pos++;
            continue;
        }
        if (term.p[pos] == '-') {
            p.excluded = true;
            pos++;
        }
        p.exact = pos < term.n && search_terms_read_quoted(term, &pos, &segment);
        if (!p.exact)
            segment = read_plain(term, &pos);
        if (!p.exact && t->n && is_or(segment) && pos < term.n) {
            or_before = true;
            continue;
        }
        p.words = words_of(a, segment, &p.n);
        size_t before = t->n;
        search_terms_add_part(t, p, segment, &words);
        or_before &= t->n == before;
    }
}

void search_terms_want_stems(const struct search_terms *t, struct search_stems *stems)
{
    for (size_t i = 0; i < t->n; i++)
        if (t->parts[i].n == 1 && !t->parts[i].exact)
            search_stems_want(stems, &t->parts[i].words[0]);
}

/* ---- the query ---- */

static bool is_inflected(const struct search_part *p)
{
    return p->n == 1 && !p->exact && !p->begins && p->words[0].kind == WORD_WHOLE;
}

static void add_inflected(struct buf *out, const struct word *w, const struct search_stems *stems)
{
    struct word_stems into;
    const struct word_stems *s = search_stems_of(stems, w, &into);
    buf_add_char(out, '(');
    add_lexeme(out, w->folded);
    for (size_t i = 0; i < s->n; i++) {
        buf_add_char(out, '|');
        add_lexeme(out, s->forms[i]);
    }
    buf_add_char(out, ')');
}

/* Words at successive positions, as they were written (weight A). The last character of a run is
 * also indexed alone, but the text may go on there: it only matches if another word follows, or as
 * the beginning of a pair if it is the only one. */
static void add_sequence(struct buf *out, const struct search_part *p)
{
    size_t n = p->n;
    if (n > 1 && p->words[n - 1].kind == WORD_LAST && p->words[n - 2].kind == WORD_PAIR)
        n--;
    buf_add_char(out, '(');
    for (size_t i = 0; i < n; i++) {
        bool is_last = i + 1 == n;
        buf_add_text(out, i ? "<->" : "");
        add_lexeme(out, p->words[i].folded);
        bool begins = is_last && (p->begins || p->words[i].kind == WORD_LAST);
        buf_add_text(out, begins ? ":*A" : ":A");
    }
    buf_add_char(out, ')');
}

/* From one OR to the next. */
struct alternative {
    const struct search_part *parts;
    size_t n;
    bool has_wanted;    /* a part that is not excluded */
    bool has_selective; /* a wanted part that is more than a stop word */
};

static bool is_stop(const struct search_part *p, const struct search_stems *stems)
{
    struct word_stems into;
    return is_inflected(p) && search_stems_of(stems, &p->words[0], &into)->is_stop;
}

static struct alternative next_alternative(const struct search_terms *t, size_t from,
                                           const struct search_stems *stems)
{
    struct alternative alt = {.parts = t->parts + from};
    for (size_t i = from; i < t->n && (i == from || !t->parts[i].or_before); i++) {
        const struct search_part *p = &t->parts[i];
        alt.n++;
        alt.has_wanted |= !p->excluded;
        alt.has_selective |= !p->excluded && !is_stop(p, stems);
    }
    return alt;
}

/* "-5" alone is a word: an exclusion needs another part. */
static void add_alternative(struct buf *out, const struct alternative *alt,
                            const struct search_stems *stems)
{
    bool any = false;
    buf_add_char(out, '(');
    for (size_t i = 0; i < alt->n; i++) {
        const struct search_part *p = &alt->parts[i];
        if (!p->excluded && alt->has_selective && is_stop(p, stems))
            continue;
        buf_add_text(out, any ? "&" : "");
        buf_add_text(out, p->excluded && alt->has_wanted ? "!" : "");
        if (is_inflected(p))
            add_inflected(out, &p->words[0], stems);
        else
            add_sequence(out, p);
        any = true;
    }
    buf_add_char(out, ')');
}

const char *search_terms_query(struct arena *a, const struct search_terms *t,
                               const struct search_stems *stems)
{
    buf_auto struct buf out = {0};
    for (size_t i = 0; i < t->n;) {
        struct alternative alt = next_alternative(t, i, stems);
        buf_add_text(&out, i ? "|" : "");
        add_alternative(&out, &alt, stems);
        i += alt.n;
    }
    return out.n ? str_dup(a, buf_str(&out)) : NULL;
}

/* ---- which words of a text were found ---- */

static bool have_in_common(struct str x, const struct word_stems *xs, struct str y,
                           const struct word_stems *ys)
{
    for (size_t i = 0; i <= xs->n; i++)
        for (size_t j = 0; j <= ys->n; j++)
            if (str_eq(i < xs->n ? xs->forms[i] : x, j < ys->n ? ys->forms[j] : y))
                return true;
    return false;
}

static bool part_matches(const struct search_part *p, const struct search_stems *stems,
                         const struct word *w)
{
    for (size_t i = 0; i < p->n; i++) {
        struct str wanted = p->words[i].folded;
        if (str_eq(wanted, w->folded))
            return true;
        if (p->begins && i + 1 == p->n && w->folded.n > wanted.n &&
            memcmp(w->folded.p, wanted.p, wanted.n) == 0)
            return true;
    }
    if (!is_inflected(p) || w->kind != WORD_WHOLE)
        return false;
    struct word_stems our_room, their_room;
    const struct word_stems *ours = search_stems_of(stems, &p->words[0], &our_room),
                            *theirs = search_stems_of(stems, w, &their_room);
    return have_in_common(p->words[0].folded, ours, w->folded, theirs);
}

bool search_terms_match(const struct search_terms *t, const struct search_stems *stems,
                        const struct word *w)
{
    for (size_t i = 0; i < t->n; i++)
        if (!t->parts[i].excluded && part_matches(&t->parts[i], stems, w))
            return true;
    return false;
}
