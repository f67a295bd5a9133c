#include "storage/relations.h"

SQL(relations_has_annotation_sql,
    "SELECT 1::int8 FROM relations l JOIN users u ON u.id = l.sender "
    "JOIN event_types t ON t.id = l.type WHERE l.parent = $1 AND l.rel_type = 'm.annotation' "
    "AND l.key = $2 AND u.user_id = $3 AND t.type = $4 LIMIT 1")

const struct err *relations_has_annotation(struct tx *tx, const struct room_version *v,
                                           const struct relation *r, const char *sender,
                                           const char *type, bool *ret)
{
    int64_t one;
    return db_one(tx, &relations_has_annotation_sql,
                  P(BYTES(event_id_to_bytes(tx->arena, v, r->parent)), TEXT(r->key), TEXT(sender),
                    TEXT(type)),
                  ret, R(INT_OUT(&one)));
}
