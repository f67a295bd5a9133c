/* State resolution v2 (rooms/v2) and v2.1 (rooms/v12). */
#include "matrix/auth/auth_internal.h"
#include "matrix/auth/state_res_internal.h"

/* Events that may remove a user's ability to do something. */
static bool is_power_event(const struct res_node *node)
{
    const struct event *e = node->e;
    if (res_is(node, "m.room.power_levels", "") || res_is(node, "m.room.join_rules", ""))
        return true;
    if (strcmp(e->type, "m.room.member") != 0 || strcmp(e->sender, e->state_key) == 0)
        return false;
    enum membership membership = auth_membership_in(e);
    return membership == MEMBERSHIP_LEAVE || membership == MEMBERSHIP_BAN;
}

static const struct err *collect_full_conflicted(struct res *r, struct res_list *ret)
{
    struct res_list full = {0};
    for (size_t i = 0; i < r->conflicted.n; i++) {
        r->conflicted.nodes[i]->full = true;
        res_list_add(r->a, &full, r->conflicted.nodes[i]);
    }
    TRY(res_add_auth_difference(r, &full));
    if (r->v->state_res == STATE_RES_V2_1)
        TRY(res_add_conflicted_subgraph(r, &full));
    *ret = full;
    return NULL;
}

static void state_res_v2_pick(struct res *r, struct res_list *power, struct res_node *node)
{
    if (node->picked)
        return;
    node->picked = true;
    res_list_add(r->a, power, node);
}

/* Step 1: the power events and the part of their auth chains in the full conflicted set. The chains
 * are followed within that set only, as all deployed servers do. */
static void pick_power_events(struct res *r, const struct res_list *full, struct res_list *power)
{
    for (size_t i = 0; i < full->n; i++)
        if (is_power_event(full->nodes[i]))
            state_res_v2_pick(r, power, full->nodes[i]);
    for (size_t done = 0; done < power->n;) {
        size_t end = power->n;
        res_expand(r, power->nodes + done, end - done);
        for (; done < end; done++) {
            const struct res_node *node = power->nodes[done];
            for (size_t k = 0; k < node->auth_n; k++)
                if (node->auth[k]->full)
                    state_res_v2_pick(r, power, node->auth[k]);
        }
    }
}

/* rooms/v2, "Iterative auth checks". */
static void replay(struct res *r, const struct res_list *list)
{
    for (size_t i = 0; i < list->n; i++)
        if (res_allows(r, list->nodes[i], true))
            res_apply(r, list->nodes[i]->e);
}

const struct err *res_resolve_v2(struct res *r)
{
    struct res_list full, power = {0}, rest = {0};
    TRY(collect_full_conflicted(r, &full));
    res_expand(r, full.nodes, full.n);
    res_prepare(r, &full);
    pick_power_events(r, &full, &power);
    for (size_t i = 0; i < full.n; i++)
        if (!full.nodes[i]->picked)
            res_list_add(r->a, &rest, full.nodes[i]);

    if (r->v->state_res == STATE_RES_V2) /* v2.1 starts with the empty state */
        for (struct res_slot *slot = r->first_slot; slot; slot = slot->next)
            slot->id = slot->unconflicted ? slot->agreed_id : NULL;
    res_order_by_power(r, &power);
    replay(r, &power);
    TRY(res_order_by_mainline(r, &rest));
    replay(r, &rest);
    return NULL;
}
