/* Shared by the unit tests of base/ and matrix/. */
#ifndef TESTS_UNIT_CHECK_H
#define TESTS_UNIT_CHECK_H

#include "base/json.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define COUNT(rows) (sizeof(rows) / sizeof *(rows))

/* JSON with single quotes made into JSON, so that rows stay readable. */
static inline char *quoted(struct arena *a, const char *text)
{
    char *copy = arena_strdup(a, text);
    for (char *p = copy; p && *p; p++)
        if (*p == '\'')
            *p = '"';
    return copy;
}

static inline void check_text(const char *proves, struct str got, const char *wanted)
{
    if (!str_is(got, wanted))
        fail_msg("%s:\n   got %.*s\nwanted %s", proves, STR_FMT(got), wanted);
}

/* errcode NULL: must succeed. */
static inline void check_error(const char *proves, const struct err *got, const char *errcode)
{
    const char *is = got ? err_errcode(got) : "success", *should = errcode ? errcode : "success";
    if (strcmp(is, should) != 0)
        fail_msg("%s: %s (%s) instead of %s", proves, is, got ? got->text : "", should);
}

static inline void check_bool(const char *proves, const char *on, bool got, bool wanted)
{
    if (got != wanted)
        fail_msg("%s: \"%s\" should be %d", proves, on, wanted);
}

#endif
