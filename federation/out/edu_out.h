/* Sent EDUs (server-server-api, "EDUs"): sources that turn the log after a destination's cursor
 * into EDUs. The sender (federation/out/sender.h) calls each in turn. */
#ifndef FEDERATION_OUT_EDU_OUT_H
#define FEDERATION_OUT_EDU_OUT_H

#include "storage/db/job.h"

/* EDUs for one transaction: each a whole object as JSON bytes in the arena. content_json must be
 * canonical, since transactions are signed as they are written. EDUs beyond the limit are dropped.
 * position: of the change in the EDU, or of the last of several; 0: it is not in the log. */
struct edu_list {
    struct str edus[100];
    int64_t positions[100];
    const char *types[100]; /* literals */
    size_t n;
};
void edu_list_add(struct arena *a, struct edu_list *l, int64_t position, const char *type,
                  struct str content_json);

/* Typing is in no log: the sender keeps what must be sent (federation/out/sender_pending.c). */
void edu_out_typing(struct arena *a, struct edu_list *l, const char *room_id, const char *user_id,
                    bool typing);

/* Adds what the server must be sent of our users' changes in (from, *until]. If the list gets full,
 * it lowers *until to the position up to which the list is complete. */
typedef const struct err *edu_source(struct job *job, const char *server, int64_t from,
                                     int64_t *until, struct edu_list *l);

edu_source edu_out_to_device, edu_out_device_lists; /* never dropped */
edu_source edu_out_receipts, edu_out_presence;      /* only the newest state matters */

#endif
