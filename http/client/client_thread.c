/* The thread that moves the bytes of all exchanges. */
#include "base/clock.h"
#include "base/thread.h"
#include "http/client/client_internal.h"

enum { LOOK_MS = 500 }; /* how often it looks for slow transfers */

static void link_into(struct transfer **list, struct transfer *t)
{
    t->next = *list;
    t->at = list;
    if (t->next)
        t->next->at = &t->next;
    *list = t;
}

static void unlink_transfer(struct transfer *t)
{
    *t->at = t->next;
    if (t->next)
        t->next->at = t->at;
}

static void client_thread_end(struct http_client *c, struct transfer *t, CURLcode result)
{
    unlink_transfer(t);
    LOCKED(&c->lock);
    t->result = result;
    t->ended = true;
    pthread_cond_signal(&t->has_ended);
}

static void end_running(struct http_client *c, struct transfer *t, CURLcode result)
{
    curl_multi_remove_handle(c->multi, t->easy);
    client_thread_end(c, t, result);
}

/* False when the client stops. */
static bool take_queued(struct http_client *c)
{
    LOCKED(&c->lock);
    while (c->queue) {
        struct transfer *t = c->queue;
        unlink_transfer(t);
        link_into(&c->running, t);
        curl_multi_add_handle(c->multi, t->easy);
    }
    return !c->stopping;
}

static void end_finished(struct http_client *c)
{
    int left;
    for (CURLMsg *m; (m = curl_multi_info_read(c->multi, &left));) {
        if (m->msg != CURLMSG_DONE)
            continue;
        struct transfer *t;
        CURLcode result = m->data.result;
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&t);
        end_running(c, t, result);
    }
}

static void end_slow(struct http_client *c)
{
    for (struct transfer *t = c->running, *next; t; t = next) {
        next = t->next;
        if (!transfer_is_slow(t))
            continue;
        t->cut = CUT_SLOW;
        end_running(c, t, CURLE_OPERATION_TIMEDOUT);
    }
}

static void end_all(struct http_client *c)
{
    while (c->running) {
        c->running->cut = CUT_STOPPING;
        end_running(c, c->running, CURLE_ABORTED_BY_CALLBACK);
    }
}

static void *client_client_thread_run(void *ctx)
{
    struct http_client *c = ctx;
    int64_t looked = mono_ms();
    while (take_queued(c)) {
        int still;
        curl_multi_perform(c->multi, &still);
        end_finished(c);
        if (mono_ms() - looked >= LOOK_MS) {
            end_slow(c);
            looked = mono_ms();
        }
        curl_multi_poll(c->multi, NULL, 0, (int)clock_wait_ms(LOOK_MS), NULL);
    }
    end_all(c);
    return NULL;
}

void client_thread_run(struct http_client *c, struct transfer *t)
{
    LOCKED(&c->lock);
    if (c->stopping) {
        t->cut = CUT_STOPPING;
        t->result = CURLE_ABORTED_BY_CALLBACK;
        return;
    }
    link_into(&c->queue, t);
    curl_multi_wakeup(c->multi);
    while (!t->ended) /* the thread keeps the deadline */
        lock_wait(&c->lock, &t->has_ended);
}

const struct err *client_thread_start(struct http_client *c)
{
    if (!thread_start(&c->thread, "http-client", client_client_thread_run, c))
        return err_internal("no thread for outgoing requests");
    c->has_thread = true;
    return NULL;
}

void client_thread_stop(struct http_client *c)
{
    lock_take(&c->lock);
    c->stopping = true;
    lock_release(&c->lock);
    if (!c->has_thread)
        return;
    curl_multi_wakeup(c->multi);
    pthread_join(c->thread, NULL);
    c->has_thread = false;
}
