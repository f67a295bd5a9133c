/* Asks for the device lists of other servers' users of which changes were missed, or the first one
 * came (server-server-api, "Device Management"): threads that take what is stale from the database
 * (storage/devices/remote_devices.h), so that a restart forgets nothing and no user is asked for
 * twice. One list of a server at a time, and later and later when it does not answer. Now and then
 * they forget the lists of users with whom no room is shared any more. */
#ifndef FEDERATION_USERS_DEVICE_WATCH_H
#define FEDERATION_USERS_DEVICE_WATCH_H

#include "storage/db/job.h"

struct device_watch;
struct device_watch *device_watch_create(struct node *node);
void device_watch_start(struct device_watch *w);
void device_watch_stop(struct device_watch *w); /* NULL-safe */
void device_watch_destroy(struct device_watch *w);
void device_watch_add_metrics(struct device_watch *w, struct buf *out);

/* There is a stale list. */
void device_watch_poke(struct device_watch *w);

#endif
