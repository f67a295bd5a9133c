/* The keyring's memory: servers, what keys they have, and when they may be asked again. Bounded:
 * the server that was not used for longest is forgotten, unless it is being asked. Not thread-safe:
 * the keyring locks. */
#ifndef FEDERATION_KEYS_KEY_TABLE_H
#define FEDERATION_KEYS_KEY_TABLE_H

#include "base/map.h"
#include "storage/servers/server_keys.h"

struct known_key {
    char *id, *public_key;
    int64_t valid_until_ts;
};

struct key_server {
    char *name;
    struct known_key *keys;
    size_t n;
    bool loaded;                             /* from the database */
    bool asking;                             /* queued, or being asked */
    bool notaries_asked;                     /* since it was queued, in vain */
    int64_t not_before_mono;                 /* in the list of those that are asked later: when */
    int64_t give_up_mono;                    /* when no request waits for it any longer */
    char *missing_id;                        /* the key for which it is asked; NULL: any */
    int failures;                            /* in a row */
    int64_t asked_mono;                      /* when the last asking ended */
    int64_t retry_mono;                      /* not to be asked before */
    struct key_server *newer, *older, *next; /* by use; in the queue */
};

struct key_table {
    struct map servers;
    struct key_server *newest, *oldest;
    size_t max;
};

void key_table_finish(struct key_table *t);

/* The server's entry, now the newest; made when there is none. */
struct key_server *key_table_use(struct key_table *t, const char *server);
struct key_server *key_table_find(const struct key_table *t, const char *server); /* or NULL */

enum key_source {
    KEY_SOURCE_OLDER, /* only tells of keys that are not known */
    KEY_SOURCE_NEWER, /* from others: also how long a known key is valid */
    KEY_SOURCE_DIRECT /* from the server itself, which alone can give an id to another key */
};
void key_server_put(struct key_server *s, const struct server_key *key, enum key_source source);

/* NULL when it has none of that id that is valid at that time (0: at any). */
const struct known_key *key_server_find(const struct key_server *s, const char *key_id,
                                        int64_t valid_at_ms);

/* A thread has asked it and got, or did not get, an answer: says when it may be asked again.
 * wait_ms > 0: so late it wants to be asked again, which is no failure. */
void key_server_asked(struct key_server *s, bool answered, int64_t wait_ms, int64_t now_mono);
void key_server_dropped(struct key_server *s); /* it was not asked after all */
/* May it be asked? urgent: it is known to be there, for it speaks to us. */
bool key_server_is_due(const struct key_server *s, bool urgent, int64_t now_mono);

#endif
