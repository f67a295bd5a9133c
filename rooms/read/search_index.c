#include "rooms/read/search_index.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/worker/worker.h"
#include "rooms/read/erasure.h"
#include "rooms/read/search_text.h"
#include "storage/db/feed.h"
#include "storage/nodes/lease.h"
#include "storage/rooms/search.h"
#include "storage/users/erasures.h"
#include "storage/users/profiles.h"

#include <stdatomic.h>

enum {
    PAGE = 200,
    FORGET_PAGE = 1000,
    PAGES_AT_ONCE = 50,
    IDLE_MS = 1000,
    REMAKE_MS = 10,
    RETRY_MS = 10 * 1000
};

/* ---- a page ---- */

static const struct err *remove_redacted(struct job *job, const struct stored_event *e)
{
    const struct event *redaction = e->event;
    if (e->type != TYPE_REDACTION || !redaction->redacts)
        return NULL;
    struct str id = event_id_to_bytes(job->arena, redaction->version, redaction->redacts);
    return id.p ? search_index_remove(job_tx(job), id) : NULL;
}

/* Indexes events, without those of erased users. */
static const struct err *read_search_index_put(struct job *job, const struct stored_event *events,
                                               size_t n)
{
    const struct search_row *rows;
    size_t kept_n = 0, rows_n;
    const struct stored_event **kept = arena_alloc_array(job->arena, n + 1, sizeof *kept);
    for (size_t i = 0; i < n; i++) {
        int64_t erased;
        TRY(erasures_find(job, events[i].event->sender, &erased));
        if (!erased)
            kept[kept_n++] = &events[i];
    }
    TRY(search_text_rows(job_tx(job), &job->config->search_languages, kept, kept_n, &rows,
                         &rows_n));
    return rows_n ? search_index_put(job_tx(job), rows, rows_n) : NULL;
}

/* Indexes a page of the log. */
static const struct err *index_page(struct job *job, bool *ret_more)
{
    struct tx *tx = job_tx(job);
    int64_t head = feed_position(job->storage->feed);
    struct search_cursor c;
    const struct stored_event *events;
    size_t n;
    TRY(search_cursor_take(tx, &c));
    TRY(search_events(tx, c.position, head, PAGE, &events, &n));
    TRY(read_search_index_put(job, events, n));
    for (size_t i = 0; i < n; i++)
        TRY(remove_redacted(job, &events[i]));
    *ret_more = n == PAGE;
    int64_t to = *ret_more ? events[n - 1].position : head;
    if (to <= c.position)
        return NULL;
    c.position = to;
    return search_cursor_set(tx, &c);
}

/* Indexes a part of the oldest range of history. */
static const struct err *range_page(struct job *job, bool *ret_more)
{
    struct tx *tx = job_tx(job);
    struct search_cursor c;
    struct search_range r;
    const struct stored_event *events;
    size_t n;
    TRY(search_cursor_take(tx, &c));
    TRY(search_range_next(tx, &r));
    *ret_more = r.id;
    if (!r.id)
        return NULL;
    TRY(search_range_events(tx, &r, PAGE, &events, &n));
    if (n == PAGE)
        r.last = events[n - 1].position;
    TRY(read_search_index_put(job, events, n));
    TRY(search_range_remove_redacted(tx, &r));
    return search_range_done(tx, &r, r.last);
}

/* Indexes a page of events again that have an older form, newest first. */
static const struct err *remake_page(struct job *job, bool *ret_more)
{
    struct tx *tx = job_tx(job);
    struct search_cursor c;
    const struct stored_event *events;
    size_t n;
    *ret_more = false;
    TRY(search_cursor_take(tx, &c));
    if (!c.remake_below)
        return NULL;
    TRY(search_indexed_events(tx, c.remake_below, PAGE, &events, &n));
    TRY(read_search_index_put(job, events, n));
    *ret_more = n == PAGE;
    c.remake_below = *ret_more ? events[n - 1].position : 0;
    return search_cursor_set(tx, &c);
}

/* The number is increased when words are formed differently. */
static const char *form_of(struct arena *a, const struct config_list *languages)
{
    buf_auto struct buf form = {0};
    BUF_LIT(&form, "2");
    for (size_t i = 0; i < languages->n; i++)
        buf_printf(&form, " %s", languages->items[i]);
    return str_dup(a, buf_str(&form));
}

/* Once, when the server starts: marks an index of another form for rebuilding. */
static const struct err *adopt(struct job *job, bool *ret_more)
{
    struct search_cursor c;
    const char *form = form_of(job->arena, &job->config->search_languages);
    *ret_more = false;
    TRY(search_cursor_take(job_tx(job), &c));
    if (strcmp(c.form, form) == 0)
        return NULL;
    c.form = form;
    c.remake_below = c.position + 1;
    return search_cursor_set(job_tx(job), &c);
}

static const struct err *forget_page(struct job *job, bool *ret_more)
{
    return erasures_forget_words(job_tx(job), FORGET_PAGE, ret_more);
}

/* Under which lease the index is worked on. NULL: none, for a search that catches up. */
struct search_lease {
    struct lease_job *job;
    int64_t fence;
};

/* In a transaction and an arena of its own. */
static const struct err *page_alone(const struct node *node, const struct search_lease *lease,
                                    const struct err *(*page)(struct job *job, bool *ret_more),
                                    bool *ret_more)
{
    arena_auto struct arena *a = arena_create();
    struct job job;
    job_init(&job, node, a);
    const struct err *e = tx_begin(job_tx(&job));
    if (!e)
        e = page(&job, ret_more);
    if (!e && lease)
        e = lease_check(job_tx(&job), lease->job, 0, lease->fence);
    if (!e)
        e = tx_commit(job_tx(&job));
    job_finish(&job);
    return e;
}

const struct err *search_index_catch_up(struct job *job, int pages)
{
    bool more = true, more_ranges = true;
    for (int i = 0; i < pages && (more || more_ranges); i++) {
        if (more)
            TRY(page_alone(job->node, NULL, index_page, &more));
        if (more_ranges)
            TRY(page_alone(job->node, NULL, range_page, &more_ranges));
    }
    return NULL;
}

/* ---- following the log ---- */

struct search_indexer {
    struct node *node;
    struct worker_kind *follows;
    /* Used by the work only: new entries have our form; all entries have; all names up to
     * names_after are folded. All under this lease. */
    struct search_lease lease;
    bool adopted, remade, names_folded;
    int64_t names_after;
    bool heard;          /* the feed's thread: there are such events, not settled yet */
    atomic_bool behind;  /* there are events to index */
    atomic_bool forgets; /* erased users are to be forgotten */
};

void search_indexer_on_changes(void *ctx, const struct change *changes, size_t n)
{
    struct search_indexer *x = ctx;
    bool erased = n == 0, any = n == 0; /* changes were missed */
    for (size_t i = 0; i < n; i++) {
        erased |= changes[i].kind == CHANGE_ACCOUNT && changes[i].account.is_erasure;
        any |= erased || changes[i].kind == CHANGE_EVENT;
    }
    if (erased)
        atomic_store(&x->forgets, true);
    x->heard |= any;
}

/* The thread reads up to feed_position(). */
void search_indexer_on_settled(void *ctx)
{
    struct search_indexer *x = ctx;
    bool heard = x->heard;
    x->heard = false;
    if (!heard || atomic_exchange(&x->behind, true))
        return;
    worker_add(x->follows, (struct worker_key){0});
}

/* Folds display names of profiles that are not folded, or were by an older version. */
static const struct err *fold_names(struct search_indexer *x)
{
    arena_auto struct arena *a = arena_create();
    struct job job;
    bool more = false;
    job_init(&job, x->node, a);
    const struct err *e = profiles_fold_names(job_tx(&job), &x->names_after, PAGE, &more);
    job_finish(&job);
    x->names_folded = !e && !more;
    return e;
}

/* Rewrites a page of older versions' data. */
static const struct err *search_index_renew(struct search_indexer *x)
{
    if (!x->names_folded)
        return fold_names(x);
    bool more;
    TRY(page_alone(x->node, &x->lease, remake_page, &more));
    x->remade = !more;
    return NULL;
}

/* First the log and history, then erased users, then entries of an older form. */
static const struct err *follow_pages(struct search_indexer *x, bool *ret_more)
{
    bool adopting, index = true, ranges = true, forget = atomic_exchange(&x->forgets, false);
    if (!x->adopted)
        TRY(page_alone(x->node, &x->lease, adopt, &adopting));
    x->adopted = true;
    for (int i = 0; i < PAGES_AT_ONCE && (index || ranges || forget); i++) {
        if (index)
            TRY(page_alone(x->node, &x->lease, index_page, &index));
        if (ranges)
            TRY(page_alone(x->node, &x->lease, range_page, &ranges));
        if (forget)
            TRY(page_alone(x->node, &x->lease, forget_page, &forget));
    }
    if (forget)
        atomic_store(&x->forgets, true);
    if (!index && !ranges && !forget && !x->remade)
        TRY(search_index_renew(x));
    *ret_more = index || ranges || forget || !x->remade;
    return NULL;
}

/* What another node has done meanwhile is looked up in the database. */
static void search_index_use_lease(struct search_indexer *x, int64_t fence)
{
    if (x->lease.fence == fence)
        return;
    x->lease.fence = fence;
    x->adopted = x->remade = false;
    atomic_store(&x->forgets, true); /* continues what a stop interrupted */
}

/* It rests after each run, and ends once it is not behind. */
static enum worker_outcome search_index_follow(void *of, void *thread, struct worker_item *item)
{
    struct search_indexer *x = of;
    bool more = true;
    if (!atomic_exchange(&x->behind, false))
        return WORKER_DONE;
    search_index_use_lease(x, lease_fence(x->lease.job, 0));
    const struct err *e = follow_pages(x, &more);
    if (e)
        atomic_store(&x->forgets, true);
    if (e && e->code != ERR_LEASE_LOST)
        log_err(LOG_WARN, "the search index cannot follow the log; it will try again", e);
    if (more || e)
        atomic_store(&x->behind, true);
    item->wait_ms = e ? RETRY_MS : x->remade ? IDLE_MS : REMAKE_MS;
    return WORKER_WAIT;
}

static void search_index_on_taken(void *of, int slice)
{
    struct search_indexer *x = of;
    atomic_store(&x->behind, true);
    worker_add(x->follows, (struct worker_key){0});
    worker_hurry(x->follows, (struct worker_key){0});
}

static bool search_index_may_run(void *of, const struct worker_key *key, int64_t *ret_wait_ms)
{
    struct search_indexer *x = of;
    return lease_may_run(x->lease.job, 0, ret_wait_ms);
}

struct search_indexer *search_indexer_create(struct node *node)
{
    struct search_indexer *x = mem_zalloc(sizeof *x);
    x->node = node;
    x->lease.job = leases_add(
        node->storage->leases,
        &(struct lease_job_settings){.name = "search", .of = x, .on_taken = search_index_on_taken});
    x->follows = worker_kind_create(node->storage->background,
                                    &(struct worker_settings){.name = "search index",
                                                              .of = x,
                                                              .run = search_index_follow,
                                                              .sooner_ms = RETRY_MS,
                                                              .may_run = search_index_may_run});
    return x;
}

void search_indexer_start(struct search_indexer *x)
{
    worker_kind_start(x->follows);
    worker_add(x->follows, (struct worker_key){0});
}

void search_indexer_stop(struct search_indexer *x)
{
    if (x)
        worker_kind_stop(x->follows);
}

void search_indexer_destroy(struct search_indexer *x)
{
    if (!x)
        return;
    worker_kind_destroy(x->follows);
    free(x);
}
