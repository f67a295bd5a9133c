/* search_index: the words of messages, names and topics, and the position up to which the log is
 * indexed. The form of indexed texts and of queries: storage/rooms/search_terms.h. */
#ifndef STORAGE_ROOMS_SEARCH_H
#define STORAGE_ROOMS_SEARCH_H

#include "storage/rooms/events.h"

enum search_key {
    SEARCH_BODY = 1,
    SEARCH_NAME = 2,
    SEARCH_TOPIC = 3
}; /* stored as these numbers */

/* ---- filling ---- */

/* position: indexed up to here. Rows of events below remake_below have an older form; 0: none has.
 */
struct search_cursor {
    int64_t position, remake_below;
    const char *form;
};

/* Locks the index until the end of the transaction. */
const struct err *search_cursor_take(struct tx *tx, struct search_cursor *ret);
const struct err *search_cursor_set(struct tx *tx, const struct search_cursor *c);

/* A range of a room's events to be indexed (again) outside of the log's order: history from other
 * servers, and events redacted by an earlier redaction. */
struct search_range {
    int64_t id, room, first, last; /* id 0: none */
};
void search_range_write(struct write *w, const struct search_range *r);
/* The oldest range. This and the functions below need a transaction that has taken the cursor. */
const struct err *search_range_next(struct tx *tx, struct search_range *ret);
/* The events of a range that matter to the index, oldest first. */
const struct err *search_range_events(struct tx *tx, const struct search_range *r, int64_t limit,
                                      const struct stored_event **ret, size_t *ret_n);
/* The range is indexed up to this position. */
const struct err *search_range_done(struct tx *tx, const struct search_range *r, int64_t up_to);

/* The events in from < position <= to that matter to the index, oldest first: those with words, and
 * redactions. */
const struct err *search_events(struct tx *tx, int64_t from, int64_t to, int64_t limit,
                                const struct stored_event **ret, size_t *ret_n);

/* The indexed events below a position, newest first. */
const struct err *search_indexed_events(struct tx *tx, int64_t below, int64_t limit,
                                        const struct stored_event **ret, size_t *ret_n);

struct search_row {
    int64_t event, room;
    enum search_key key;
    const char *vector; /* search_vector() */
};
/* Adds rows or replaces them. */
const struct err *search_index_put(struct tx *tx, const struct search_row *rows, size_t n);
/* Removes a redacted event. */
const struct err *search_index_remove(struct tx *tx, struct str event_id);
/* The same for all redacted events of a range. */
const struct err *search_range_remove_redacted(struct tx *tx, const struct search_range *r);

/* ---- asking ---- */

struct search_query {
    const char *query; /* search_terms_query() */
    const int64_t *rooms, *keys;
    size_t rooms_n, keys_n;
    bool by_rank;           /* best first; otherwise newest first */
    const int64_t *ignored; /* users.id: senders whose messages are neither found nor counted */
    size_t ignored_n;
    /* Only results after this one. */
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
    int64_t count; /* of all that match, up to SEARCH_COUNT_MAX */
};

/* Only the newest matches are ranked: a rank costs more than a match. */
enum { SEARCH_COUNT_MAX = 10000, SEARCH_RANKED_MAX = 2000 };

/* ERR_TOO_SLOW when limit_ms is not enough. */
const struct err *search_find(struct tx *tx, const struct search_query *q, int64_t limit_ms,
                              struct search_result *ret);

#endif
