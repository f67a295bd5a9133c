#include "base/log.h"

#include "base/clock.h"
#include "base/str.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

static atomic_int least_level = LOG_INFO;
static atomic_int chosen_format = LOG_TEXT;
static _Thread_local const char *request;

static const char *const level_names[] = {"debug", "info", "warn", "error"};

void log_setup(enum log_level least, enum log_format format)
{
    least_level = least;
    chosen_format = format;
}

int log_wants(enum log_level level)
{
    return (int)level >= least_level;
}

void log_set_request(const char *request_id)
{
    request = request_id;
}

static void add_time(struct buf *line, int64_t ms)
{
    time_t seconds = (time_t)(ms / 1000);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    char text[40];
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
    buf_printf(line, "%s.%03dZ", text, (int)(ms % 1000));
}

static void add_json_record(struct buf *line, enum log_level level, struct str message)
{
    BUF_LIT(line, "{\"time\":\"");
    add_time(line, now_ms());
    buf_printf(line, "\",\"level\":\"%s\",\"message\":", level_names[level]);
    buf_add_json_string(line, message);
    if (request) {
        BUF_LIT(line, ",\"request\":");
        buf_add_json_string(line, str_of(request));
    }
    BUF_LIT(line, "}\n");
}

static void add_text_record(struct buf *line, enum log_level level, struct str message)
{
    add_time(line, now_ms());
    buf_printf(line, " %-5s ", level_names[level]);
    if (request)
        buf_printf(line, "[%s] ", request);
    for (size_t i = 0; i < message.n; i++) /* no forged lines, no terminal escapes */
        buf_add_char(line, (unsigned char)message.p[i] < 0x20 ? ' ' : message.p[i]);
    buf_add_char(line, '\n');
}

void log_at(enum log_level level, const char *fmt, ...)
{
    if (!log_wants(level))
        return;
    buf_auto struct buf message = {0}, line = {0};
    va_list ap;
    va_start(ap, fmt);
    char text[2048];
    int n = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (n > 0)
        buf_add(&message, text, (size_t)n < sizeof text ? (size_t)n : sizeof text - 1);
    if (chosen_format == LOG_JSON)
        add_json_record(&line, level, buf_str(&message));
    else
        add_text_record(&line, level, buf_str(&message));
    for (size_t done = 0; done < line.n;) {
        ssize_t w = write(STDERR_FILENO, line.p + done, line.n - done);
        if (w <= 0)
            return;
        done += (size_t)w;
    }
}

void log_err(enum log_level level, const char *doing, const struct err *e)
{
    log_at(level, "%s: %s%s%s", doing, e->text, e->cause[0] ? ": " : "", e->cause);
}
