/* The columns that refer to an event by its position, in one list. An event that moves into the
 * timeline takes its references along; who deletes an event must delete or clear all of them.
 * tests/unit/test_event_refs.c compares the list with the database. */
#ifndef STORAGE_ROOMS_EVENT_REFS_H
#define STORAGE_ROOMS_EVENT_REFS_H

#include "storage/rooms/events.h"

enum event_ref_of { REF_OF_EVENTS, REF_OF_STATE_EVENTS, REF_OF_MEMBER_EVENTS };

struct event_ref {
    const char *table, *column;
    enum event_ref_of of;
    struct sql *move; /* NULL: refers only to events of the timeline, which keep their positions */
    size_t params_n;
};

const struct event_ref *event_refs(size_t *ret_n);

#endif
