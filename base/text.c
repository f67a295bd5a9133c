#include "base/text.h"

#include "base/mem.h"

#include <assert.h>
#include <pthread.h>
#include <unicode/uchar.h>
#include <unicode/unorm2.h>
#include <unicode/uscript.h>
#include <unicode/ustring.h>
#include <unicode/utrans.h>

static void text_must(UErrorCode code)
{
    if (U_FAILURE(code))
        abort(); /* out of memory, or a broken installation */
}

/* ---- UTF-16, which ICU works on ---- */

struct wide {
    UChar *p;
    int32_t n, size;
};

static void wide_init(struct wide *w, size_t size)
{
    w->p = mem_realloc_array(NULL, size + 1, sizeof *w->p);
    w->n = 0;
    w->size = (int32_t)size;
}

#define wide_auto __attribute__((cleanup(wide_finish)))
static void wide_finish(struct wide *w)
{
    free(w->p);
}

static void wide_from(struct wide *w, struct str s)
{
    UErrorCode code = U_ZERO_ERROR;
    wide_init(w, s.n);
    u_strFromUTF8WithSub(w->p, w->size + 1, &w->n, s.p, (int32_t)s.n, 0xfffd, NULL, &code);
    text_must(code);
}

static struct str wide_to_str(struct arena *a, const struct wide *w)
{
    UErrorCode code = U_ZERO_ERROR;
    int32_t n = 0, size = w->n * 3;
    char *text = arena_alloc(a, (size_t)size + 1);
    u_strToUTF8WithSub(text, size + 1, &n, w->p, w->n, 0xfffd, NULL, &code);
    text_must(code);
    return (struct str){text, (size_t)n};
}

static void wide_normalise(const UNormalizer2 *form, struct wide *w)
{
    wide_auto struct wide out;
    UErrorCode code = U_ZERO_ERROR;
    wide_init(&out, (size_t)w->n + 16);
    out.n = unorm2_normalize(form, w->p, w->n, out.p, out.size, &code);
    if (code == U_BUFFER_OVERFLOW_ERROR) {
        size_t size = (size_t)out.n;
        code = U_ZERO_ERROR;
        wide_finish(&out);
        wide_init(&out, size);
        out.n = unorm2_normalize(form, w->p, w->n, out.p, out.size, &code);
    }
    text_must(code);
    struct wide old = *w;
    *w = out;
    out = old;
}

/* Sorting consecutive marks takes the square of their number: as in stream-safe text (Unicode
 * Standard Annex 15, section 13), a character keeps thirty. */
static void limit_marks(const UNormalizer2 *form, struct wide *w)
{
    enum { MARKS_MAX = 30 };
    int32_t n = 0, marks = 0;
    for (int32_t i = 0; i < w->n;) {
        UChar32 c;
        int32_t at = i;
        U16_NEXT(w->p, i, w->n, c);
        marks = unorm2_hasBoundaryBefore(form, c) ? 0 : marks + 1;
        while (marks <= MARKS_MAX && at < i)
            w->p[n++] = w->p[at++];
    }
    w->n = n;
}

/* ---- tables ---- */

enum {
    SHORT_MAX = 7,    /* bytes */
    ASCII_MAX = 1024, /* Latin letters with an ASCII equivalent; 400 in ICU 72 */
    LETTERS_END = 0x530 /* Latin, Greek, Cyrillic */,
    PUNCTUATION = 0x2010,
    PUNCTUATION_END = 0x2050
};

struct short_text {
    char bytes[SHORT_MAX];
    unsigned char n;
};

struct in_ascii {
    UChar32 c;
    struct short_text text;
};

static struct {
    const UNormalizer2 *nfkc, *casefold, *nfd, *nfc;
    struct in_ascii ascii[ASCII_MAX]; /* in the order of code points */
    size_t ascii_n;
    /* Folded forms of characters that do not depend on their neighbours; n 0: none. */
    struct short_text letters[LETTERS_END], punctuation[PUNCTUATION_END - PUNCTUATION];
} tables;

static int compare_code_points(const void *a, const void *b)
{
    const struct in_ascii *x = a, *y = b;
    return x->c < y->c ? -1 : x->c > y->c;
}

static const struct short_text *find_ascii(UChar32 c)
{
    const struct in_ascii key = {.c = c}, *found = bsearch(&key, tables.ascii, tables.ascii_n,
                                                           sizeof key, compare_code_points);
    return found ? &found->text : NULL;
}

/* ---- folding ---- */

static UScriptCode script_of(UChar32 c)
{
    UErrorCode code = U_ZERO_ERROR;
    return uscript_getScript(c, &code);
}

/* Whether a mark leaves such a letter the same letter. `base` is decomposed and has no case. */
static bool is_accent(UChar32 mark, UChar32 base, UScriptCode script)
{
    enum { DIAERESIS = 0x308, BREVE = 0x306, CYRILLIC_IE = 0x435 };
    if (u_charType(mark) != U_NON_SPACING_MARK)
        return false;
    switch (script) {
    case USCRIPT_LATIN:
    case USCRIPT_GREEK:
    case USCRIPT_HEBREW:
    case USCRIPT_ARABIC:
        return true;
    case USCRIPT_CYRILLIC:
        return mark == DIAERESIS ? base == CYRILLIC_IE : mark != BREVE;
    default:
        return false;
    }
}

static void add_char(struct wide *w, UChar32 c)
{
    U16_APPEND_UNSAFE(w->p, w->n, c);
}

/* Decomposed in, so that accents are characters of their own. */
static void drop_accents(struct wide *w)
{
    wide_auto struct wide out;
    UChar32 base = 0;
    UScriptCode script = USCRIPT_COMMON;
    wide_init(&out, (size_t)w->n * SHORT_MAX);
    for (int32_t i = 0; i < w->n;) {
        UChar32 c;
        U16_NEXT(w->p, i, w->n, c);
        if (is_accent(c, base, script))
            continue;
        if (!u_getCombiningClass(c)) {
            base = c;
            script = script_of(c);
        }
        const struct short_text *ascii =
            script == USCRIPT_LATIN && c >= 0x80 ? find_ascii(c) : NULL;
        for (unsigned i2 = 0; ascii && i2 < ascii->n; i2++)
            add_char(&out, ascii->bytes[i2]);
        if (!ascii)
            add_char(&out, c);
    }
    struct wide old = *w;
    *w = out;
    out = old;
}

static struct str fold_whole(struct arena *a, struct str s)
{
    wide_auto struct wide w;
    wide_from(&w, s);
    limit_marks(tables.casefold, &w);
    wide_normalise(tables.casefold, &w);
    wide_normalise(tables.nfd, &w);
    limit_marks(tables.nfd, &w); /* again: one mark may have become several */
    drop_accents(&w);
    wide_normalise(tables.nfc, &w);
    return wide_to_str(a, &w);
}

/* ---- making the tables ---- */

/* A letter's ASCII equivalent in CLDR's Latin-ASCII, which is made for names; false: none. */
static bool to_ascii(UTransliterator *latin_ascii, UChar32 c, struct short_text *ret)
{
    UErrorCode code = U_ZERO_ERROR;
    UChar text[32];
    int32_t n = 0;
    U16_APPEND_UNSAFE(text, n, c);
    int32_t limit = n;
    utrans_transUChars(latin_ascii, text, &n, 32, 0, &limit, &code);
    if (U_FAILURE(code) || n > SHORT_MAX)
        return false;
    for (int32_t i = 0; i < n; i++) {
        if (text[i] >= 0x80)
            return false;
        ret->bytes[i] = (char)u_tolower(text[i]);
    }
    ret->n = (unsigned char)n;
    return n > 0;
}

static void make_ascii(void)
{
    UErrorCode code = U_ZERO_ERROR;
    UTransliterator *t = utrans_openU(u"Latin-ASCII", -1, UTRANS_FORWARD, NULL, 0, NULL, &code);
    text_must(code);
    for (UChar32 c = 0x80; c <= UCHAR_MAX_VALUE && tables.ascii_n < ASCII_MAX; c++) {
        struct in_ascii *one = &tables.ascii[tables.ascii_n];
        if (!u_isalpha(c) || u_hasBinaryProperty(c, UCHAR_CHANGES_WHEN_NFKC_CASEFOLDED) ||
            script_of(c) != USCRIPT_LATIN || !to_ascii(t, c, &one->text))
            continue;
        one->c = c;
        tables.ascii_n++;
    }
    utrans_close(t);
}

static void make_short(struct arena *a, UChar32 c, struct short_text *ret)
{
    char bytes[U8_MAX_LENGTH];
    int32_t n = 0;
    U8_APPEND_UNSAFE(bytes, n, c);
    if (!u_isdefined(c) || U_GET_GC_MASK(c) & U_GC_M_MASK)
        return;
    struct str folded = fold_whole(a, (struct str){bytes, (size_t)n});
    if (folded.n > SHORT_MAX)
        return;
    memcpy(ret->bytes, folded.p, folded.n);
    ret->n = (unsigned char)folded.n;
}

static void make_tables(void)
{
    UErrorCode code = U_ZERO_ERROR;
    arena_auto struct arena *a = arena_create();
    tables.nfkc = unorm2_getNFKCInstance(&code);
    tables.casefold = unorm2_getNFKCCasefoldInstance(&code);
    tables.nfd = unorm2_getNFDInstance(&code);
    tables.nfc = unorm2_getNFCInstance(&code);
    text_must(code);
    make_ascii();
    for (UChar32 c = 0; c < LETTERS_END; c++)
        make_short(a, c, &tables.letters[c]);
    for (UChar32 c = PUNCTUATION; c < PUNCTUATION_END; c++)
        make_short(a, c, &tables.punctuation[c - PUNCTUATION]);
}

static void need_tables(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_tables);
}

/* ---- the fast path of most texts ---- */

bool text_is_ascii(struct str s)
{
    size_t i = 0;
    for (uint64_t eight; i + sizeof eight <= s.n; i += sizeof eight) {
        memcpy(&eight, s.p + i, sizeof eight);
        if (eight & 0x8080808080808080u)
            return false;
    }
    for (; i < s.n; i++)
        if (s.p[i] & 0x80)
            return false;
    return true;
}

static struct str fold_ascii(struct arena *a, struct str s)
{
    size_t i = 0;
    while (i < s.n && !(s.p[i] >= 'A' && s.p[i] <= 'Z'))
        i++;
    if (i == s.n)
        return s;
    char *lower = str_dup(a, s);
    for (; i < s.n; i++)
        if (lower[i] >= 'A' && lower[i] <= 'Z')
            lower[i] += 'a' - 'A';
    return (struct str){lower, s.n};
}

static const struct short_text *short_of(UChar32 c)
{
    const struct short_text *found = NULL;
    if (c >= 0 && c < LETTERS_END)
        found = &tables.letters[c];
    else if (c >= PUNCTUATION && c < PUNCTUATION_END)
        found = &tables.punctuation[c - PUNCTUATION];
    return found && found->n ? found : NULL;
}

/* Whether it is folded already, with any neighbours, as are Chinese characters, kana and emoji. */
static bool is_inert(UChar32 c)
{
    return c >= LETTERS_END && unorm2_isInert(tables.casefold, c) &&
           unorm2_isInert(tables.nfd, c) && !(U_GET_GC_MASK(c) & U_GC_M_MASK) && !find_ascii(c);
}

static bool is_ignorable(UChar32 c)
{
    return c >= LETTERS_END && u_hasBinaryProperty(c, UCHAR_DEFAULT_IGNORABLE_CODE_POINT);
}

/* Folds character by character; false: it cannot fold one of them. */
static bool fold_each(struct arena *a, struct str s, struct str *ret)
{
    size_t n = 0;
    char *out = arena_alloc(a, s.n * 4 + 1);
    for (size_t i = 0; i < s.n;) {
        UChar32 c;
        size_t from = i;
        U8_NEXT(s.p, i, s.n, c);
        const struct short_text *one = short_of(c);
        if (one) {
            memcpy(out + n, one->bytes, one->n);
            n += one->n;
        } else if (is_inert(c)) {
            memcpy(out + n, s.p + from, i - from);
            n += i - from;
        } else if (!is_ignorable(c)) {
            return false;
        }
    }
    out[n] = '\0';
    *ret = (struct str){out, n};
    return true;
}

struct str text_fold(struct arena *a, struct str s)
{
    struct str folded;
    assert(s.n <= TEXT_BYTES_MAX);
    if (text_is_ascii(s))
        return fold_ascii(a, s);
    need_tables();
    return fold_each(a, s, &folded) ? folded : fold_whole(a, s);
}

struct str text_fold_unless_ascii(struct arena *a, struct str s)
{
    return text_is_ascii(s) ? s : text_fold(a, s);
}

const char *text_fold_string(struct arena *a, const char *s)
{
    return s ? text_fold(a, str_of(s)).p : NULL;
}

static struct str convert(struct arena *a, const UNormalizer2 *form, struct str s)
{
    wide_auto struct wide w;
    wide_from(&w, s);
    wide_normalise(form, &w);
    return wide_to_str(a, &w);
}

struct str text_fold_case(struct arena *a, struct str s)
{
    assert(s.n <= TEXT_BYTES_MAX);
    if (text_is_ascii(s))
        return fold_ascii(a, s);
    wide_auto struct wide w;
    need_tables();
    wide_from(&w, s);
    limit_marks(tables.casefold, &w);
    wide_normalise(tables.casefold, &w);
    return wide_to_str(a, &w);
}

struct str text_normalise(struct arena *a, struct str s)
{
    assert(s.n <= TEXT_BYTES_MAX);
    if (text_is_ascii(s))
        return s;
    need_tables();
    return convert(a, tables.nfkc, s);
}
