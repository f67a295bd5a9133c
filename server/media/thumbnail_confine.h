/* What concorde-thumbnail may do: compute, and write to what it holds. */
#ifndef SERVER_MEDIA_THUMBNAIL_CONFINE_H
#define SERVER_MEDIA_THUMBNAIL_CONFINE_H

#include <stdbool.h>

bool confine_resources(void); /* at the start: time, memory, files */
bool confine_system(void);    /* once everything is loaded: system calls */

#endif
