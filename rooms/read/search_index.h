/* Indexing what is said for POST /search: a cursor on the log that runs behind it.
 *
 * What the log does not name (history from other servers) waits in a table of its own; it is
 * indexed when the thread next wakes, or before a search.
 *
 * What is indexed in an older form, and display names of profiles that are not folded as they are
 * now, are made anew behind that.
 *
 * A thread of each node follows the log at leisure; the cursor's row in the database keeps two
 * nodes from indexing the same. A search catches up first, so that what was just said is
 * found. */
#ifndef ROOMS_READ_SEARCH_INDEX_H
#define ROOMS_READ_SEARCH_INDEX_H

#include "storage/db/job.h"

/* Indexes what is behind, as far as `pages` go. */
const struct err *search_index_catch_up(struct job *job, int pages);

struct search_indexer;
struct search_indexer *search_indexer_create(struct node *node); /* listens to the feed */
void search_indexer_start(struct search_indexer *x);
void search_indexer_stop(struct search_indexer *x);    /* NULL-safe; before the committer's end */
void search_indexer_destroy(struct search_indexer *x); /* NULL-safe; after it */

#endif
