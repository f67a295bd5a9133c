/* A node for each group of tests, and alice, a user of it. */
#ifndef TESTS_NODE_WITH_ALICE_H
#define TESTS_NODE_WITH_ALICE_H

#include "node_fixture.h"

static struct author alice;

static int set_up(void **state)
{
    node_begin();
    alice = author_named("@alice:test.example");
    return 0;
}

static int tear_down(void **state)
{
    node_end();
    return 0;
}

#endif
