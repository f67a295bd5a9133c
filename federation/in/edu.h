/* EDUs: what servers tell each other besides events (server-server-api, "EDUs").
 *
 * Incoming: one handler for each type, in the table of federation/in/edu.c; unknown types are
 * ignored, and what a handler refuses harms no other. Outgoing: sources that turn the log beyond a
 * destination's cursor into EDUs; the sender (federation/out/sender.h) asks each in turn. */
#ifndef FEDERATION_IN_EDU_H
#define FEDERATION_IN_EDU_H

#include "storage/db/job.h"

/* content is hostile: the handler checks that origin may speak of the users and rooms it names. It
 * keeps nothing of it. */
typedef const struct err *edu_handler(struct job *job, const char *origin, const json_t *content);

edu_handler edu_typing, edu_receipt, edu_presence; /* edu_<type>.c */
edu_handler edu_device_list_update, edu_signing_key_update;

/* The same of what may be large: content is an object's bytes of a VALID document. */
const struct err *edu_direct_to_device(struct job *job, const char *origin, struct str content);

/* Runs the handler of {"edu_type":…,"content":…}, an object of a VALID document. Only our own
 * failures are errors. */
const struct err *edu_receive(struct job *job, const char *origin, struct str edu);

/* EDUs for one transaction: each a whole object as JSON bytes in the arena. content_json must be
 * canonical: transactions are signed as they are written. More than there is room for are dropped.
 * position: of the change that it tells of, or the last of several; 0: it is not in the log. */
struct edu_list {
    struct str edus[100];
    int64_t positions[100];
    const char *types[100]; /* literals */
    size_t n;
};
void edu_list_add(struct arena *a, struct edu_list *l, int64_t position, const char *type,
                  struct str content_json);

/* Typing is in no log: the sender keeps what is to be told (federation/out/sender_news.c). */
void edus_add_typing(struct arena *a, struct edu_list *l, const char *room_id, const char *user_id,
                     bool typing);

/* Adds what the server must be told of changes in (from, *until]; when the list gets full it lowers
 * *until to the position up to which everything is in it. Only what our own users did. */
typedef const struct err *edu_source(struct job *job, const char *server, int64_t from,
                                     int64_t *until, struct edu_list *l);

edu_source edus_to_device, edus_device_lists; /* never dropped */
edu_source edus_receipts, edus_presence;      /* of which the newest state is enough */

#endif
