#include "base/err.h"

#include "base/str.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *errcode;
    int status;
} err_table[] = {
#define ERR(name, errcode, status) {errcode, status},
#include "base/errors.def"
#undef ERR
};

static _Thread_local struct err ring[ERR_RING];
static _Thread_local unsigned ring_next;

static struct err *next_in_ring(enum err_code code)
{
    struct err *e = &ring[ring_next++ % ERR_RING];
    e->code = code;
    e->retry_after_ms = e->answered = 0;
    e->errcode[0] = e->text[0] = e->cause[0] = e->fields[0] = '\0';
    return e;
}

/* `from` may be in the next slot. */
static struct err *copy_in_ring(const struct err *from)
{
    struct err copy = *from, *e = next_in_ring(from->code);
    *e = copy;
    return e;
}

/* Removes an incomplete character at the end: a text is cut at its maximum length, and may quote a
 * cut one, but clients are sent UTF-8. */
static void keep_whole_characters(char *text)
{
    struct str s = str_of(text);
    while (s.n && !utf8_valid(s))
        s.n--;
    text[s.n] = '\0';
}

const struct err *err(enum err_code code, const char *text, ...)
{
    struct err *e = next_in_ring(code);
    va_list ap;
    va_start(ap, text);
    vsnprintf(e->text, sizeof e->text, text, ap);
    va_end(ap);
    keep_whole_characters(e->text);
    return e;
}

const struct err *err_internal(const char *cause, ...)
{
    struct err *e = next_in_ring(ERR_INTERNAL);
    snprintf(e->text, sizeof e->text, "Internal server error");
    va_list ap;
    va_start(ap, cause);
    vsnprintf(e->cause, sizeof e->cause, cause, ap);
    va_end(ap);
    return e;
}

const struct err *err_unavailable(int retry_after_ms, const char *cause, ...)
{
    struct err *e = next_in_ring(ERR_UNAVAILABLE);
    e->retry_after_ms = retry_after_ms;
    snprintf(e->text, sizeof e->text, "The server is temporarily unable to answer; try again");
    va_list ap;
    va_start(ap, cause);
    vsnprintf(e->cause, sizeof e->cause, cause, ap);
    va_end(ap);
    return e;
}

const struct err *err_storage(int errno_, const char *cause, ...)
{
    bool full = errno_ == ENOSPC || errno_ == EDQUOT || errno_ == EFBIG;
    struct err *e = next_in_ring(full ? ERR_STORAGE_FULL : ERR_INTERNAL);
    snprintf(e->text, sizeof e->text, "%s",
             full ? "The server has no room left to store this" : "Internal server error");
    va_list ap;
    va_start(ap, cause);
    int n = vsnprintf(e->cause, sizeof e->cause, cause, ap);
    va_end(ap);
    if (n >= 0 && (size_t)n < sizeof e->cause)
        snprintf(e->cause + n, sizeof e->cause - (size_t)n, ": %s", strerror(errno_));
    return e;
}

const struct err *err_with_fields(const struct err *from, const char *fields, ...)
{
    struct err *e = copy_in_ring(from);
    va_list ap;
    va_start(ap, fields);
    vsnprintf(e->fields, sizeof e->fields, fields, ap);
    va_end(ap);
    return e;
}

const struct err *err_with_cause(const struct err *from, const char *cause, ...)
{
    struct err *e = copy_in_ring(from);
    va_list ap;
    va_start(ap, cause);
    vsnprintf(e->cause, sizeof e->cause, cause, ap);
    va_end(ap);
    return e;
}

const struct err *err_with_retry(const struct err *from, int retry_after_ms)
{
    struct err *e = copy_in_ring(from);
    e->retry_after_ms = retry_after_ms;
    return e;
}

static bool is_errcode(const char *s)
{
    size_t n = strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-");
    return n && !s[n] && n < ERR_ERRCODE_MAX;
}

const struct err *err_with_answer(const struct err *from, int status, const char *errcode)
{
    struct err *e = copy_in_ring(from);
    e->answered = status;
    if (errcode && is_errcode(errcode))
        snprintf(e->errcode, sizeof e->errcode, "%s", errcode);
    return e;
}

const struct err *err_limit_exceeded(int retry_after_ms)
{
    struct err *e = next_in_ring(ERR_LIMIT_EXCEEDED);
    e->retry_after_ms = retry_after_ms;
    snprintf(e->text, sizeof e->text, "Too many requests; try again in %d ms", retry_after_ms);
    snprintf(e->fields, sizeof e->fields, "\"retry_after_ms\":%d", retry_after_ms);
    return e;
}

const struct err *err_copy(const struct err *from)
{
    if (!from)
        return NULL;
    return copy_in_ring(from);
}

bool err_code_find(const char *errcode, int status, enum err_code *ret)
{
    bool found = false;
    for (int i = 0; i < ERR_CODE_COUNT; i++) {
        if (strcmp(err_table[i].errcode, errcode) != 0 || (found && err_table[i].status != status))
            continue;
        *ret = (enum err_code)i;
        if (err_table[i].status == status)
            return true;
        found = true;
    }
    return found;
}

const char *err_errcode(const struct err *e)
{
    return e->errcode[0] ? e->errcode : err_table[e->code].errcode;
}

int err_status(const struct err *e)
{
    return e->errcode[0] ? e->answered : err_table[e->code].status;
}
