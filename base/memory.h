/* malloc's free memory: bounded from the start, and returned to the system after bursts. */
#ifndef BASE_MEMORY_H
#define BASE_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

void memory_begin(int processors); /* before other threads start */

/* To be called every few seconds, by one thread. Returns free memory to the system when there is
 * much, and much was allocated or freed since the last time. True when it did. */
bool memory_trim(void);

/* The resident memory of this process, without pages shared with others (programs, libraries). */
size_t memory_resident(void);

#endif
