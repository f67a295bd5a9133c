/* What malloc keeps: bounded from the start, and given back to the system after bursts. */
#ifndef BASE_MEMORY_H
#define BASE_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

void memory_begin(int processors); /* before other threads are made */

/* To be called every few seconds, by one thread. Gives back what is free when it is much, and much
 * was taken or freed since the last time. True when it did. */
bool memory_trim(void);

/* Of this process, without what it shares with others (programs, libraries). */
size_t memory_resident(void);

#endif
