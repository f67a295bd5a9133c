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

#include "storage/db/job.h"

struct sender;
struct sender *sender_create(struct store *store); /* listens to the feed */
void sender_start(struct sender *s);
void sender_halt(struct sender *s); /* begins nothing more; failures from here on do not count */
void sender_stop(struct sender *s); /* waits for what is being sent: end the HTTP client before */
void sender_destroy(struct sender *s);
void sender_add_metrics(struct sender *s, struct buf *out);

/* The server has contacted us, or answered: its back-off ends. Cheap; call at every request. */
void sender_heard_from(struct sender *s, const char *server);
/* Is the destination backed off now? For requests that do not insist. */
bool sender_is_backed_off(struct sender *s, const char *server);
/* A request of another kind failed or succeeded: feeds the same back-off. */
void sender_request_ended(struct sender *s, const char *server, bool reached);

#endif
