/* Private to federation/keyring*.c. */
#ifndef FEDERATION_KEYS_KEYRING_INTERNAL_H
#define FEDERATION_KEYS_KEYRING_INTERNAL_H

#include "federation/keys/key_fetch.h"
#include "federation/keys/key_table.h"
#include "federation/keys/keyring.h"

enum { KEYRING_ASKERS_MAX = 32 };

struct keyring {
    struct node *node;
    struct arena *arena; /* holds the settings */
    struct key_settings settings;

    struct key_table table; /* the lock of its cache, a leaf, guards what follows, too */
    pthread_cond_t queued, answered;
    struct key_server *first, *last; /* the queue */
    size_t queue_n;
    struct key_server *later;             /* servers that asked us to wait, unordered */
    pthread_t askers[KEYRING_ASKERS_MAX]; /* started on demand */
    size_t askers_n, idle_n;
    bool stopping;
    int64_t answers_n, failures_n;
};

/* Queues the server to be asked for its keys, above all for key_id (NULL: any). urgent: before all
 * others. It is dropped from the queue if it was not asked in time. */
void keyring_ask_locked(struct keyring *k, struct key_server *s, const char *key_id, bool urgent,
                        int64_t until_mono);

#endif
