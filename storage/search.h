/* search_index: the words of messages, names and topics, and how far of the log it covers.
 *
 * Words are indexed as they stand, folded to lower case (PostgreSQL's `simple` configuration): a
 * server has users of many languages, and stemming knows one. */
#ifndef STORAGE_SEARCH_H
#define STORAGE_SEARCH_H

#include "storage/events.h"

enum search_key {
    SEARCH_BODY = 1,
    SEARCH_NAME = 2,
    SEARCH_TOPIC = 3
}; /* stored as these numbers */

/* ---- filling ---- */

/* Inside of a transaction: the position that the index covers. Whoever else wants to add to it
 * waits until the transaction ends. */
const struct err *search_cursor_take(struct tx *tx, int64_t *ret);
const struct err *search_cursor_set(struct tx *tx, int64_t position);

/* The events in from < position <= to that matter to the index, oldest first: those with words, and
 * redactions. */
const struct err *search_events(struct tx *tx, int64_t from, int64_t to, int64_t limit,
                                const struct stored_event **ret, size_t *ret_n);

struct search_text {
    int64_t event, room;
    enum search_key key;
    const char *text;
};
const struct err *search_index_add(struct tx *tx, const struct search_text *texts, size_t n);
/* Removes an event, when it was redacted. */
const struct err *search_index_remove(struct tx *tx, struct str event_id);

/* ---- asking ---- */

struct search_query {
    const char *term; /* words, "quoted phrases", -excluded, or */
    const int64_t *rooms, *keys;
    size_t rooms_n, keys_n;
    bool by_rank;           /* best first; otherwise newest first */
    const int64_t *ignored; /* users.id: whose messages are neither found nor counted */
    size_t ignored_n;
    /* Only what comes after this one. */
    double after_rank; /* without by_rank: ignored */
    int64_t after_event;
    int64_t limit;
};

struct search_hit {
    struct stored_event event;
    double rank;
};

struct search_result {
    const struct search_hit *hits;
    size_t hits_n;
    int64_t count;           /* of all that match, up to SEARCH_COUNT_MAX */
    const struct str *words; /* that were looked for */
    size_t words_n;
};

enum { SEARCH_COUNT_MAX = 10000 };

const struct err *search_find(struct tx *tx, const struct search_query *q,
                              struct search_result *ret);

#endif
