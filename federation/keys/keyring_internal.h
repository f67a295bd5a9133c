/* Private to federation/keyring*.c. */
#ifndef FEDERATION_KEYS_KEYRING_INTERNAL_H
#define FEDERATION_KEYS_KEYRING_INTERNAL_H

#include "federation/keys/key_fetch.h"
#include "federation/keys/key_table.h"
#include "federation/keys/keyring.h"

#include "base/lock.h"

enum { KEYRING_ASKERS_MAX = 32 };

struct keyring {
    struct node *node;
    struct arena *arena; /* of the settings */
    struct key_settings settings;

    struct lock lock; /* of what follows; a leaf */
    pthread_cond_t queued, answered;
    struct key_table table;
    struct key_server *first, *last; /* the queue */
    size_t queue_n;
    struct key_server *later;             /* those that want to be asked again later, in no order */
    pthread_t askers[KEYRING_ASKERS_MAX]; /* started when there is something to ask */
    size_t askers_n, idle_n;
    bool stopping;
    int64_t answers_n, failures_n;
};

/* Has the server asked for its keys, and for this one of them above all (NULL: any). urgent: before
 * all others. One that is still in the queue when the time is over is not asked. */
void keyring_ask_locked(struct keyring *k, struct key_server *s, const char *key_id, bool urgent,
                        int64_t until_mono);

#endif
