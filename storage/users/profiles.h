/* Profiles of local users: one JSON object each, with displayname, avatar_url and custom fields
 * (client-server API, "Profiles"). */
#ifndef STORAGE_USERS_PROFILES_H
#define STORAGE_USERS_PROFILES_H

#include "storage/db/write.h"

struct profile {
    const char *displayname, *avatar_url; /* NULL: not set */
    struct str fields;                    /* raw JSON, an object; "{}" without a profile */
    int64_t position;                     /* of its newest change; 0: never changed */
};

/* One lookup by key. Everything is in the tx's arena. */
const struct err *profile_get(struct tx *tx, int64_t user, struct profile *ret);

/* What a membership change needs, in one query. */
struct member_profile {
    struct profile profile; /* displayname and avatar_url */
    bool has_own_rules;     /* push rules */
    int64_t rooms; /* that the user has joined or knocked on, counted up to rooms_max ... */
    int64_t made;  /* ... and that they have created, up to made_max */
};
const struct err *profile_of_member(struct tx *tx, int64_t user, int64_t rooms_max,
                                    int64_t made_max, struct member_profile *ret);

/* Replaces the fields, by the change `at` of this write, a CHANGE_PROFILE. `seen` is the position
 * of the profile that the new fields were made from: when there is a newer one, the write fails
 * with ERR_CONFLICT; PROFILE_SEEN_ANY replaces any. */
enum { PROFILE_SEEN_ANY = -1 };
void profile_write(struct write *w, int64_t user, struct str fields, int64_t seen, int at);

/* A display name (raw JSON; p NULL: none) folded for searching: text_fold(), without NUL; "" when
 * there is none. Stored beside the profile for the user directory. */
const char *profile_search_name(struct arena *a, struct str displayname);

/* Stores the folded names of the next `limit` profiles after *after that lack one; advances *after.
 * ret_more false: there are no further ones. */
const struct err *profiles_fold_names(struct tx *tx, int64_t *after, int64_t limit, bool *ret_more);

#endif
