/* What the rooms floor owns as long as the node lives. Its parts have locks of their own. */
#ifndef ROOMS_ROOMS_H
#define ROOMS_ROOMS_H

struct rooms {
    struct room_cache *cache;            /* rooms/room_cache.h */
    struct auth_indexes *auth_indexes;   /* rooms/state/auth_index.h */
    struct txn_memory *txns;             /* rooms/write/txn.h */
    struct directory *directory;         /* rooms/read/directory.h */
    struct account_cache *account_cache; /* rooms/account_cache.h */
    struct erasures *erasures;           /* rooms/read/erasure.h */
    struct outlines *outlines;           /* rooms/read/outlines.h */
    struct search_indexer *indexer;      /* rooms/read/search_index.h */
};

#endif
