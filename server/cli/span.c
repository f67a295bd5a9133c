#include "server/cli/span.h"

#include <stdio.h>

const char *span_print(char ret[static SPAN_MAX], int64_t ms)
{
    long long s = ms > 0 ? (long long)(ms / 1000) : 0;
    if (s < 60)
        snprintf(ret, SPAN_MAX, "%lld s", s);
    else if (s < 3600)
        snprintf(ret, SPAN_MAX, "%lld min", s / 60);
    else if (s < 86400)
        snprintf(ret, SPAN_MAX, "%lld h %lld min", s / 3600, s / 60 % 60);
    else
        snprintf(ret, SPAN_MAX, "%lld d %lld h", s / 86400, s / 3600 % 24);
    return ret;
}
