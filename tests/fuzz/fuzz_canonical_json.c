/* The canonical writer accepts the same input as the scanner (but no numbers beyond doubles) and is
 * idempotent; the strict form agrees with the others and with the one made from a tree, and the
 * form for signed requests equals its own parsed and re-encoded copy. */
#include "fuzz.h"
#include "matrix/canonical_json.h"
#include "matrix/json_scan.h"

static void check_tree(enum canonical_mode mode, struct str doc, struct str canonical)
{
    buf_auto struct buf b = {0};
    json_auto_t *tree = json_loadb(doc.p, doc.n, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    if (!tree && mode == CANONICAL_SHORTEST)
        return; /* integers beyond 64 bits, which others accept */
    HOLDS(tree);
    HOLDS(!canonical_json_check_tree(tree) == (mode == CANONICAL_STRICT) ||
          mode == CANONICAL_SHORTEST);
    HOLDS(!canonical_json_add_tree(&b, mode, tree));
    HOLDS(str_eq(buf_str(&b), canonical));
}

static void check_idempotent(enum canonical_mode mode, struct str canonical)
{
    buf_auto struct buf b = {0};
    HOLDS(!json_scan_check(canonical));
    HOLDS(!canonical_json_add(&b, mode, canonical));
    HOLDS(str_eq(buf_str(&b), canonical));
}

static void check_lenient(enum canonical_mode mode, struct str doc, bool valid, struct buf *b)
{
    const struct err *e = canonical_json_add(b, mode, doc);
    HOLDS(e ? b->n == 0 && (e->code == ERR_BAD_JSON || !valid) : valid);
    if (!e)
        check_idempotent(mode, buf_str(b));
    if (!e && mode == CANONICAL_SHORTEST)
        check_tree(mode, buf_str(b), buf_str(b));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str doc = fuzz_str(data, size);
    buf_auto struct buf lenient = {0}, shortest = {0}, strict = {0};
    bool valid = !json_scan_check(doc);
    check_lenient(CANONICAL_LENIENT, doc, valid, &lenient);
    check_lenient(CANONICAL_SHORTEST, doc, valid, &shortest);
    HOLDS(!lenient.n == !shortest.n);
    const struct err *e = canonical_json_add(&strict, CANONICAL_STRICT, doc);
    HOLDS(e ? strict.n == 0 && (e->code == ERR_BAD_JSON || !valid) : valid);
    if (e)
        return 0;
    HOLDS(str_eq(buf_str(&strict), buf_str(&lenient)));
    HOLDS(str_eq(buf_str(&strict), buf_str(&shortest)));
    check_idempotent(CANONICAL_STRICT, buf_str(&strict));
    check_tree(CANONICAL_STRICT, doc, buf_str(&strict));
    return 0;
}
