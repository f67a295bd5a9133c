#include "check.h"

#include "federation/users/multipart.h"
#include "server/media/disposition.h"

/* ---- the boundary ---- */

static void test_boundary(void **state)
{
    static const struct {
        const char *header, *boundary; /* NULL: refused */
    } rows[] = {
        {"multipart/mixed; boundary=abc", "abc"},
        {"multipart/mixed;boundary=\"a b:c\"", "a b:c"},
        {"Multipart/Mixed ; charset=x ; Boundary = abc ; more=1", "abc"},
        {"multipart/mixed; boundary=\"a\\-b\"", "a-b"},
        {"multipart/mixed; lonely; boundary=abc", "abc"},
        {"multipart/mixed; other=\"; boundary=evil\"; boundary=good", "good"},
        {"multipart/mixed", NULL},
        {"multipart/mixed; boundary", NULL},
        {"multipart/mixed; boundary=", NULL},
        {"multipart/mixed; boundary=\"abc", "abc"}, /* nothing closes the quotes */
        {"multipart/mixed; boundary=\"abc \"", NULL},
        {"multipart/mixed; boundary=\"a\r\nb\"", NULL},
        {"multipart/mixed; boundary=a\"b", NULL},
        {"multipart/form-data; boundary=abc", NULL},
        {"application/json", NULL},
        {"", NULL},
        {NULL, NULL},
        {"multipart/mixed; boundary="
         "1234567890123456789012345678901234567890123456789012345678901234567890",
         "1234567890123456789012345678901234567890123456789012345678901234567890"},
        {"multipart/mixed; boundary="
         "12345678901234567890123456789012345678901234567890123456789012345678901",
         NULL},
    };
    arena_auto struct arena *a = arena_create();
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct str got = {0};
        bool ok = multipart_boundary(a, rows[i].header, &got);
        const char *on = rows[i].header ? rows[i].header : "no header";
        check_bool("is there a boundary", on, ok, rows[i].boundary != NULL);
        if (ok)
            check_text(on, got, rows[i].boundary);
    }
}

/* ---- the parts ---- */

/* Shows parts as "type|disposition|location|body". */
static void show(struct buf *b, const struct multipart_part *parts, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const char *const heads[] = {parts[i].content_type, parts[i].content_disposition,
                                     parts[i].location};
        buf_add_text(b, i ? " & " : "");
        for (size_t h = 0; h < COUNT(heads); h++) {
            buf_add_text(b, heads[h] ? heads[h] : "");
            buf_add_char(b, '|');
        }
        buf_add_str(b, parts[i].body);
    }
}

static void test_parts(void **state)
{
    static const struct {
        const char *proves, *body, *parts; /* NULL: refused */
    } rows[] = {
        {"as Concorde sends them",
         "--b\r\nContent-Type: application/json\r\n\r\n{}\r\n--b\r\nContent-Type: image/png\r\n"
         "Content-Disposition: inline\r\n\r\nPNG\r\n--b--\r\n",
         "application/json|||{} & image/png|inline||PNG"},
        {"a line break before the first, as Synapse sends them",
         "\r\n--b\r\nContent-Type: application/json\r\n\r\n{}\r\n--b\r\n\r\nx\r\n--b--",
         "application/json|||{} & |||x"},
        {"text before and behind is ignored", "hello\r\n--b\r\n\r\nx\r\n--b--\r\nbye", "|||x"},
        {"a redirect", "--b\r\n\r\n{}\r\n--b\r\nlocation:  https://x/y \r\n\r\n\r\n--b--",
         "|||{} & ||https://x/y|"},
        {"blanks behind a boundary", "--b \t\r\n\r\nx\r\n--b-- \r\n", "|||x"},
        {"an empty body", "--b\r\n\r\n\r\n--b--", "|||"},
        {"an empty body whose line break is the delimiter's", "--b\r\nA: b\r\n\r\n\r\n--b--",
         "|||"},
        {"text similar to a boundary is content", "--b\r\n\r\n\r\n--bb\r\n--b\r\r\n-b\r\n--b--",
         "|||\r\n--bb\r\n--b\r\r\n-b"},
        {"a bare line feed ends no line", "--b\r\n\r\nx\n--b--\r\n--b--", "|||x\n--b--"},
        {"header names ignore case", "--b\r\nCONTENT-type:a/b\r\n\r\nx\r\n--b--", "a/b|||x"},
        {"a header with control characters counts as absent",
         "--b\r\nContent-Type: a\x01z\r\nLocation: a\tb\r\n\r\nx\r\n--b--", "|||x"},
        {"no parts at all", "--b--", ""},
        {"nothing", "", NULL},
        {"no boundary", "hello", NULL},
        {"another boundary", "--c\r\n\r\nx\r\n--c--", NULL},
        {"the last boundary is missing", "--b\r\n\r\nx\r\n", NULL},
        {"the last boundary is cut off", "--b\r\n\r\nx\r\n--b-", NULL},
        {"headers without an empty line", "--b\r\nContent-Type: a/b\r\n--b--", NULL},
        {"three parts", "--b\r\n\r\n1\r\n--b\r\n\r\n2\r\n--b\r\n\r\n3\r\n--b--", NULL},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        arena_auto struct arena *a = arena_create();
        struct multipart_part parts[2];
        buf_auto struct buf got = {0};
        size_t n;
        const struct err *e = multipart_read(a, STR("b"), str_of(rows[i].body), parts, 2, &n);
        check_error(rows[i].proves, e, rows[i].parts ? NULL : "M_BAD_STATUS");
        if (!e)
            show(&got, parts, n);
        if (!e)
            check_text(rows[i].proves, buf_str(&got), rows[i].parts);
    }
}

static void test_too_many_headers(void **state)
{
    arena_auto struct arena *a = arena_create();
    buf_auto struct buf many = {0}, large = {0};
    struct multipart_part parts[2];
    size_t n;
    BUF_LIT(&many, "--b\r\n");
    for (int i = 0; i < 40; i++)
        buf_printf(&many, "X-%d: y\r\n", i);
    BUF_LIT(&many, "\r\nx\r\n--b--");
    check_error("many headers", multipart_read(a, STR("b"), buf_str(&many), parts, 2, &n),
                "M_BAD_STATUS");
    BUF_LIT(&large, "--b\r\nContent-Type: ");
    for (int i = 0; i < 20000; i++)
        buf_add_char(&large, 'x');
    BUF_LIT(&large, "\r\n\r\nx\r\n--b--");
    check_error("a large header", multipart_read(a, STR("b"), buf_str(&large), parts, 2, &n),
                "M_BAD_STATUS");
}

/* ---- file names ---- */

static void test_file_names(void **state)
{
    static const struct {
        const char *header, *name;
    } rows[] = {
        {"inline; filename=plain.png", "plain.png"},
        {"attachment; filename=\"a \\\"b\\\".png\"", "a \"b\".png"},
        {"inline; filename*=UTF-8''gr%C3%BC%c3%9fe.txt", "grüße.txt"},
        {"inline; filename*=utf-8'de'x%20y; filename=z", "x y"},
        {"inline; filename=z; filename*=utf-8''x", "x"},
        {"inline; filename*=iso-8859-1''x; filename=z", "z"},
        {"inline; filename*=utf-8''%ff; filename=z", "z"},
        {"inline; filename*=utf-8''a%0ab", NULL},
        {"inline; filename*=utf-8''100%; filename=z", "100%"},
        {"inline; filename*=utf-8''%4", "%4"},
        {"inline; filename*=utf-8x", NULL},
        {"inline; filename*=", NULL},
        {"inline; filename=\"\"", NULL},
        {"inline; filename=\"a\nb\"", NULL},
        {"inline", NULL},
        {"", NULL},
        {NULL, NULL},
    };
    arena_auto struct arena *a = arena_create();
    for (size_t i = 0; i < COUNT(rows); i++) {
        const char *got = disposition_file_name(a, rows[i].header);
        check_text(rows[i].header ? rows[i].header : "no header", str_of(got ? got : "NULL"),
                   rows[i].name ? rows[i].name : "NULL");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_boundary),
        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_too_many_headers),
        cmocka_unit_test(test_file_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
