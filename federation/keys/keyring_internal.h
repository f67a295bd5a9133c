/* Private to federation/keyring*.c. */
#ifndef FEDERATION_KEYS_KEYRING_INTERNAL_H
#define FEDERATION_KEYS_KEYRING_INTERNAL_H

#include "base/map.h"
#include "base/worker/worker.h"
#include "federation/keys/key_fetch.h"
#include "federation/keys/key_table.h"
#include "federation/keys/keyring.h"

struct keyring {
    struct node *node;
    struct arena *arena; /* holds the settings */
    struct key_settings settings;

    struct key_table table; /* the lock of its cache guards what follows, too */
    pthread_cond_t answered;
    struct map unasked; /* servers that wait for a thread, and no notary was asked about them */
    struct worker_pool *pool;
    struct worker_kind *urgent, *others; /* the text of a key: the server */
    bool stopping;
    int64_t answers_n, failures_n;
};

/* Queues the server to be asked for its keys, above all for key_id (NULL: any). urgent: it does not
 * wait behind those that are not. It is dropped if it was not asked in time. */
void keyring_ask_locked(struct keyring *k, struct key_server *s, const char *key_id, bool urgent,
                        int64_t until_mono);

void keyring_create_askers(struct keyring *k);
void keyring_destroy_askers(struct keyring *k); /* stops them */

#endif
