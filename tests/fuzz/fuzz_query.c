/* Input: the part after the '?' of a request. */
#include "fuzz.h"

#include "http/query.h"

/* Encoded anew, every pair is the same. */
static void check_again(struct arena *a, const struct url_query *q)
{
    buf_auto struct buf out = {0};
    struct url_query again;
    BUF_LIT(&out, "");
    for (size_t i = 0; i < q->n; i++) {
        const char *parts[] = {q->pairs[i].name, q->pairs[i].value};
        for (int k = 0; k < 2; k++) {
            buf_add_text(&out, k ? "=" : i ? "&" : "");
            for (const char *p = parts[k]; *p; p++)
                buf_printf(&out, "%%%02x", (unsigned char)*p);
        }
    }
    HOLDS(!query_parse(a, out.p, &again));
    HOLDS(again.n == q->n);
    for (size_t i = 0; i < q->n; i++)
        HOLDS(strcmp(again.pairs[i].name, q->pairs[i].name) == 0 &&
              strcmp(again.pairs[i].value, q->pairs[i].value) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    arena_auto struct arena *a = arena_create();
    struct url_query q;
    const char *text = arena_memdup(a, data, size), *decoded;
    char *bytes = arena_alloc(a, size + 1);
    for (int plus = 0; plus < 2; plus++) {
        HOLDS(query_decode_bytes(fuzz_str(data, size), plus, bytes) <= size);
        if (!query_decode(a, fuzz_str(data, size), plus, &decoded))
            HOLDS(strlen(decoded) <= size && utf8_valid(str_of(decoded)));
    }
    if (query_parse(a, text, &q))
        return 0;
    HOLDS(q.n <= QUERY_PAIRS_MAX);
    for (size_t i = 0; i < q.n; i++)
        HOLDS(utf8_valid(str_of(q.pairs[i].name)) && utf8_valid(str_of(q.pairs[i].value)));
    check_again(a, &q);
    return 0;
}
