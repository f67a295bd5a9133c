/* The tokens of JSON: shared by the scanner and the canonical writer, for no other file.
 *
 * The `lex` functions validate and return the position behind the token, NULL when it is malformed.
 * The `skip` functions walk over bytes that were validated before; on other bytes they stay within
 * the range and give nonsense. */
#ifndef MATRIX_JSON_LEX_H
#define MATRIX_JSON_LEX_H

#include "base/str.h"

static inline const char *json_lex_space(const char *p, const char *end)
{
    while (p < end && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t'))
        p++;
    return p;
}

/* p is at the opening quote. Reports whether a backslash occurred. */
const char *json_lex_string(const char *p, const char *end, bool *ret_escaped);

/* p is at a backslash. Surrogate pairs give one code point. */
const char *json_lex_escape(const char *p, const char *end, uint32_t *ret_code_point);

/* Reports whether there is neither fraction nor exponent. */
const char *json_lex_number(const char *p, const char *end, bool *ret_integer);

/* true, false, null */
const char *json_lex_word(const char *p, const char *end);

const char *json_skip_string(const char *p, const char *end);
const char *json_skip_value(const char *p, const char *end);

/* Does an escape stand for NUL between p and end, the inside of a valid string? */
bool json_lex_has_nul(const char *p, const char *end);

/* UTF-8 of a code point; the length. */
size_t json_lex_utf8(uint32_t code_point, char ret[4]);

#endif
