/* The tokens of JSON. Private to the scanner and the canonical writer.
 *
 * The `lex` functions validate and return the position after the token, NULL when it is malformed.
 * The `skip` functions walk over validated bytes; on other bytes they stay within the range and
 * return garbage. */
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

/* Whether an escape between p and end, the inside of a valid string, is a NUL. */
bool json_lex_has_nul(const char *p, const char *end);

/* Writes a code point as UTF-8; returns the length. */
size_t json_lex_utf8(uint32_t code_point, char ret[4]);

#endif
