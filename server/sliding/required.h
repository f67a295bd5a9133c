/* Which state of a room a client wants (MSC4186, `required_state`): rules of the request, combined
 * for each room, and encoded, since what a room was sent with is compared with what is wanted now.
 *
 * Rules live in the arena they were parsed with; several are combined by keeping them apart: an
 * event is wanted if any rule wants it. */
#ifndef SERVER_SLIDING_REQUIRED_H
#define SERVER_SLIDING_REQUIRED_H

#include "base/json.h"

enum {
    REQUIRED_ENTRIES_MAX = 200, /* of a rule */
    REQUIRED_TEXT_MAX = 1020,   /* bytes of a type or state key */
    REQUIRED_RULES_MAX = 32     /* that are combined */
};

struct required_entry {
    const char *type, *key; /* NULL: any */
};

struct required_rule {
    const struct required_entry *include, *exclude;
    size_t include_n, exclude_n;
    bool lazy; /* members are loaded lazily: no entry without a key is about them */
    /* The deployed form: an entry for any type and any key does not hold for types that other
     * entries name. */
    bool narrows;
    struct str code; /* the rule in bytes; equal rules have the same */
};

/* The deployed form, an array of pairs with "*", "$ME" and "$LAZY"; or the object of the accepted
 * form. M_BAD_JSON, M_INVALID_PARAM. */
const struct err *required_parse_pairs(struct arena *a, const json_t *array,
                                       struct required_rule *ret);
const struct err *required_parse_object(struct arena *a, const json_t *object,
                                        struct required_rule *ret);

/* Rules combined for a room; `me` is the reader: what "$ME" stands for. */
struct required {
    const char *me;
    const struct required_rule *rules[REQUIRED_RULES_MAX];
    size_t n;
};
void required_add(struct required *r, const struct required_rule *rule);
/* The rules in one code, whatever their order; in the arena. */
struct str required_code(struct arena *a, const struct required *r);
/* False if these are not bytes of required_code(). */
bool required_decode(struct arena *a, struct str code, const char *me, struct required *ret);

/* Not for members that are loaded lazily. */
bool required_wants(const struct required *r, const char *type, const char *key);
bool required_is_lazy(const struct required *r);         /* some members, as they are needed */
bool required_has_all_members(const struct required *r); /* then it is not lazy */
/* The users who are named as members to be sent; in the arena. */
const char *const *required_members(struct arena *a, const struct required *r, size_t *ret_n);

#endif
