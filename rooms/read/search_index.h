/* Indexing events for POST /search: a cursor that follows the log.
 *
 * History from other servers, which the cursor does not reach, is listed in a table of its own; it
 * is indexed when the thread next wakes, or before a search.
 *
 * After that, index entries of an older form, and display names of profiles that were folded by
 * another version, are rewritten.
 *
 * The node that holds the lease "search" follows the log in the background. A search, on any node,
 * catches up first, so that it finds the newest events: the cursor's row in the database keeps two
 * of them from indexing the same events. */
#ifndef ROOMS_READ_SEARCH_INDEX_H
#define ROOMS_READ_SEARCH_INDEX_H

#include "storage/db/job.h"

struct change;

/* Indexes pending events, at most `pages` pages. */
const struct err *search_index_catch_up(struct job *job, int pages);

struct search_indexer;
struct search_indexer *search_indexer_create(struct node *node);
void search_indexer_start(struct search_indexer *x);
void search_indexer_stop(struct search_indexer *x);    /* NULL-safe; before committer_stop() */
void search_indexer_destroy(struct search_indexer *x); /* NULL-safe; after that */
void search_indexer_on_settled(void *indexer);
void search_indexer_on_changes(void *indexer, const struct change *changes,
                               size_t n); /* a listener (storage/db/feed.h) */

#endif
