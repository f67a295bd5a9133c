/* The searched text of an event, and the words in it that matched. */
#ifndef ROOMS_READ_SEARCH_TEXT_H
#define ROOMS_READ_SEARCH_TEXT_H

#include "storage/rooms/search.h"
#include "storage/rooms/search_terms.h"

struct search_text {
    enum search_key key;
    struct str text;
};
/* False if the event has no text. */
bool search_text_of(struct arena *a, const struct stored_event *e, struct search_text *ret);

/* The rows of the index for those of these events that have a text. */
const struct err *search_text_rows(struct tx *tx, const struct config_list *languages,
                                   const struct stored_event *const *events, size_t n,
                                   const struct search_row **ret, size_t *ret_n);

enum { SEARCH_HIGHLIGHTS_MAX = 100 };

/* The words of these events that match a term, as written there. */
const struct err *search_text_highlights(struct tx *tx, const struct config_list *languages,
                                         const struct search_terms *terms,
                                         const struct stored_event *const *events, size_t n,
                                         const struct str **ret, size_t *ret_n);

#endif
