#include "check.h"

#include "server/media/disposition.h"

static const struct {
    const char *proves, *type, *name, *wanted;
} rows[] = {
    {"safe types are inline", "image/png", NULL, "inline"},
    {"others are not", "text/html", NULL, "attachment"},
    {"SVG holds scripts", "image/svg+xml", NULL, "attachment"},
    {"parameters do not matter", "text/plain; charset=utf-8", NULL, "inline"},
    {"parameters without a space", "text/plain;charset=utf-8", NULL, "inline"},
    {"parameters do not help", "text/html; a=image/png", NULL, "attachment"},
    {"case does not matter", "Image/WebP", NULL, "inline"},
    {"the beginning is not enough", "image/png2", NULL, "attachment"},
    {"a part is not enough", "image/pn", NULL, "attachment"},
    {"spaces in front do not help", " text/html", NULL, "attachment"},
    {"nothing", "", NULL, "attachment"},
    {"two types are none", "image/png, text/html", NULL, "attachment"},
    {"a name", "image/png", "a.png", "inline; filename=\"a.png\""},
    {"a name of nothing", "image/png", "", "inline; filename=\"\""},
    {"quoted-pair", "a/b", "a\"b\\c", "attachment; filename=\"a\\\"b\\\\c\""},
    {"RFC 8187, UTF-8", "a/b", "ü€.txt", "attachment; filename*=utf-8''%C3%BC%E2%82%AC.txt"},
    {"RFC 8187, attr-char", "a/b", "ü!#$&+-.^_`|~09azAZ",
     "attachment; filename*=utf-8''%C3%BC!#$&+-.^_`|~09azAZ"},
    {"RFC 8187, not attr-char", "a/b", "ü *'%()<>@,;:\"/[]?={}",
     "attachment; filename*=utf-8''%C3%BC%20%2A%27%25%28%29%3C%3E%40%2C%3B%3A%22%2F%5B%5D%3F%3D%7B"
     "%7D"},
    {"no way out of the line", "a/b", "a\r\nb: c", "attachment; filename*=utf-8''a%0D%0Ab%3A%20c"},
    {"DEL", "a/b", "a\x7f", "attachment; filename*=utf-8''a%7F"},
    {"percent signs", "a/b", "100%41", "attachment; filename*=utf-8''100%2541"},
};

static void test_dispositions(void **state)
{
    for (size_t i = 0; i < COUNT(rows); i++) {
        buf_auto struct buf b = {0};
        disposition_add(&b, rows[i].type, rows[i].name);
        check_text(rows[i].proves, buf_str(&b), rows[i].wanted);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_dispositions)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
