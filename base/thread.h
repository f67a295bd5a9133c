/* Threads with names, as top, gdb and perf show them. */
#ifndef BASE_THREAD_H
#define BASE_THREAD_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

/* name: 15 bytes at most. stack_bytes: 0 for the usual size. false: the system gives no more
 * threads; *ret is written only on success. */
bool thread_start_sized(pthread_t *ret, const char *name, size_t stack_bytes, void *(*run)(void *),
                        void *of);
bool thread_start(pthread_t *ret, const char *name, void *(*run)(void *), void *of);

#endif
