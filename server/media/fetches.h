/* The media being fetched from other servers: each only once for any number of requests, and a
 * bounded number from one server, so that a slow one does not hold all workers. A failed fetch is
 * not repeated for a while. */
#ifndef SERVER_MEDIA_FETCHES_H
#define SERVER_MEDIA_FETCHES_H

#include "base/err.h"
#include "base/waiter.h"

struct fetches;

struct fetches *fetches_create(void);
void fetches_destroy(struct fetches *f); /* NULL-safe */

enum fetch_role {
    FETCH_MINE,  /* the caller fetches it, then calls fetches_end */
    FETCH_WAIT,  /* another request does, or the server is at its bound: the waiter is woken */
    FETCH_FAILED /* recently: *ret_failed says why */
};
enum fetch_role fetches_begin(struct fetches *f, const char *server, const char *media_id,
                              struct waiter *w, struct err *ret_failed);
/* failed: NULL when it was fetched. */
void fetches_end(struct fetches *f, const char *server, const char *media_id,
                 const struct err *failed);

#endif
