/* Sending to other servers: one cursor on the log for each destination (server-server-api,
 * "Transactions"; docs/architecture.md).
 *
 * A destination is a row (destinations.sent_position) and, while it has something to do, a struct
 * in memory. Its transactions go out one after the other: up to 50 PDUs and 100 EDUs from the log
 * beyond sent_position, which advances when they are acknowledged. A feed listener says which
 * destinations have news; a bounded number of threads do the work, so that a slow destination
 * delays no other. Typing is not stored and goes along when there is room. */
#ifndef FEDERATION_OUT_SENDER_H
#define FEDERATION_OUT_SENDER_H

#include "federation/federation.h"

struct sender;
struct sender *sender_create(struct node *node); /* listens to the feed */
void sender_start(struct sender *s);
void sender_halt(struct sender *s); /* begins nothing more; failures from here on do not count */
void sender_stop(struct sender *s); /* waits for what is being sent: end the HTTP client before */
void sender_destroy(struct sender *s);
void sender_add_metrics(struct sender *s, struct buf *out);

/* The server has contacted us, or answered: its back-off ends. Cheap; call at every request. */
void sender_heard_from(struct sender *s, const char *server);
/* fn is called when a server that was backed off is back. Set before sender_start; it runs with the
 * sender's lock held. */
void sender_on_return(struct sender *s, void (*fn)(void *of), void *of);
/* fn is called once a second by the keeper thread (early receipts). Set before sender_start. */
void sender_each_second(struct sender *s, const struct err *(*fn)(struct job *job));
/* For requests of other kinds: those that do not insist wait as long as the destination is backed
 * off, and how each ended feeds the same back-off. */
struct peer_watch sender_watch(struct sender *s);

#endif
