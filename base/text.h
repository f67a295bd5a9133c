/* Text as people write it, by ICU's tables: one normalisation, one folding.
 *
 * Normalised (NFKC): the same characters in the same form, whatever system they were typed on.
 * Folded: also without case and accents, for searching. Latin, Greek, Hebrew and Arabic letters
 * lose every mark; Cyrillic ones lose accents and the diaeresis of U+0451, but not marks that make
 * another letter (U+0439, U+0457, U+045E). Latin letters without a decomposition become ASCII
 * letters, as with PostgreSQL's unaccent: oe for U+0153, ss for U+00DF, o for U+00F8, i for U+0131,
 * l for U+0142, d for U+0111. Marks of other scripts stay, since they are vowels there. Ignorable
 * characters (soft hyphen, joiners) are removed. Folding a folded text changes nothing.
 *
 * Malformed bytes become U+FFFD. A result may be eleven times as long as the original. Texts are at
 * most TEXT_BYTES_MAX long. */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include "base/str.h"

enum { TEXT_BYTES_MAX = 1 << 20 };

/* In the arena and NUL-terminated, or the text itself where nothing changes. */
struct str text_normalise(struct arena *a, struct str s);
struct str text_fold(struct arena *a, struct str s);

/* The same for a C string; NULL stays NULL. */
const char *text_fold_string(struct arena *a, const char *s);

/* For callers that ignore the case of ASCII anyway: a text of ASCII is not changed. */
struct str text_fold_unless_ascii(struct arena *a, struct str s);

/* Without case only (NFKC_Casefold), for stemmers. */
struct str text_fold_case(struct arena *a, struct str s);

/* Whether it is ASCII only, for which folding is lower case and all forms are the same. */
bool text_is_ascii(struct str s);

#endif
