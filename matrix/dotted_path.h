/* Dot-separated property paths (appendices): `content.m\.relates_to.rel_type`. Pure, no
 * allocation. */
#ifndef MATRIX_DOTTED_PATH_H
#define MATRIX_DOTTED_PATH_H

#include "base/json.h"

enum { DOTTED_NAME_MAX = 255 }; /* longest property name with an escape */

/* Takes the first name off the path. `\.` and `\\` mean the second character, other backslashes are
 * literal. The name is in the path itself or, if it had escapes, in the buffer. False at the end of
 * the path (its p is then NULL) and for a name that is too long. */
bool dotted_path_next(struct str *path, char buffer[DOTTED_NAME_MAX], struct str *ret_name);

/* The value at a path; NULL when there is none. */
const json_t *dotted_path_get(const json_t *object, struct str path);

#endif
