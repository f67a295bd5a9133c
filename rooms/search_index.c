#include "rooms/search_index.h"

#include "base/clock.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/mem.h"
#include "matrix/json_scan.h"
#include "rooms/erasure.h"
#include "storage/erasures.h"
#include "storage/feed.h"
#include "storage/search.h"

#include <stdatomic.h>

enum { PAGE = 200, FORGET_PAGE = 1000, PAGES_AT_ONCE = 50, IDLE_MS = 1000, RETRY_MS = 10 * 1000 };

/* ---- what of an event is indexed ---- */

/* The text/plain representation in m.topic, NULL when there is none. */
static const char *plain_topic(struct arena *a, struct str content)
{
    struct str list = json_scan_path(content, "m.topic", "m.text", NULL);
    struct json_member m;
    size_t pos = 0;
    if (!list.p || list.p[0] != '[')
        return NULL;
    while (json_scan_next(list, &pos, &m)) {
        if (m.value.p[0] != '{')
            continue;
        struct str mimetype = json_scan_get(m.value, "mimetype");
        if (!mimetype.p || json_scan_string_is(mimetype, "text/plain"))
            return json_scan_string(a, json_scan_get(m.value, "body"));
    }
    return NULL;
}

static const char *topic_of(struct arena *a, struct str content)
{
    const char *topic = json_scan_string(a, json_scan_get(content, "topic"));
    const char *plain = plain_topic(a, content);
    if (!topic || !plain || strcmp(topic, plain) == 0)
        return topic ? topic : plain;
    return arena_printf(a, "%s\n%s", topic, plain);
}

/* False when the event has nothing to be found by. */
static bool text_of(struct arena *a, const struct stored_event *e, struct search_text *ret)
{
    struct str content = e->event->content;
    struct search_text text = {.event = e->position, .room = e->room};
    if (e->type == TYPE_MESSAGE) {
        text.key = SEARCH_BODY;
        text.text = json_scan_string(a, json_scan_get(content, "body"));
    } else if (e->type == TYPE_NAME) {
        text.key = SEARCH_NAME;
        text.text = json_scan_string(a, json_scan_get(content, "name"));
    } else if (e->type == TYPE_TOPIC) {
        text.key = SEARCH_TOPIC;
        text.text = topic_of(a, content);
    }
    if (!text.text || !*text.text)
        return false;
    *ret = text;
    return true;
}

/* ---- a page ---- */

static const struct err *remove_redacted(struct job *job, const struct stored_event *e)
{
    const struct event *redaction = e->event;
    if (e->type != TYPE_REDACTION || !redaction->redacts)
        return NULL;
    struct str id = event_id_to_bytes(job->arena, redaction->version, redaction->redacts);
    return id.p ? search_index_remove(job_tx(job), id) : NULL;
}

static const struct err *index_page(struct job *job, bool *ret_more)
{
    struct tx *tx = job_tx(job);
    int64_t from, head = feed_position(job->store->feed);
    const struct stored_event *events;
    size_t n, texts_n = 0;
    TRY(search_cursor_take(tx, &from));
    TRY(search_events(tx, from, head, PAGE, &events, &n));
    struct search_text *texts = arena_alloc_array(job->arena, n + 1, sizeof *texts);
    for (size_t i = 0; i < n; i++) {
        int64_t erased;
        TRY(erasures_find(job, events[i].event->sender, &erased));
        if (!erased && text_of(job->arena, &events[i], &texts[texts_n]))
            texts_n++;
    }
    if (texts_n)
        TRY(search_index_add(tx, texts, texts_n));
    for (size_t i = 0; i < n; i++)
        TRY(remove_redacted(job, &events[i]));
    *ret_more = n == PAGE;
    int64_t to = *ret_more ? events[n - 1].position : head;
    return to > from ? search_cursor_set(tx, to) : NULL;
}

static const struct err *forget_page(struct job *job, bool *ret_more)
{
    return erasures_forget_words(job_tx(job), FORGET_PAGE, ret_more);
}

/* In a transaction and an arena of its own. */
static const struct err *page_alone(struct store *store,
                                    const struct err *(*page)(struct job *job, bool *ret_more),
                                    bool *ret_more)
{
    arena_auto struct arena *a = arena_create();
    struct job job;
    job_init(&job, store, a);
    const struct err *e = tx_begin(job_tx(&job));
    if (!e)
        e = page(&job, ret_more);
    if (!e)
        e = tx_commit(job_tx(&job));
    job_finish(&job);
    return e;
}

const struct err *search_index_catch_up(struct job *job, int pages)
{
    bool more = true;
    for (int i = 0; i < pages && more; i++)
        TRY(page_alone(job->store, index_page, &more));
    return NULL;
}

/* ---- the thread ---- */

struct search_indexer {
    struct store *store;
    pthread_t thread;
    bool running;
    atomic_bool behind; /* something was said that is not indexed */
    struct lock lock;
    pthread_cond_t wake;
    bool stopping;
};

static void hear(void *ctx, const struct change *changes, size_t n)
{
    struct search_indexer *x = ctx;
    bool any = n == 0; /* changes were missed */
    for (size_t i = 0; i < n && !any; i++)
        any = changes[i].kind == CHANGE_EVENT || changes[i].is_erasure;
    if (!any || atomic_exchange(&x->behind, true))
        return;
    LOCKED(&x->lock);
    pthread_cond_signal(&x->wake);
}

static void wait_locked(struct search_indexer *x, int ms)
{
    int64_t until = mono_ms() + ms;
    while (!x->stopping && mono_ms() < until)
        lock_wait_until(&x->lock, &x->wake, until);
}

static const struct err *follow_pages(struct search_indexer *x, bool *ret_more)
{
    bool index = true, forget = true;
    for (int i = 0; i < PAGES_AT_ONCE && (index || forget); i++) {
        if (index)
            TRY(page_alone(x->store, index_page, &index));
        if (forget)
            TRY(page_alone(x->store, forget_page, &forget));
    }
    *ret_more = index || forget;
    return NULL;
}

/* How long to rest after it. */
static int follow(struct search_indexer *x)
{
    bool more = true;
    atomic_store(&x->behind, false);
    const struct err *e = follow_pages(x, &more);
    if (more)
        atomic_store(&x->behind, true);
    if (e)
        log_err(LOG_WARN, "the search index does not follow; it will be tried again", e);
    return e ? RETRY_MS : IDLE_MS;
}

static void *run(void *arg)
{
    struct search_indexer *x = arg;
    lock_take(&x->lock);
    while (!x->stopping) {
        lock_release(&x->lock);
        int rest = follow(x);
        lock_take(&x->lock);
        wait_locked(x, rest);
        while (!x->stopping && !atomic_load(&x->behind))
            lock_wait(&x->lock, &x->wake);
    }
    lock_release(&x->lock);
    return NULL;
}

struct search_indexer *search_indexer_create(struct store *store)
{
    struct search_indexer *x = mem_zalloc(sizeof *x);
    x->store = store;
    lock_init(&x->lock, RANK_LEAF);
    cond_init(&x->wake);
    feed_listen(store->feed, hear, x);
    return x;
}

void search_indexer_start(struct search_indexer *x)
{
    x->running = pthread_create(&x->thread, NULL, run, x) == 0;
}

void search_indexer_stop(struct search_indexer *x)
{
    if (!x || !x->running)
        return;
    lock_take(&x->lock);
    x->stopping = true;
    pthread_cond_signal(&x->wake);
    lock_release(&x->lock);
    pthread_join(x->thread, NULL);
    x->running = false;
}

void search_indexer_destroy(struct search_indexer *x)
{
    if (!x)
        return;
    pthread_cond_destroy(&x->wake);
    lock_finish(&x->lock);
    free(x);
}
