/* Input: a Content-Type header, a newline, a Content-Disposition header, a newline, then a body. */
#include "fuzz.h"

#include "federation/users/multipart.h"
#include "server/media/disposition.h"

static struct str take_line(struct str *left)
{
    const char *end = memchr(left->p, '\n', left->n);
    struct str line = {left->p, end ? (size_t)(end - left->p) : left->n};
    left->p += line.n + (end != NULL);
    left->n -= line.n + (end != NULL);
    return line;
}

/* Values sent to clients stay within their header. */
static void check_header(const char *value)
{
    for (; value && *value; value++)
        HOLDS((unsigned char)*value >= ' ' && *value != 0x7f);
}

static void check_parts(struct arena *a, struct str boundary, struct str whole)
{
    struct multipart_part parts[2];
    size_t n = 0;
    if (multipart_read(a, boundary, whole, parts, 2, &n))
        return;
    HOLDS(n <= 2);
    const char *end = whole.p;
    for (size_t i = 0; i < n; i++) {
        HOLDS(parts[i].body.p >= end && parts[i].body.p + parts[i].body.n <= whole.p + whole.n);
        end = parts[i].body.p + parts[i].body.n;
        check_header(parts[i].content_type);
        check_header(parts[i].content_disposition);
        check_header(parts[i].location);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    arena_auto struct arena *a = arena_create();
    struct str left = fuzz_str(data, size), boundary;
    const char *type = str_dup(a, take_line(&left)), *disposition = str_dup(a, take_line(&left));
    const char *name = disposition_file_name(a, disposition);
    HOLDS(!name || (*name && strlen(name) <= FILE_NAME_MAX && utf8_valid(str_of(name))));
    check_header(name);
    if (multipart_boundary(a, type, &boundary))
        check_parts(a, boundary, left);
    check_parts(a, STR("b"), left);
    return 0;
}
