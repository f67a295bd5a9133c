#include "base/sodium.h"

#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>

static void initialize(void)
{
    if (sodium_init() < 0)
        abort();
}

void sodium_begin(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, initialize);
}
