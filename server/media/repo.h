/* State of the media repository in this process: requests that wait for an upload or for a turn at
 * making a thumbnail, and counters. */
#ifndef SERVER_MEDIA_REPO_H
#define SERVER_MEDIA_REPO_H

#include "base/str.h"
#include "base/waiter.h"

struct media_repo;
struct fetches; /* server/media/fetches.h */

struct media_repo *media_repo_create(void);
void media_repo_destroy(struct media_repo *r);
void media_repo_add_metrics(struct media_repo *r, struct buf *out);

/* Wakes the waiter when that media was uploaded to this node (or other media in its hash bucket):
 * subscribe, look, then wait. Other nodes' uploads wake no request. */
void media_repo_await_upload(struct media_repo *r, struct waiter *w, const char *media_id);
void media_repo_uploaded(struct media_repo *r, const char *media_id);

/* A turn at making a thumbnail. False: all are in use; the waiter is woken when one is free, in the
 * order of calls. */
bool media_repo_take_decoder(struct media_repo *r, struct waiter *w);
void media_repo_release_decoder(struct media_repo *r);

/* The media being fetched from other servers. */
struct fetches *media_repo_fetches(struct media_repo *r);

enum media_count {
    COUNT_UPLOADS,
    COUNT_UPLOADED_BYTES,
    COUNT_DOWNLOADS,
    COUNT_THUMBNAILS_SERVED,
    COUNT_THUMBNAILS_MADE,
    COUNT_THUMBNAILS_FAILED,
    COUNT_FETCHES,
    COUNT_FETCHES_FAILED,
    COUNT_REMOTE_REMOVED,
    MEDIA_COUNTS
};
void media_repo_count(struct media_repo *r, enum media_count what, int64_t n);

#endif
