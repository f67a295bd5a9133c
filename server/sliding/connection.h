/* What a connection of sliding sync has been sent: of each room, whether the client has all of it
 * up to the position of its token (the room is live) or up to an earlier one, and what it asked for
 * then. A state never changes: what differs is a new one, with another number, which is part of the
 * client's token. 24 bytes a room in memory, about 4 as stored. */
#ifndef SERVER_SLIDING_CONNECTION_H
#define SERVER_SLIDING_CONNECTION_H

#include "base/str.h"

struct sliding_sent {
    int64_t room;            /* rooms.id */
    int64_t until;           /* later changes were not sent; 0: live */
    uint16_t config;         /* which of the state's configs: the state that was required */
    uint16_t timeline_limit; /* the highest so far */
    bool is_dm;
};

enum { SLIDING_CONFIGS_MAX = 4096, SLIDING_STATE_BYTES_MAX = 1 << 20 /* encoded */ };

struct sliding_state {
    int64_t number;                   /* 0: nothing was sent */
    const struct sliding_sent *rooms; /* by ascending room */
    size_t rooms_n;
    const struct str *configs; /* required_code() */
    size_t configs_n;
    size_t bytes; /* of memory */
    int refs;     /* private */
};

struct sliding_state *sliding_state_ref(const struct sliding_state *s);
void sliding_state_unref(struct sliding_state *s); /* NULL-safe */

/* NULL if the room was not sent. */
const struct sliding_sent *sliding_state_find(const struct sliding_state *s, int64_t room);

void sliding_state_encode(const struct sliding_state *s, struct buf *out);
/* NULL if these are not bytes of sliding_state_encode(). */
struct sliding_state *sliding_state_decode(int64_t number, struct str bytes);

/* A state that differs from `base` in some rooms. In an arena. */
struct sliding_draft {
    struct arena *arena;
    const struct sliding_state *base;
    struct sliding_sent *changes; /* config: counts on after those of the base */
    size_t changes_n, changes_cap;
    struct str *configs; /* new ones */
    size_t configs_n, configs_cap;
};
void sliding_draft_init(struct sliding_draft *d, struct arena *a, const struct sliding_state *base);
uint16_t sliding_draft_config(struct sliding_draft *d, struct str code);
struct str sliding_draft_code(const struct sliding_draft *d, uint16_t config);
/* Each room at most once. */
void sliding_draft_put(struct sliding_draft *d, const struct sliding_sent *sent);
void sliding_draft_remove(struct sliding_draft *d, int64_t room);
bool sliding_draft_is_empty(const struct sliding_draft *d); /* it is as the base */
struct sliding_state *sliding_draft_finish(struct sliding_draft *d, int64_t number);

#endif
