/* Logging: one line a record, to standard error, as text or JSON (`log_format`). Library code never
 * logs; dispatchers (HTTP, the committer, background jobs, start-up) do. Secrets never go in. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/err.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };
enum log_format { LOG_TEXT, LOG_JSON };

void log_setup(enum log_level least, enum log_format format);
int log_wants(enum log_level level);

/* The id that every record of this thread carries from now on; NULL for none. Borrowed. */
void log_set_request(const char *request_id);

void log_at(enum log_level level, const char *fmt, ...) PRINTF_LIKE(2, 3);
#define log_debug(...) log_at(LOG_DEBUG, __VA_ARGS__)
#define log_info(...) log_at(LOG_INFO, __VA_ARGS__)
#define log_warn(...) log_at(LOG_WARN, __VA_ARGS__)
#define log_error(...) log_at(LOG_ERROR, __VA_ARGS__)

/* An error with its private cause, prefixed by what was being done. */
void log_err(enum log_level level, const char *doing, const struct err *e);

#endif
