/* What other servers answered lately: profiles, aliases and spaces are asked for often, and the
 * specification lets us remember them for a while. In memory only, within a number of bytes: the
 * oldest answers go first. Thread-safe. */
#ifndef FEDERATION_ANSWERS_H
#define FEDERATION_ANSWERS_H

#include "base/str.h"

struct answers;

struct answers *answers_create(size_t bytes_max);
void answers_destroy(struct answers *a); /* NULL-safe */

/* True: something is remembered; *ret is a copy in the arena, or p == NULL for what answers_put was
 * given with p == NULL (there is no answer to be had). */
bool answers_get(struct answers *a, struct arena *arena, const char *key, struct str *ret);

/* Copies both. An answer that is larger than a sixteenth of all is not kept. */
void answers_put(struct answers *a, const char *key, struct str answer, int64_t keep_ms);

#endif
