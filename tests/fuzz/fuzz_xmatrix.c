/* The Authorization header of other servers. A parsed one can be written and parsed again. */
#include "federation/routes/xmatrix.h"
#include "fuzz.h"

/* A quoted value, every byte escaped. */
static void add(struct buf *b, const char *name, const char *value)
{
    buf_printf(b, " ,%s=\"", name);
    for (; *value; value++) {
        buf_add_char(b, '\\');
        buf_add_char(b, *value);
    }
    buf_add_char(b, '"');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    arena_auto struct arena *a = arena_create();
    struct xmatrix x = {0}, again = {0};
    struct str header = fuzz_str(data, size);
    if (xmatrix_parse(a, header, &x))
        return 0;
    HOLDS(xmatrix_is_scheme(header) && x.origin && x.key_id && x.signature);
    buf_auto struct buf b = {0};
    buf_add_text(&b, "x-matrix ");
    add(&b, "signature", x.signature);
    add(&b, "Key", x.key_id);
    add(&b, "ORIGIN", x.origin);
    if (x.destination)
        add(&b, "destination", x.destination);
    HOLDS(!xmatrix_parse(a, buf_str(&b), &again));
    HOLDS(strcmp(x.origin, again.origin) == 0 && strcmp(x.key_id, again.key_id) == 0);
    HOLDS(strcmp(x.signature, again.signature) == 0);
    HOLDS(!x.destination == !again.destination);
    return 0;
}
