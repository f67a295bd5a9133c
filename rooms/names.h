/* The names of a room's local members (display names and localparts) by their first word, so that
 * the members that a message mentions by name are found by the words of its body, without a search
 * for each member.
 *
 * Display names are kept folded by text_fold_unless_ascii(), and found in bodies folded so;
 * localparts as they are.
 *
 * A name matches only where its first word is a word of the body (a run of [A-Za-z0-9_]); a name
 * that begins with another character is found by that character. Not thread-safe: the room's lock
 * guards it. */
#ifndef ROOMS_NAMES_H
#define ROOMS_NAMES_H

#include "base/str.h"

struct name_index;

struct name_index *name_index_create(void);
void name_index_destroy(struct name_index *n); /* NULL-safe */

/* Adds a member, or replaces their names. display_name may be NULL. */
void name_index_put(struct name_index *n, int64_t user, const char *user_id,
                    const char *display_name);
void name_index_remove(struct name_index *n, int64_t user);
const char *name_index_display_name(const struct name_index *n, int64_t user); /* NULL: none */

/* Calls each() for every member with a name in the body, for some twice. */
void name_index_find(struct name_index *n, struct str body, void (*each)(void *ctx, int64_t user),
                     void *ctx);

#endif
