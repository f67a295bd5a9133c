/* Which media are being fetched from other servers: each once at a time, however many ask for it,
 * and a bounded number from one server, so that a slow one does not keep all workers. What could
 * not be fetched is not tried again for a while. */
#ifndef SERVER_MEDIA_FETCHES_H
#define SERVER_MEDIA_FETCHES_H

#include "base/err.h"
#include "base/waiter.h"

struct fetches;

struct fetches *fetches_create(void);
void fetches_destroy(struct fetches *f); /* NULL-safe */

enum fetch_role {
    FETCH_MINE,  /* the caller fetches it, then calls fetches_end */
    FETCH_WAIT,  /* another does, or too much else comes from there: the waiter is woken */
    FETCH_FAILED /* lately: *ret_failed says why */
};
enum fetch_role fetches_begin(struct fetches *f, const char *server, const char *media_id,
                              struct waiter *w, struct err *ret_failed);
/* failed: NULL when it is here now. */
void fetches_end(struct fetches *f, const char *server, const char *media_id,
                 const struct err *failed);

#endif
