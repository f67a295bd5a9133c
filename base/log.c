#include "base/log.h"

#include "base/clock.h"
#include "base/str.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

static atomic_int least_level = LOG_INFO;
static atomic_int chosen_format = LOG_TEXT;
static atomic_bool requests_at_info;
static _Thread_local const char *request;

static const char *const level_names[] = {"debug", "info", "warn", "error"};

void log_setup(enum log_level least, enum log_format format, bool requests)
{
    least_level = least;
    chosen_format = format;
    requests_at_info = requests;
}

int log_wants(enum log_level level)
{
    return (int)level >= least_level;
}

enum log_level log_request_level(void)
{
    return requests_at_info ? LOG_INFO : LOG_DEBUG;
}

void log_set_request(const char *request_id)
{
    request = request_id;
}

/* ---- one record ---- */

struct record {
    enum log_level level;
    const struct log_field *fields;
    size_t fields_n;
    struct str message;
};

static void add_time(struct buf *line, int64_t ms)
{
    time_t seconds = (time_t)(ms / 1000);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    char text[40];
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
    buf_printf(line, "%s.%03dZ", text, (int)(ms % 1000));
}

/* Text of others may be cut in the middle of a character, or contain C1 controls, which terminals
 * obey: a line of JSON must stay JSON, and a line of text one line. */
static void add_clean(struct buf *out, struct str s)
{
    for (size_t i = 0, n; i < s.n; i += n) {
        n = utf8_sequence(s.p + i, s.n - i);
        bool is_control = n == 2 && s.p[i] == '\xc2' && (unsigned char)s.p[i + 1] < 0xa0;
        if (!n || is_control)
            buf_add_text(out, n ? " " : "\ufffd");
        else
            buf_add(out, s.p + i, n);
        n = n ? n : 1;
    }
}

static void add_json_field(struct buf *line, const struct log_field *f)
{
    if (!f->text && !f->is_number)
        return;
    buf_printf(line, ",\"%s\":", f->name);
    buf_auto struct buf text = {0};
    if (f->text) {
        add_clean(&text, str_of(f->text));
        buf_add_json_string(line, buf_str(&text));
    } else {
        buf_printf(line, "%.10g", f->number);
    }
}

static void add_json_record(struct buf *line, const struct record *r)
{
    BUF_LIT(line, "{\"time\":\"");
    add_time(line, now_ms());
    buf_printf(line, "\",\"level\":\"%s\",\"message\":", level_names[r->level]);
    buf_add_json_string(line, r->message);
    if (request) {
        BUF_LIT(line, ",\"request\":");
        buf_add_json_string(line, str_of(request));
    }
    for (size_t i = 0; i < r->fields_n; i++)
        add_json_field(line, &r->fields[i]);
    BUF_LIT(line, "}\n");
}

static void add_text_record(struct buf *line, const struct record *r)
{
    add_time(line, now_ms());
    buf_printf(line, " %-5s ", level_names[r->level]);
    if (request)
        buf_printf(line, "[%s] ", request);
    for (size_t i = 0; i < r->message.n; i++) { /* no forged lines, no terminal escapes */
        unsigned char c = (unsigned char)r->message.p[i];
        buf_add_char(line, c < 0x20 || c == 0x7f ? ' ' : (char)c);
    }
    buf_add_char(line, '\n');
}

static void write_record(const struct record *r)
{
    buf_auto struct buf line = {0};
    if (chosen_format == LOG_JSON)
        add_json_record(&line, r);
    else
        add_text_record(&line, r);
    for (size_t done = 0; done < line.n;) {
        ssize_t w = write(STDERR_FILENO, line.p + done, line.n - done);
        if (w <= 0)
            return;
        done += (size_t)w;
    }
}

/* ---- kinds of records that are counted ---- */

enum { KINDS_MAX = 256, MINUTE_MS = 60 * 1000 };

static struct {
    pthread_mutex_t mutex; /* no ranked lock: any may be held */
    struct kind {
        char name[80];
        int64_t since_ms; /* the minute */
        int written;
        unsigned long left_out;
    } kinds[KINDS_MAX]; /* the last: all kinds beyond these */
    size_t n;
} limits = {.mutex = PTHREAD_MUTEX_INITIALIZER};
static _Atomic int64_t summary_due_ms = INT64_MAX;

static struct kind *log_find_kind(const char *name)
{
    for (size_t i = 0; i < limits.n; i++)
        if (strncmp(limits.kinds[i].name, name, sizeof limits.kinds[i].name - 1) == 0)
            return &limits.kinds[i];
    struct kind *k = &limits.kinds[limits.n];
    if (limits.n == KINDS_MAX - 1)
        name = "other";
    else
        limits.n++;
    snprintf(k->name, sizeof k->name, "%s", name);
    return k;
}

/* The next summary that is due; a minute without further records leaves its own due. */
static bool take_summary(int64_t now, struct kind *ret)
{
    bool found = false;
    pthread_mutex_lock(&limits.mutex);
    int64_t next = INT64_MAX;
    for (size_t i = 0; i < KINDS_MAX; i++) {
        struct kind *k = &limits.kinds[i];
        int64_t due = k->since_ms + MINUTE_MS;
        if (!k->left_out)
            continue;
        if (due <= now && !found) {
            *ret = *k;
            k->left_out = 0;
            found = true;
        } else if (due < next) {
            next = due;
        }
    }
    atomic_store(&summary_due_ms, next);
    pthread_mutex_unlock(&limits.mutex);
    return found;
}

static void write_summaries(void)
{
    struct kind k;
    int64_t now = mono_ms();
    while (atomic_load(&summary_due_ms) <= now && take_summary(now, &k)) {
        char text[160];
        int n =
            snprintf(text, sizeof text, "%lu more records were left out: %s", k.left_out, k.name);
        struct log_field left_out = {
            .name = "left_out", .number = (double)k.left_out, .is_number = true};
        write_record(&(struct record){LOG_WARN, &left_out, 1, {text, (size_t)n}});
    }
}

bool log_limited(const char *name, int a_minute)
{
    if (log_wants(LOG_DEBUG))
        return true;
    write_summaries();
    pthread_mutex_lock(&limits.mutex);
    struct kind *k = log_find_kind(name);
    int64_t now = mono_ms();
    if (now - k->since_ms >= MINUTE_MS && !k->left_out) {
        k->since_ms = now;
        k->written = 0;
    }
    bool may = k->written < a_minute;
    k->written += may;
    k->left_out += !may;
    if (!may && k->since_ms + MINUTE_MS < atomic_load(&summary_due_ms))
        atomic_store(&summary_due_ms, k->since_ms + MINUTE_MS);
    pthread_mutex_unlock(&limits.mutex);
    return may;
}

/* ---- the interface ---- */

static void write_message(enum log_level level, const struct log_field *fields, size_t n,
                          const char *fmt, va_list ap)
{
    char text[2048];
    int length = vsnprintf(text, sizeof text, fmt, ap);
    if (length < 0)
        return;
    size_t kept = (size_t)length < sizeof text ? (size_t)length : sizeof text - 1;
    buf_auto struct buf clean = {0};
    add_clean(&clean, (struct str){text, kept});
    write_summaries();
    write_record(&(struct record){level, fields, n, buf_str(&clean)});
}

void log_at(enum log_level level, const char *fmt, ...)
{
    if (!log_wants(level))
        return;
    va_list ap;
    va_start(ap, fmt);
    write_message(level, NULL, 0, fmt, ap);
    va_end(ap);
}

void log_record(enum log_level level, const struct log_field *fields, size_t n, const char *fmt,
                ...)
{
    if (!log_wants(level))
        return;
    va_list ap;
    va_start(ap, fmt);
    write_message(level, fields, n, fmt, ap);
    va_end(ap);
}

void log_err(enum log_level level, const char *doing, const struct err *e)
{
    log_at(level, "%s: %s%s%s", doing, e->text, e->cause[0] ? ": " : "", e->cause);
}
