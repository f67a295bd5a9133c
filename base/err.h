/* Errors as values.
 *
 * A function that can fail returns `const struct err *`: NULL for success. The error carries a
 * code (errors.def maps it to the spec's errcode and HTTP status), a sentence for the client, and
 * a private cause for the log. Absence is not an error: it is a NULL output.
 *
 * Ownership: an error lives in a small per-thread ring and stays valid until the same thread has
 * made ERR_RING more of them; nothing needs freeing. To keep one longer, or to hand it to
 * another thread, copy the struct (it holds no pointers). */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <stdbool.h>
#include <stdint.h>

enum err_code {
#define ERR(name, errcode, status) ERR_##name,
#include "base/errors.def"
#undef ERR
    ERR_CODE_COUNT
};

enum {
    ERR_RING = 32,
    ERR_TEXT_MAX = 256,
    ERR_CAUSE_MAX = 384,
    ERR_FIELDS_MAX = 512,
    ERR_ERRCODE_MAX = 64
};

struct err {
    enum err_code code;
    int retry_after_ms;            /* > 0: also sent as Retry-After */
    int answered;                  /* the status that another server answered with; 0: none */
    char errcode[ERR_ERRCODE_MAX]; /* its errcode, sent on with its status; "": the code's */
    char text[ERR_TEXT_MAX];       /* for the client, UTF-8 */
    char cause[ERR_CAUSE_MAX];     /* for the log, never for the client */
    char fields[ERR_FIELDS_MAX];   /* further members of the reply: `"soft_logout":true`, or "" */
};

#define MUST_USE __attribute__((warn_unused_result))
#define PRINTF_LIKE(f, a) __attribute__((format(printf, f, a)))
#define NEVER_NULL __attribute__((returns_nonnull)) /* for static analysis */

/* An error with a sentence for the client. */
const struct err *err(enum err_code code, const char *text, ...)
    PRINTF_LIKE(2, 3) MUST_USE NEVER_NULL;

/* An internal failure: the client learns only that the server failed, the log gets the cause. */
const struct err *err_internal(const char *cause, ...) PRINTF_LIKE(1, 2) MUST_USE NEVER_NULL;

/* 503 with Retry-After: something needed (mostly the database) is unavailable for a while. */
const struct err *err_unavailable(int retry_after_ms, const char *cause, ...)
    PRINTF_LIKE(2, 3) MUST_USE NEVER_NULL;

/* A file could not be written: 507 when the disk, or the quota on it, is full, else internal. */
const struct err *err_storage(int errno_, const char *cause, ...)
    PRINTF_LIKE(2, 3) MUST_USE NEVER_NULL;

/* Adds raw JSON members to the reply, e.g. `"room_version":"9"`. Returns its argument. */
const struct err *err_with_fields(const struct err *e, const char *fields, ...)
    PRINTF_LIKE(2, 3) NEVER_NULL;

/* The same error with a private cause for the log. */
const struct err *err_with_cause(const struct err *e, const char *cause, ...)
    PRINTF_LIKE(2, 3) NEVER_NULL;

/* The same error, with a Retry-After. */
const struct err *err_with_retry(const struct err *e, int retry_after_ms) NEVER_NULL;

/* The same error, with the status that another server answered with, and with its errcode, unless
 * that is NULL or no errcode. */
const struct err *err_with_answer(const struct err *e, int status, const char *errcode) NEVER_NULL;

/* 429 M_LIMIT_EXCEEDED that says when to try again. */
const struct err *err_limit_exceeded(int retry_after_ms) MUST_USE NEVER_NULL;

/* A copy of an error that came from elsewhere, in this thread's ring. NULL stays NULL. */
const struct err *err_copy(const struct err *e) MUST_USE;

/* The code for an errcode that another server sent with that status: one with the same status if
 * possible, else the first. False when there is none. */
bool err_code_find(const char *errcode, int status, enum err_code *ret);

const char *err_errcode(const struct err *e); /* "M_FORBIDDEN" */
int err_status(const struct err *e);          /* HTTP status */

#define TRY(call)                                                                                  \
    do {                                                                                           \
        const struct err *try_err_ = (call);                                                       \
        if (try_err_)                                                                              \
            return try_err_;                                                                       \
    } while (0)

#endif
