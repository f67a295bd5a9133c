/* Shared by the fuzz targets. A target is one file fuzz_<name>.c that defines
 * LLVMFuzzerTestOneInput, with seeds in corpus/fuzz_<name>/. `make fuzz` links it with libFuzzer,
 * `make fuzz-replay` with replay.c. */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include "base/json.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* An invariant that must hold for any input. */
#define HOLDS(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: broken: %s (%s)\n", __FILE__, __LINE__, #condition,            \
                    strerror(errno));                                                              \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

static inline struct str fuzz_str(const uint8_t *data, size_t size)
{
    return (struct str){(const char *)data, size};
}

/* A thread that never ends. It blocks libFuzzer's alarm, which would interrupt its waits. */
static inline void fuzz_start_thread(void *(*run)(void *), void *arg)
{
    pthread_t thread;
    sigset_t alarm, before;
    sigemptyset(&alarm);
    sigaddset(&alarm, SIGALRM);
    pthread_sigmask(SIG_BLOCK, &alarm, &before);
    HOLDS(!pthread_create(&thread, NULL, run, arg) && !pthread_detach(thread));
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

#endif
