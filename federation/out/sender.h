/* Sends to other servers: one cursor on the log for each destination (server-server-api,
 * "Transactions"; docs/federation.md).
 *
 * A destination is a row (destinations.sent_position) and, while it has something to do, a struct
 * in memory. Its transactions are sent one after the other: up to 50 PDUs and 100 EDUs from the log
 * after sent_position, which advances when they are acknowledged. A feed listener notes which
 * destinations have pending changes; each is an item of work for a bounded number of threads, so
 * that a slow destination delays no other. Typing is not stored and is sent along if there is
 * space.
 *
 * One node at a time sends to a destination: the one that holds the lease of its slice
 * ("fed_sender", by name). It hears of the changes of all nodes. A node that takes a slice finds
 * in the database what is pending. */
#ifndef FEDERATION_OUT_SENDER_H
#define FEDERATION_OUT_SENDER_H

#include "federation/federation.h"

struct change;
struct sender;
struct sender *sender_create(struct node *node);
void sender_start(struct sender *s);
void sender_halt(struct sender *s); /* starts nothing more; failures no longer count */
/* Halts, waits a little for transactions that are under way, and stores the cursors: then the
 * leases may be given back. */
void sender_hand_over(struct sender *s, int within_ms);
void sender_stop(struct sender *s); /* waits for running requests: stop the HTTP client first */
void sender_destroy(struct sender *s);
void sender_on_changes(void *sender, const struct change *changes,
                       size_t n); /* a listener (storage/db/feed.h) */
void sender_add_metrics(struct sender *s, struct buf *out);

/* The server has sent a request or a reply: ends its back-off. Cheap; call at every request. */
void sender_heard_from(struct sender *s, const char *server);
/* fn is called when a server in back-off is reachable again. Set before sender_start; it runs with
 * the sender's lock held. */
void sender_on_return(struct sender *s, void (*fn)(void *of), void *of);
/* For other requests: those that do not insist wait while the destination is backed off, and the
 * result of each updates the same back-off. */
struct peer_watch sender_watch(struct sender *s);

#endif
