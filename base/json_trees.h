/* The memory of all JSON trees. Sources share it (base/budget.h); when there is too little, trees
 * wait until others are freed, and the sources take turns: the one that holds least is next, and no
 * other overtakes it. Small trees have a part of their own, of which a source may hold only a
 * little, so that they never wait for a large one. */
#ifndef BASE_JSON_TREES_H
#define BASE_JSON_TREES_H

#include "base/budget.h"

enum {
    JSON_TREES_SMALL =
        1 << 20, /* the maximum size of a small tree, and of a source's small trees together */
    JSON_TREES_SMALL_MAX = 32 << 20, /* of all small trees */
    JSON_TREES_LARGE_MAX = 96 << 20, /* of all other trees, shared as budget_take() does */
    JSON_TREES_WAIT_MS = 10000
};

struct tree_memory {
    uint64_t source;
    size_t bytes;
    struct budget *from; /* NULL: nothing is drawn */
};

/* False: there is too little, or others wait. */
bool tree_memory_take(struct tree_memory *m);
/* Takes it even if there is too little. */
void tree_memory_overdraw(struct tree_memory *m);
/* Waits for it. False: the time is over. */
bool tree_memory_await(struct tree_memory *m);
void tree_memory_give_back(struct tree_memory *m);

size_t json_trees_bytes(void); /* drawn now, for metrics and tests */
int json_trees_waiting(void);

#endif
