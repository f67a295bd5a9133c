/* Confines concorde-thumbnail to computing and writing to its open files.
 *
 * The steps are independent of each other, so that the others hold if one is broken or the kernel
 * lacks it. All are for a process with a single thread and are inherited by its later threads; none
 * can be undone. */
#ifndef SERVER_MEDIA_THUMBNAIL_CONFINE_H
#define SERVER_MEDIA_THUMBNAIL_CONFINE_H

#include <stdbool.h>

/* At the start. */
void confine_user(void);      /* root becomes a user that owns nothing; other users stay */
bool confine_resources(void); /* time, memory, files */

/* Once everything is loaded. */
bool confine_paths(void); /* Landlock: no path, no network; true also where the kernel has none */
bool confine_calls(void); /* an allow-list of system calls; false where the kernel has no filters */

#endif
