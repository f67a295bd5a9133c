/* Text of users and servers cannot break the lines of the log. */
#include "base/log.h"
#include "base/str.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>

#include <cmocka.h>

/* The record with this message and this field. */
static struct str written(char *into, size_t size, enum log_format format, const char *text)
{
    int pipe_ends[2], kept = dup(STDERR_FILENO);
    assert_int_equal(pipe(pipe_ends), 0);
    dup2(pipe_ends[1], STDERR_FILENO);
    log_setup(LOG_INFO, format, false);
    log_record(LOG_WARN, &(struct log_field){.name = "who", .text = text}, 1, "it says %s", text);
    dup2(kept, STDERR_FILENO);
    close(kept);
    close(pipe_ends[1]);
    ssize_t n = read(pipe_ends[0], into, size);
    close(pipe_ends[0]);
    assert_true(n > 0);
    return (struct str){into, (size_t)n};
}

static const char *const texts[] = {
    "caf\xc3", /* cut */
    "\xff\xc2\x9b"
    "2J", /* not UTF-8, then an escape sequence that clears the screen */
    "a\nb\x1b[2J\"",
    "\u00e9\u00a0\U0001f980",
};

static void json_remains_json(void **state)
{
    char line[4096];
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct str s = written(line, sizeof line, LOG_JSON, texts[i]);
        json_t *o = json_loadb(s.p, s.n, 0, NULL);
        assert_non_null(o);
        assert_non_null(json_object_get(o, "who"));
        assert_null(memmem(s.p, s.n, "\xc2\x9b", 2));
        json_decref(o);
    }
}

static void text_is_one_line_of_characters(void **state)
{
    char line[4096];
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct str s = written(line, sizeof line, LOG_TEXT, texts[i]);
        assert_true(utf8_valid(s));
        assert_null(memmem(s.p, s.n, "\xc2\x9b", 2));
        assert_null(memchr(s.p, 0x1b, s.n));
        assert_ptr_equal(memchr(s.p, '\n', s.n), s.p + s.n - 1);
    }
}

static void a_long_message_is_cut_between_characters(void **state)
{
    char text[4001] = "xx", line[8192];
    for (size_t i = 2; i + 2 < sizeof text; i += 2)
        memcpy(text + i, "\xc3\xa9", 2);
    text[sizeof text - 1] = '\0';
    struct str s = written(line, sizeof line, LOG_JSON, text);
    json_t *o = json_loadb(s.p, s.n, 0, NULL);
    assert_non_null(o);
    json_decref(o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_remains_json),
        cmocka_unit_test(text_is_one_line_of_characters),
        cmocka_unit_test(a_long_message_is_cut_between_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
