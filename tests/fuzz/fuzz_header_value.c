/* Input: the value of a header as another server or a client sends it: its parameters, the file
 * name that it gives as Content-Disposition, and the bytes that it asks for as Range. */
#include "fuzz.h"

#include "http/header_value.h"
#include "server/media/disposition.h"

static void check_parameter(struct arena *a, const char *value, const char *name)
{
    struct str found = {NULL, 0};
    if (header_value_parameter(a, value, name, &found))
        HOLDS(found.n <= strlen(value) && (found.n == 0 || found.p));
    struct str main = header_value_main(value);
    HOLDS(main.p >= value && main.p + main.n <= value + strlen(value));
    HOLDS(!memchr(main.p, ';', main.n));
}

/* The header made of it can be read again, and is one line. */
static void check_file_name(struct arena *a, const char *value)
{
    const char *name = disposition_file_name(a, value);
    if (!name)
        return;
    buf_auto struct buf out = {0};
    HOLDS(*name && strlen(name) <= FILE_NAME_MAX && utf8_valid(str_of(name)));
    disposition_add(&out, "text/plain", name);
    for (size_t i = 0; i < out.n; i++)
        HOLDS((unsigned char)out.p[i] >= ' ' && (unsigned char)out.p[i] < 0x7f);
    const char *again = disposition_file_name(a, out.p);
    HOLDS(again && strcmp(again, name) == 0);
}

static void check_range(struct str value, int64_t size)
{
    int64_t first = 0, last = size - 1;
    if (!header_value_range(value, size, &first, &last))
        return;
    bool is_whole = first == 0 && last == size - 1; /* also of an empty file */
    HOLDS(is_whole || (first >= 0 && first <= last && last < size));
    if (is_whole)
        return;
    int64_t from = -1, to = -1;
    char text[64];
    snprintf(text, sizeof text, "bytes=%lld-%lld", (long long)first, (long long)last);
    HOLDS(header_value_range(str_of(text), size, &from, &to) && from == first && to == last);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    arena_auto struct arena *a = arena_create();
    const char *value = arena_memdup(a, data, size);
    buf_auto struct buf any = {0};
    check_parameter(a, value, "charset");
    check_parameter(a, value, "filename");
    check_file_name(a, value);
    check_range(fuzz_str(data, size), 0);
    check_range(fuzz_str(data, size), 100);
    check_range(fuzz_str(data, size), INT64_MAX);
    disposition_add(&any, value, value); /* any bytes are safe */
    HOLDS(!memchr(any.p, '\n', any.n) && !memchr(any.p, '\r', any.n));
    return 0;
}
