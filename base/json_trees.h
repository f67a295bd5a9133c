/* The memory of all JSON trees. Sources share it (base/budget.h); when there is not enough, trees
 * wait until others have gone, and the sources get their turns: the one that holds least is next,
 * and none passes it. Small trees have a part of their own, of which a source may hold so little
 * that they wait for no large one. */
#ifndef BASE_JSON_TREES_H
#define BASE_JSON_TREES_H

#include "base/budget.h"

enum {
    JSON_TREES_SMALL = 1 << 20,      /* a tree of at most so much; a source may hold so much ... */
    JSON_TREES_SMALL_MAX = 32 << 20, /* ... of this, and ... */
    JSON_TREES_LARGE_MAX = 96 << 20, /* ... of this as budget_take() gives */
    JSON_TREES_WAIT_MS = 10000
};

struct tree_memory {
    uint64_t source;
    size_t bytes;
    struct budget *from; /* NULL: nothing is drawn */
};

/* False: there is none, or others wait. */
bool tree_memory_take(struct tree_memory *m);
/* Also when there is not enough. */
void tree_memory_overdraw(struct tree_memory *m);
/* Waits for it. False: in vain. */
bool tree_memory_await(struct tree_memory *m);
void tree_memory_give_back(struct tree_memory *m);

size_t json_trees_bytes(void); /* drawn now, for metrics and tests */
int json_trees_waiting(void);

#endif
