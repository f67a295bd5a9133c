/* The keyring's memory: servers, their keys, and when they may be asked again. A server
 * that is being asked is not evicted. The keyring takes the lock of the cache. */
#ifndef FEDERATION_KEYS_KEY_TABLE_H
#define FEDERATION_KEYS_KEY_TABLE_H

#include "base/cache.h"
#include "storage/servers/server_keys.h"

struct known_key {
    char *id, *public_key;
    int64_t valid_until_ts;
};

struct key_server {
    struct cache_entry entry; /* pinned: queued, or being asked */
    struct key_table *table;
    char *name;
    struct known_key *keys;
    size_t n;
    bool loaded;          /* from the database */
    bool is_asked;        /* by a thread: no other one asks it */
    bool notaries_asked;  /* since it was queued, without success */
    int64_t give_up_mono; /* when no request waits for it any more */
    char *missing_id;     /* the wanted key; NULL: any */
    int failures;         /* in a row */
    int64_t asked_mono;   /* when the last request ended */
    int64_t retry_mono;   /* not to be asked before */
};

struct key_table {
    struct cache servers;
};

void key_table_init(struct key_table *t, struct cache_budget *b);
void key_table_finish(struct key_table *t);

/* The server's entry, marked as used; created if missing. */
struct key_server *key_table_use(struct key_table *t, const char *server);
struct key_server *key_table_find(const struct key_table *t, const char *server); /* or NULL */

enum key_source {
    KEY_SOURCE_OLDER, /* only adds unknown keys */
    KEY_SOURCE_NEWER, /* from notaries: also extends a known key's validity */
    KEY_SOURCE_DIRECT /* from the server itself, which may also replace the key of an id */
};
void key_server_put(struct key_server *s, const struct server_key *key, enum key_source source);

/* NULL if it has no key of that id that is valid at that time (0: at any). */
const struct known_key *key_server_find(const struct key_server *s, const char *key_id,
                                        int64_t valid_at_ms);

/* The server was asked and has answered, or not: sets when it may be asked again. wait_ms > 0: it
 * asked us to wait so long, which is no failure. */
void key_server_asked(struct key_server *s, bool answered, int64_t wait_ms, int64_t now_mono);
void key_server_dropped(struct key_server *s); /* removed from the queue unasked */
/* Whether it may be asked. urgent: it is known to be reachable, since it sent a request. */
bool key_server_is_due(const struct key_server *s, bool urgent, int64_t now_mono);

#endif
