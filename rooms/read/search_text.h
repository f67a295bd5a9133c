/* What of an event a search looks at, and which of its words were found. */
#ifndef ROOMS_READ_SEARCH_TEXT_H
#define ROOMS_READ_SEARCH_TEXT_H

#include "storage/rooms/search.h"
#include "storage/rooms/search_terms.h"

struct search_text {
    enum search_key key;
    struct str text;
};
/* False when the event has nothing to be found by. */
bool search_text_of(struct arena *a, const struct stored_event *e, struct search_text *ret);

/* The rows of the index for these events, of those that have one. */
const struct err *search_text_rows(struct tx *tx, const struct config_list *languages,
                                   const struct stored_event *const *events, size_t n,
                                   const struct search_row **ret, size_t *ret_n);

enum { SEARCH_HIGHLIGHTS_MAX = 100 };

/* The words of these events that a term has found, as they stand there. */
const struct err *search_text_highlights(struct tx *tx, const struct config_list *languages,
                                         const struct search_terms *terms,
                                         const struct stored_event *const *events, size_t n,
                                         const struct str **ret, size_t *ret_n);

#endif
