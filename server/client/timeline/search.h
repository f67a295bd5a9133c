/* Shared by the two files of POST /search. */
#ifndef SERVER_CLIENT_TIMELINE_SEARCH_H
#define SERVER_CLIENT_TIMELINE_SEARCH_H

#include "rooms/read/search_text.h"
#include "rooms/read/serialize.h"
#include "server/client/shared/room_reading.h"

struct search_match {
    struct search_hit hit;
    struct room *room;
};

struct search_request {
    struct request *rq;
    struct reply *rp;
    struct viewer viewer;
    struct search_query query;
    struct event_filter filter;
    size_t limit;
    bool with_context, with_profiles, with_state, by_room, by_sender;
    size_t before, after; /* of the context */
    struct search_match *found;
    size_t found_n, rooms_n; /* rooms_n: the rooms of the results */
    int64_t count;
    struct search_terms terms;
    bool more;
};

/* server/client/timeline/search_reply.c */
const struct err *search_write_reply(struct search_request *s);

#endif
