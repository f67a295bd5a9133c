/* What concorde-thumbnail may do: compute, and write to what it holds.
 *
 * The steps are independent of each other, so that one that is broken through, or that the kernel
 * does not have, leaves the others. All are for a process with a single thread and are inherited by
 * the threads it makes later; none can be taken back. */
#ifndef SERVER_MEDIA_THUMBNAIL_CONFINE_H
#define SERVER_MEDIA_THUMBNAIL_CONFINE_H

#include <stdbool.h>

/* At the start. */
void confine_user(void);      /* root becomes a user that owns nothing; others stay who they are */
bool confine_resources(void); /* time, memory, files */

/* Once everything is loaded. */
bool confine_paths(void); /* Landlock: no path, no network; true also where the kernel has none */
bool confine_calls(void); /* an allow list of system calls; false where the kernel has no filters */

#endif
