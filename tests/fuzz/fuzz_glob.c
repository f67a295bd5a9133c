/* The glob matcher against a plain recursive one. Input: flags, the pattern, a zero, the text. */
#include "matrix/glob.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The definition, spelled out; exponential, so inputs are short. */
static bool reference(struct str p, struct str t, int flags)
{
    if (p.n == 0)
        return t.n == 0;
    if (*p.p == '*' && !(flags & GLOB_LITERAL))
        return reference((struct str){p.p + 1, p.n - 1}, t, flags) ||
               (t.n && reference(p, (struct str){t.p + 1, t.n - 1}, flags));
    if (t.n == 0)
        return false;
    bool any = *p.p == '?' && !(flags & (GLOB_LITERAL | GLOB_STAR_ONLY));
    uint32_t a = (unsigned char)*p.p, b = (unsigned char)*t.p;
    if (!any && a != b && (flags & GLOB_CASE || glob_fold(a) != glob_fold(b)))
        return false;
    return reference((struct str){p.p + 1, p.n - 1}, (struct str){t.p + 1, t.n - 1}, flags);
}

static bool boundary(struct str t, size_t pos)
{
    return pos == 0 || pos == t.n || !glob_is_word_char(t.p[pos - 1]) ||
           !glob_is_word_char(t.p[pos]);
}

static bool reference_words(struct str p, struct str t, int flags)
{
    for (size_t from = 0; p.n && from <= t.n; from++)
        for (size_t to = from; boundary(t, from) && to <= t.n; to++)
            if (boundary(t, to) && reference(p, (struct str){t.p + from, to - from}, flags))
                return true;
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *end = size ? memchr(data + 1, 0, size - 1) : NULL;
    if (!end)
        return 0;
    int flags = *data & (GLOB_CASE | GLOB_STAR_ONLY | GLOB_LITERAL);
    struct str p = {(const char *)data + 1, (size_t)(end - data) - 1};
    struct str t = {(const char *)end + 1, size - (size_t)(end - data) - 1};
    bool whole = glob_matches(p, t, flags), words = glob_finds_words(p, t, flags);
    bool ascii = true;
    for (size_t i = 0; i < size; i++)
        ascii = ascii && data[i] < 0x80;
    if (!ascii || p.n > 8 || t.n > 16)
        return 0;
    if (whole != reference(p, t, flags) || words != reference_words(p, t, flags))
        abort();
    return 0;
}
