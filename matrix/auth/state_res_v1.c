/* State resolution v1 (rooms/v1). */
#include "matrix/auth/state_res_internal.h"

#include <openssl/evp.h>

struct candidate {
    struct res_node *node;
    unsigned char sha1[20]; /* of the event id */
};

/* Ascending depth, then descending SHA-1. */
static int state_res_v1_by_depth(const void *left, const void *right)
{
    const struct candidate *a = left, *b = right;
    if (a->node->e->depth != b->node->e->depth)
        return a->node->e->depth < b->node->e->depth ? -1 : 1;
    return memcmp(b->sha1, a->sha1, sizeof a->sha1);
}

static const struct err *sort_candidates(struct res *r, const struct res_slot *slot,
                                         struct candidate **ret, size_t *ret_n)
{
    size_t n = 0;
    for (const struct res_candidate *c = slot->candidates; c; c = c->next)
        n++;
    struct candidate *list = arena_alloc_array(r->a, n, sizeof *list);
    n = 0;
    for (const struct res_candidate *c = slot->candidates; c; c = c->next) {
        list[n].node = c->node;
        const char *id = c->node->id;
        if (!EVP_Digest(id, strlen(id), list[n].sha1, NULL, EVP_sha1(), NULL))
            return err_internal("SHA-1 failed");
        n++;
    }
    qsort(list, n, sizeof *list, state_res_v1_by_depth);
    *ret = list;
    *ret_n = n;
    return NULL;
}

/* For the events that authorization depends on: each must be allowed by the previous one. */
static const struct err *resolve_auth_slot(struct res *r, struct res_slot *slot)
{
    struct candidate *list;
    size_t n;
    TRY(sort_candidates(r, slot, &list, &n));
    for (size_t i = 0; i < n; i++) {
        if (i > 0 && !res_allows(r, list[i].node, false))
            break;
        slot->id = list[i].node->id;
    }
    return NULL;
}

/* For any other event: the last of those that are allowed. */
static const struct err *resolve_other_slot(struct res *r, struct res_slot *slot)
{
    struct candidate *list;
    size_t n = 0;
    TRY(sort_candidates(r, slot, &list, &n));
    while (n && !res_allows(r, list[n - 1].node, false))
        n--;
    slot->id = n ? list[n - 1].node->id : NULL;
    return NULL;
}

static const struct round {
    const char *type; /* NULL: all other types */
    const struct err *(*resolve)(struct res *r, struct res_slot *slot);
} rounds[] = {
    {"m.room.power_levels", resolve_auth_slot},
    {"m.room.join_rules", resolve_auth_slot},
    {"m.room.member", resolve_auth_slot},
    {NULL, resolve_other_slot},
};

static bool state_res_v1_is_for(const struct round *round, const struct res_slot *slot)
{
    const struct round *first = rounds;
    while (first->type && strcmp(first->type, slot->type) != 0)
        first++;
    return first == round;
}

/* No slot sees the outcome of another one in the same round, so that their order does not matter.
 */
static const struct err *resolve_round(struct res *r, const struct round *round)
{
    struct outcome {
        struct res_slot *slot;
        const char *id;
        struct outcome *next;
    } *outcomes = NULL;
    for (struct res_slot *slot = r->first_slot; slot; slot = slot->next) {
        if (slot->unconflicted || !state_res_v1_is_for(round, slot))
            continue;
        TRY(round->resolve(r, slot));
        struct outcome *o = arena_alloc(r->a, sizeof *o);
        *o = (struct outcome){slot, slot->id, outcomes};
        outcomes = o;
        slot->id = NULL;
    }
    for (; outcomes; outcomes = outcomes->next)
        outcomes->slot->id = outcomes->id;
    return NULL;
}

const struct err *res_resolve_v1(struct res *r)
{
    for (struct res_slot *slot = r->first_slot; slot; slot = slot->next)
        slot->id = slot->unconflicted ? slot->agreed_id : NULL;
    res_prepare(r, &r->conflicted);
    for (size_t i = 0; i < sizeof rounds / sizeof *rounds; i++)
        TRY(resolve_round(r, &rounds[i]));
    return NULL;
}
