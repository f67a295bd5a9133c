#include "base/thread.h"

#include <assert.h>
#include <string.h>

enum { NAME_MAX_BYTES = 15 }; /* pthread_setname_np(3) */

bool thread_start_sized(pthread_t *ret, const char *name, size_t stack_bytes, void *(*run)(void *),
                        void *of)
{
    pthread_attr_t attr;
    pthread_t thread;
    assert(strlen(name) <= NAME_MAX_BYTES);
    pthread_attr_init(&attr);
    if (stack_bytes)
        pthread_attr_setstacksize(&attr, stack_bytes);
    bool started = pthread_create(&thread, &attr, run, of) == 0;
    pthread_attr_destroy(&attr);
    if (!started)
        return false;
    pthread_setname_np(thread, name);
    *ret = thread;
    return true;
}

bool thread_start(pthread_t *ret, const char *name, void *(*run)(void *), void *of)
{
    return thread_start_sized(ret, name, 0, run, of);
}
