/* Fetches stale device lists of other servers' users: new ones, and those for which updates were
 * missed (server-server-api, "Device Management"). Its threads take stale lists from the database
 * (storage/devices/remote_devices.h), so that a restart loses none and none is fetched twice. One
 * list of a server at a time, with growing pauses if it does not answer. Periodically they delete
 * the lists of users who share no room with ours any more. */
#ifndef FEDERATION_USERS_DEVICE_WATCH_H
#define FEDERATION_USERS_DEVICE_WATCH_H

#include "storage/db/job.h"

struct device_watch;
struct device_watch *device_watch_create(struct node *node);
void device_watch_start(struct device_watch *w);
void device_watch_stop(struct device_watch *w); /* NULL-safe */
void device_watch_destroy(struct device_watch *w);
void device_watch_add_metrics(struct device_watch *w, struct buf *out);

/* Call when a list has become stale. */
void device_watch_poke(struct device_watch *w);

#endif
