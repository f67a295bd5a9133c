/* Rate limits hold for all nodes together: each publishes what it has taken (http/rate.h), a few
 * times a second while other nodes live. */
#ifndef SERVER_NODE_RATES_H
#define SERVER_NODE_RATES_H

#include "storage/nodes/follower.h"

struct node;

#define NODE_RATES_CHANNEL "concorde_rates"

/* For the channel; ctx: the node's rate table. */
void node_rates_on_notify(void *rates, const char *payload);

/* After the follower has started. */
struct worker_kind *node_rates_start(const struct node *node);

#endif
