/* JSON in tests: written with single quotes, so that it can be read. */
#ifndef TESTS_JSON_QUOTES_H
#define TESTS_JSON_QUOTES_H

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* A new reference; NULL text gives NULL. Aborts when the text is not JSON. */
static inline json_t *quoted(const char *text)
{
    if (!text)
        return NULL;
    char *copy = strdup(text);
    for (char *c = copy; *c; c++)
        if (*c == '\'')
            *c = '"';
    json_t *v = json_loads(copy, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    free(copy);
    if (!v)
        abort();
    return v;
}

#endif
