/* The canonical writer: accepts what the scanner accepts, is idempotent, and the strict form agrees
 * with the lenient one and with the one made from a tree. */
#include "fuzz.h"
#include "matrix/canonical_json.h"
#include "matrix/json_scan.h"

static void check_tree(struct str doc, struct str canonical)
{
    buf_auto struct buf b = {0};
    json_auto_t *tree = json_loadb(doc.p, doc.n, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    HOLDS(tree);
    HOLDS(!canonical_json_add_tree(&b, CANONICAL_STRICT, tree));
    HOLDS(str_eq(buf_str(&b), canonical));
}

static void check_idempotent(enum canonical_mode mode, struct str canonical)
{
    buf_auto struct buf b = {0};
    HOLDS(!json_scan_check(canonical));
    HOLDS(!canonical_json_add(&b, mode, canonical));
    HOLDS(str_eq(buf_str(&b), canonical));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str doc = fuzz_str(data, size);
    buf_auto struct buf lenient = {0}, strict = {0};
    bool valid = !json_scan_check(doc);
    HOLDS(!canonical_json_add(&lenient, CANONICAL_LENIENT, doc) == valid);
    HOLDS(valid || lenient.n == 0);
    if (valid)
        check_idempotent(CANONICAL_LENIENT, buf_str(&lenient));
    const struct err *e = canonical_json_add(&strict, CANONICAL_STRICT, doc);
    HOLDS(e ? strict.n == 0 && (e->code == ERR_BAD_JSON || !valid) : valid);
    if (e)
        return 0;
    HOLDS(str_eq(buf_str(&strict), buf_str(&lenient)));
    check_idempotent(CANONICAL_STRICT, buf_str(&strict));
    check_tree(doc, buf_str(&strict));
    return 0;
}
