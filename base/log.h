/* Logging: one line a record, to standard error, as text or JSON (`log_format`). Library code never
 * logs; dispatchers (HTTP, the committer, background jobs, start-up) do. Secrets are never logged.
 *
 * A record may have fields, which JSON has beside the message; the text format has only the
 * message. Records that a user or another server can cause at will are limited by log_limited. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/err.h"

#include <stddef.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };
enum log_format { LOG_TEXT, LOG_JSON };

/* requests: a record of each request at info, not at debug (log_request_level). */
void log_setup(enum log_level least, enum log_format format, bool requests);
int log_wants(enum log_level level);
enum log_level log_request_level(void);

/* The id that every record of this thread carries from now on; NULL for none. Borrowed. */
void log_set_request(const char *request_id);

void log_at(enum log_level level, const char *fmt, ...) PRINTF_LIKE(2, 3);
#define log_debug(...) log_at(LOG_DEBUG, __VA_ARGS__)
#define log_info(...) log_at(LOG_INFO, __VA_ARGS__)
#define log_warn(...) log_at(LOG_WARN, __VA_ARGS__)
#define log_error(...) log_at(LOG_ERROR, __VA_ARGS__)

/* An error with its private cause, after what was being done. */
void log_err(enum log_level level, const char *doing, const struct err *e);

struct log_field {
    const char *name;
    const char *text; /* NULL: the number; neither: left out */
    double number;
    bool is_number;
};
void log_record(enum log_level level, const struct log_field *fields, size_t n, const char *fmt,
                ...) PRINTF_LIKE(4, 5);

/* Whether one more record of this kind may be written: at most `a_minute` of a kind. Further ones
 * are counted, and the next record of any kind is preceded by one with their number. At debug level
 * all are written. kind: a short text, the same for all records that count together. */
bool log_limited(const char *kind, int a_minute);
enum { LOG_FEW = 10, LOG_MANY = 600 }; /* a minute */

#endif
