#include "matrix/glob.h"

enum { NO_CHAR = 0x110000 }; /* malformed bytes are NO_CHAR + byte */

uint32_t glob_next_char(struct str s, size_t *pos)
{
    const unsigned char *p = (const unsigned char *)s.p + *pos;
    size_t left = s.n - *pos;
    size_t n = p[0] < 0x80 ? 1 : p[0] >= 0xf0 && p[0] < 0xf8 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    if (n == 1 || p[0] < 0xc2 || p[0] >= 0xf8 || n > left) {
        (*pos)++;
        return p[0] < 0x80 ? p[0] : (uint32_t)NO_CHAR + p[0];
    }
    uint32_t c = p[0] & (0x7fu >> n);
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            (*pos)++;
            return (uint32_t)NO_CHAR + p[0];
        }
        c = c << 6 | (p[i] & 0x3f);
    }
    *pos += n;
    return c;
}

/* The code point that ends at *end, which moves before it. */
static uint32_t previous_char(struct str s, size_t *end)
{
    for (size_t back = 1; back <= 4 && back <= *end; back++) {
        size_t at = *end - back;
        if (((unsigned char)s.p[at] & 0xc0) == 0x80)
            continue;
        size_t pos = at;
        uint32_t c = glob_next_char((struct str){s.p, *end}, &pos);
        if (pos != *end)
            break;
        *end = at;
        return c;
    }
    (*end)--;
    return (uint32_t)NO_CHAR + (unsigned char)s.p[*end];
}

uint32_t glob_fold(uint32_t c)
{
    /* Upper-case letters from first to last, `step` apart, and the distance to their lower case. */
    static const struct {
        uint32_t first, last, step, distance;
    } ranges[] = {
        {0xc0, 0xd6, 1, 32},    {0xd8, 0xde, 1, 32},    {0x100, 0x12e, 2, 1},
        {0x132, 0x136, 2, 1},   {0x139, 0x147, 2, 1},   {0x14a, 0x176, 2, 1},
        {0x179, 0x17d, 2, 1},   {0x386, 0x386, 1, 38},  {0x388, 0x38a, 1, 37},
        {0x38c, 0x38c, 1, 64},  {0x38e, 0x38f, 1, 63},  {0x391, 0x3a1, 1, 32},
        {0x3a3, 0x3ab, 1, 32},  {0x3c2, 0x3c2, 1, 1},   {0x400, 0x40f, 1, 80},
        {0x410, 0x42f, 1, 32},  {0x460, 0x480, 2, 1},   {0x48a, 0x4be, 2, 1},
        {0x4c1, 0x4cd, 2, 1},   {0x4d0, 0x52e, 2, 1},   {0x531, 0x556, 1, 48},
        {0x1e00, 0x1e94, 2, 1}, {0x1ea0, 0x1efe, 2, 1}, {0xff21, 0xff3a, 1, 32},
    };
    if (c < 0x80)
        return c >= 'A' && c <= 'Z' ? c + 32 : c;
    if (c == 0x178) /* Y with diaeresis: the only one whose lower case precedes it */
        return 0xff;
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges && c >= ranges[i].first; i++)
        if (c <= ranges[i].last)
            return (c - ranges[i].first) % ranges[i].step ? c : c + ranges[i].distance;
    return c;
}

static bool is_star(char c, int flags)
{
    return c == '*' && !(flags & GLOB_LITERAL);
}

static bool is_any(uint32_t c, int flags)
{
    return c == '?' && !(flags & (GLOB_LITERAL | GLOB_STAR_ONLY));
}

static uint32_t glob_folded(uint32_t c, int flags)
{
    return flags & GLOB_CASE ? c : glob_fold(c);
}

static bool same_char(uint32_t pattern, uint32_t c, int flags)
{
    return pattern == c || is_any(pattern, flags) ||
           glob_folded(pattern, flags) == glob_folded(c, flags);
}

/* A pattern as an automaton whose states are the bits of a few words. State i: the first i
 * characters of the pattern (without its stars) are matched. */
enum { WORDS_MAX = (GLOB_LITERALS_MAX + 64) / 64, SLOTS_MAX = 512 };

struct states {
    uint64_t bits[WORDS_MAX];
};

struct machine {
    size_t words, n;          /* words in use; characters in the pattern, also the last state */
    struct states any, stars; /* which characters are `?`; which states repeat at a `*` */
    size_t slots;             /* of the table from a character to its places; a power of two */
    uint32_t chars[SLOTS_MAX];
    struct states places[SLOTS_MAX];
    bool used[SLOTS_MAX];
};

static void set_bit(struct states *s, size_t bit)
{
    s->bits[bit / 64] |= (uint64_t)1 << bit % 64;
}

static bool has_bit(const struct states *s, size_t bit)
{
    return s->bits[bit / 64] >> bit % 64 & 1;
}

/* The slot of a character, or the free one where it belongs. */
static size_t glob_slot_of(const struct machine *m, uint32_t c)
{
    size_t i = c * 0x9e3779b1u >> 16 & (m->slots - 1);
    while (m->used[i] && m->chars[i] != c)
        i = (i + 1) & (m->slots - 1);
    return i;
}

static bool machine_init(struct machine *m, struct str pattern, int flags)
{
    for (m->slots = 16; m->slots < SLOTS_MAX && m->slots < 2 * pattern.n; m->slots *= 2)
        ;
    memset(m->used, 0, m->slots * sizeof *m->used);
    m->any = m->stars = (struct states){0};
    m->n = 0;
    for (size_t pos = 0; pos < pattern.n;) {
        if (is_star(pattern.p[pos], flags)) {
            set_bit(&m->stars, m->n);
            pos++;
            continue;
        }
        if (m->n == GLOB_LITERALS_MAX)
            return false;
        uint32_t c = glob_next_char(pattern, &pos);
        if (is_any(c, flags)) {
            set_bit(&m->any, m->n++);
            continue;
        }
        size_t slot = glob_slot_of(m, glob_folded(c, flags));
        if (!m->used[slot]) {
            m->used[slot] = true;
            m->chars[slot] = glob_folded(c, flags);
            m->places[slot] = (struct states){0};
        }
        set_bit(&m->places[slot], m->n++);
    }
    m->words = m->n / 64 + 1;
    return true;
}

static void machine_step(const struct machine *m, uint32_t c, struct states *s)
{
    static const struct states nowhere;
    size_t slot = glob_slot_of(m, c);
    const struct states *places = m->used[slot] ? &m->places[slot] : &nowhere;
    uint64_t carry = 0;
    for (size_t w = 0; w < m->words; w++) {
        uint64_t hit = s->bits[w] & (m->any.bits[w] | places->bits[w]);
        s->bits[w] = hit << 1 | carry | (s->bits[w] & m->stars.bits[w]);
        carry = hit >> 63;
    }
}

static bool machine_matches(const struct machine *m, struct str text, int flags)
{
    struct states s = {{1}};
    for (size_t pos = 0; pos < text.n;)
        machine_step(m, glob_folded(glob_next_char(text, &pos), flags), &s);
    return has_bit(&s, m->n);
}

bool glob_matches(struct str pattern, struct str text, int flags)
{
    /* The parts before the first star and after the last are compared directly, which decides
     * nearly every real pattern. */
    size_t p = 0, t = 0;
    while (p < pattern.n && !is_star(pattern.p[p], flags)) {
        if (t == text.n || !same_char(glob_next_char(pattern, &p), glob_next_char(text, &t), flags))
            return false;
    }
    if (p == pattern.n)
        return t == text.n;
    struct str middle = {pattern.p + p, pattern.n - p}, rest = {text.p + t, text.n - t};
    while (!is_star(middle.p[middle.n - 1], flags)) {
        if (rest.n == 0 ||
            !same_char(previous_char(middle, &middle.n), previous_char(rest, &rest.n), flags))
            return false;
    }
    if (middle.n <= 2) /* only stars */
        return true;
    struct machine m;
    return machine_init(&m, middle, flags) && machine_matches(&m, rest, flags);
}

static bool at_boundary(struct str text, size_t pos)
{
    return pos == 0 || pos == text.n || !glob_is_word_char(text.p[pos - 1]) ||
           !glob_is_word_char(text.p[pos]);
}

/* Whether the pattern may begin here, by its first few characters. */
static bool may_start(struct str pattern, struct str text, size_t pos, int flags)
{
    size_t p = 0;
    for (int i = 0; i < 4 && p < pattern.n && !is_star(pattern.p[p], flags); i++)
        if (pos == text.n ||
            !same_char(glob_next_char(pattern, &p), glob_next_char(text, &pos), flags))
            return false;
    return true;
}

/* The first boundary where it may; false when there is none. Most texts have none, which saves
 * making the automaton. */
static bool find_start(struct str pattern, struct str text, int flags, size_t *ret)
{
    /* Cheapest first: an ASCII letter differs from its other case in bit 5 alone. */
    unsigned char first = (unsigned char)pattern.p[0];
    bool plain = first < 0x80 && first != '*' && first != '?';
    for (size_t pos = 0; pos <= text.n; pos++) {
        if (plain && (pos == text.n || (text.p[pos] | 0x20) != (first | 0x20)))
            continue;
        if (at_boundary(text, pos) && may_start(pattern, text, pos, flags)) {
            *ret = pos;
            return true;
        }
    }
    return false;
}

bool glob_finds_words(struct str pattern, struct str text, int flags)
{
    struct machine m;
    size_t pos;
    if (pattern.n == 0 || !find_start(pattern, text, flags, &pos) ||
        !machine_init(&m, pattern, flags))
        return false;
    struct states s = {{0}};
    for (;;) {
        if (at_boundary(text, pos)) {
            set_bit(&s, 0);
            if (has_bit(&s, m.n))
                return true;
        }
        if (pos == text.n)
            return false;
        machine_step(&m, glob_folded(glob_next_char(text, &pos), flags), &s);
    }
}
