/* The canonical form of a jansson tree (see canonical_json.h). */
#include "matrix/canonical_json.h"

static const struct err *check_tree(enum canonical_mode mode, const json_t *v, int depth)
{
    const char *key;
    json_t *member;
    size_t i;
    if (depth > JSON_DEPTH_MAX)
        return err(ERR_BAD_JSON, "The JSON is nested deeper than %d levels", JSON_DEPTH_MAX);
    json_object_foreach ((json_t *)v, key, member)
        TRY(check_tree(mode, member, depth + 1));
    json_array_foreach (v, i, member)
        TRY(check_tree(mode, member, depth + 1));
    if (mode != CANONICAL_STRICT)
        return NULL;
    if (json_is_real(v))
        return err(ERR_BAD_JSON, "Numbers must be integers");
    if (json_is_integer(v) &&
        (json_integer_value(v) > CANONICAL_INT_MAX || json_integer_value(v) < -CANONICAL_INT_MAX))
        return err(ERR_BAD_JSON, "Integers must be between -(2^53 - 1) and 2^53 - 1");
    return NULL;
}

const struct err *canonical_json_check_tree(const json_t *v)
{
    return check_tree(CANONICAL_STRICT, v, 0);
}

const struct err *canonical_json_add_tree(struct buf *b, enum canonical_mode mode, const json_t *v)
{
    TRY(check_tree(mode, v, 0));
    buf_add_json(b, v);
    return NULL;
}
