/* An arena and a tx on a database, for a test that has no node. */
#ifndef TESTS_TX_SCOPE_H
#define TESTS_TX_SCOPE_H

#include "storage/db/db.h"

struct scope {
    struct arena *arena;
    struct tx tx;
};

static inline void scope_init(struct scope *s, struct db *db)
{
    s->arena = arena_create();
    tx_init(&s->tx, db, s->arena);
}

static inline void scope_finish(struct scope *s)
{
    tx_finish(&s->tx);
    arena_destroy(s->arena);
}

#endif
