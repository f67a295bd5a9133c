#include "base/words.h"

#include "base/mem.h"
#include "base/text.h"

#include <unicode/uchar.h>
#include <unicode/uscript.h>
#include <unicode/utf8.h>

enum class { BETWEEN, WHITE, LETTER, MARK, RUN };

static bool is_of_run(UChar32 c)
{
    static const UScriptCode scripts[] = {USCRIPT_HAN,     USCRIPT_HIRAGANA, USCRIPT_KATAKANA,
                                          USCRIPT_THAI,    USCRIPT_LAO,      USCRIPT_KHMER,
                                          USCRIPT_MYANMAR, USCRIPT_BOPOMOFO, USCRIPT_YI,
                                          USCRIPT_HANGUL,  USCRIPT_TIBETAN};
    enum { FIRST = 0x0e00 }; /* Thai */
    for (size_t i = 0; c >= FIRST && i < sizeof scripts / sizeof *scripts; i++)
        if (uscript_hasScript(c, scripts[i]))
            return true;
    return false;
}

static enum class class_of_other(UChar32 c) {
    uint32_t category = U_GET_GC_MASK(c);
    if (category & (U_GC_L_MASK | U_GC_ND_MASK | U_GC_M_MASK) && is_of_run(c)) return RUN;
    if (category & (U_GC_L_MASK | U_GC_ND_MASK)) return LETTER;
    if (category & U_GC_M_MASK ||
        u_hasBinaryProperty(c, UCHAR_DEFAULT_IGNORABLE_CODE_POINT)) return MARK;
    return u_isUWhiteSpace(c) ? WHITE : BETWEEN;
}

#define TEN(c) [c] = LETTER, LETTER, LETTER, LETTER, LETTER, LETTER, LETTER, LETTER, LETTER, LETTER
#define LETTERS(c)                                                                                 \
    TEN(c), TEN((c) + 10), [(c) + 20] = LETTER, LETTER, LETTER, LETTER, LETTER, LETTER

/* Every character of every message is looked up here. What is not named is between words. */
static const unsigned char ascii[0x80] = {
    TEN('0'), LETTERS('A'), LETTERS('a'), [' '] = WHITE, ['\t'] = WHITE,
    WHITE,    WHITE,        WHITE,        WHITE};

static enum class class_of(UChar32 c) {
    if (c < 0) return BETWEEN; /* malformed */
    return c < (UChar32)sizeof ascii ? (enum class)ascii[c] : class_of_other(c);
}

struct splitting {
    struct arena *arena;
    struct word *words;
    size_t n, size;
    uint32_t chunk;
};

static void words_add(struct splitting *s, struct str written, struct str folded,
                      enum word_kind kind)
{
    if (!folded.n || s->n == WORDS_MAX)
        return;
    if (s->n == s->size) {
        s->size = s->size ? s->size * 2 : 16;
        s->words = mem_realloc_array(s->words, s->size, sizeof *s->words);
    }
    s->words[s->n++] = (struct word){written, folded, kind, s->chunk};
}

/* No longer than `max`, cut between characters. */
static struct str words_cut(struct str s, size_t max)
{
    if (s.n <= max)
        return s;
    while (max > 0 && (s.p[max] & 0xc0) == 0x80)
        max--;
    return (struct str){s.p, max};
}

static void add_word(struct splitting *s, struct str written)
{
    struct str folded = text_fold(s->arena, words_cut(written, 4 * WORD_BYTES_MAX));
    words_add(s, written, words_cut(folded, WORD_BYTES_MAX), WORD_WHOLE);
}

static void add_run(struct splitting *s, struct str written)
{
    struct str run = text_fold(s->arena, written);
    for (size_t at = 0, next = 0; at < run.n; at = next) {
        size_t after;
        U8_FWD_1(run.p, next, run.n);
        after = next;
        if (next < run.n)
            U8_FWD_1(run.p, after, run.n);
        words_add(s, written, (struct str){run.p + at, after - at},
                  next < run.n ? WORD_PAIR : WORD_LAST);
    }
}

/* From *pos, which moves past the word or run, or past one character that is neither. */
static void next_piece(struct splitting *s, struct str text, size_t *pos)
{
    size_t from = *pos, end;
    UChar32 c;
    U8_NEXT(text.p, *pos, text.n, c);
    enum class first = class_of(c);
    s->chunk += first == WHITE;
    if (first != LETTER && first != RUN)
        return;
    for (end = *pos; end < text.n; *pos = end) {
        U8_NEXT(text.p, end, text.n, c);
        enum class next = class_of(c);
        if (next != first && next != MARK)
            break;
    }
    struct str written = {text.p + from, *pos - from};
    if (first == RUN)
        add_run(s, written);
    else
        add_word(s, written);
}

const struct word *words_of(struct arena *a, struct str text, size_t *ret_n)
{
    struct splitting s = {.arena = a};
    for (size_t pos = 0; pos < text.n && s.n < WORDS_MAX;)
        next_piece(&s, text, &pos);
    struct word *words = arena_alloc_array(a, s.n + 1, sizeof *words);
    if (s.n)
        memcpy(words, s.words, s.n * sizeof *words);
    free(s.words);
    *ret_n = s.n;
    return words;
}
