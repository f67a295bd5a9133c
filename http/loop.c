/* An event loop: one thread that runs its daemons for events of their sockets, replies of workers,
 * new connections and deadlines. Other threads first queue their item and then call loop_notify,
 * which costs a system call only while the loop sleeps. */
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/thread.h"
#include "http/internal.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* Marks of epoll events: below these, the index of a daemon; above, the address of an exchange
 * whose client hung up. */
enum { MARK_NOTIFIED = 1 << 12, MARK_LISTENING = 1 << 13, MARKS_END = 1 << 14, EVENTS_MAX = 64 };
enum { LINGER_LOOK_MS = 20 };

void loop_notify(struct loop *l)
{
    uint64_t one = 1;
    if (atomic_exchange(&l->sleeping, false))
        (void)!write(l->event_fd, &one, sizeof one);
}

void loop_deliver(struct exchange *ex)
{
    struct loop *l = ex->loop;
    struct exchange *top = atomic_load(&l->done);
    do
        ex->next = top;
    while (!atomic_compare_exchange_weak(&l->done, &top, ex));
    if (!top)
        loop_notify(l);
}

void loop_add_newcomer(struct loop *l, const struct newcomer *n)
{
    {
        LOCKED(&l->lock);
        if (l->newcomers_n == l->newcomers_size) {
            l->newcomers_size = l->newcomers_size ? l->newcomers_size * 2 : 16;
            l->newcomers = mem_realloc_array(l->newcomers, l->newcomers_size, sizeof *l->newcomers);
        }
        l->newcomers[l->newcomers_n++] = *n;
    }
    loop_notify(l);
}

/* Takes all of them, for the caller to free. */
static struct newcomer *take_newcomers(struct loop *l, size_t *ret_n)
{
    LOCKED(&l->lock);
    struct newcomer *list = l->newcomers;
    *ret_n = l->newcomers_n;
    l->newcomers = NULL;
    l->newcomers_n = l->newcomers_size = 0;
    return list;
}

static struct daemon_slot *loop_least_loaded(struct loop *l, size_t kind)
{
    struct daemon_slot *best = &l->daemons[kind * SLOTS];
    for (struct daemon_slot *d = best; d < &l->daemons[(kind + 1) * SLOTS]; d++)
        if (d->connections_n < best->connections_n)
            best = d;
    return best;
}

static void add_newcomer(struct loop *l)
{
    struct daemon_slot *d = loop_least_loaded(l, l->arriving.kind);
    d->due = true;
    if (MHD_add_connection(d->mhd, l->arriving.fd, (struct sockaddr *)&l->arriving.address,
                           l->arriving.address_n) == MHD_YES)
        return;
    if (l->arriving.fd >= 0) /* refused before it was announced */
        connections_remove(l->server, l, l->arriving.key);
}

static void add_newcomers(struct loop *l)
{
    enum { LOOK_EVERY = 32 };
    size_t n;
    struct newcomer *list = take_newcomers(l, &n);
    for (size_t i = 0; i < n; i++) {
        l->arriving = list[i];
        add_newcomer(l);
        if (i % LOOK_EVERY == LOOK_EVERY - 1)
            listen_accept_more(l);
    }
    free(list);
}

/* Resumes all finished exchanges before the daemons run: each run walks the daemon's whole list of
 * suspended connections, once for the batch. */
static void resume_done(struct loop *l)
{
    for (struct exchange *ex = atomic_exchange(&l->done, NULL), *next; ex; ex = next) {
        next = ex->next;
        ex->daemon->due = true;
        MHD_resume_connection(ex->mhd);
    }
}

static void wake_expired(struct loop *l)
{
    int64_t now = mono_ms();
    for (struct exchange *ex; (ex = deadlines_take_expired(l, now));)
        pool_wake(&ex->rq.waiter);
}

/* The time a client may take for a head, or for a body: libmicrohttpd's own timeout restarts with
 * each byte, so that a very slow sender would hold a connection for ever. */
static int64_t phase_allowance_ms(const struct exchange *ex)
{
    int64_t idle_ms = ex->server->idle_timeout_s * 1000LL;
    if (ex->phase == PHASE_HEAD)
        return 2 * idle_ms;
    if (ex->phase == PHASE_BODY)
        return 2 * idle_ms + ex->received; /* at least one byte a millisecond */
    return INT64_MAX / 2;
}

static int64_t sweep_every_ms(const struct loop *l)
{
    int64_t idle_ms = l->server->idle_timeout_s * 1000LL;
    return idle_ms < 10000 ? idle_ms / 2 : 5000;
}

static void loop_sweep(struct loop *l)
{
    int64_t now = mono_unmoved_ms();
    if (now - l->swept_ms < sweep_every_ms(l))
        return;
    l->swept_ms = now;
    for (struct exchange *ex = l->connections; ex; ex = ex->after)
        if (now - ex->phase_since_ms > phase_allowance_ms(ex))
            shutdown(ex->fd, SHUT_RDWR); /* libmicrohttpd sees it closed */
}

static void wake_all_parked(struct loop *l)
{
    for (struct exchange *ex = l->connections; ex; ex = ex->after)
        if (ex->phase == PHASE_WORK)
            pool_wake(&ex->rq.waiter);
}

static int64_t min_ms(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* How long to sleep; 0 if there is work. */
static int sleep_ms(struct loop *l)
{
    int64_t now = mono_unmoved_ms(), ms = l->swept_ms + sweep_every_ms(l) - now;
    for (size_t i = 0; i < l->daemons_n; i++)
        ms = min_ms(ms, l->daemons[i].due_ms - now);
    int64_t earliest = deadlines_earliest(l);
    if (earliest != INT64_MAX)
        ms = min_ms(ms, earliest - now - clock_moved_ms());
    lock_take(&l->lock);
    if (l->newcomers_n)
        ms = 0;
    lock_release(&l->lock);
    if (l->lingering_n)
        ms = min_ms(ms, LINGER_LOOK_MS);
    if (connections_are_short(l->server))
        ms = min_ms(ms, MAKE_ROOM_MS);
    if (atomic_load(&l->displace))
        ms = min_ms(ms, l->displace_due_ms - now);
    if (atomic_load(&l->done) || atomic_load(&l->wake_all) || atomic_load(&l->server->quit))
        ms = 0;
    return ms < 0 ? 0 : (int)clock_wait_ms(ms);
}

/* Half-closed counts as gone for a request that is parked, and for no other. */
static void hang_up(struct exchange *ex, bool both_sides)
{
    atomic_store(&ex->hung_up, true);
    if (both_sides)
        atomic_store(&ex->gone, true);
    if (ex->phase == PHASE_WORK)
        pool_wake(&ex->rq.waiter);
}

static void wait_for_events(struct loop *l)
{
    struct epoll_event events[EVENTS_MAX];
    atomic_store(&l->sleeping, true); /* before looking: later items notify */
    int n = epoll_wait(l->epoll_fd, events, EVENTS_MAX, sleep_ms(l));
    atomic_store(&l->sleeping, false);
    for (int i = 0; i < n; i++) {
        uint64_t mark = events[i].data.u64;
        if (mark >= MARKS_END)
            hang_up(events[i].data.ptr, events[i].events & (EPOLLHUP | EPOLLERR));
        else if (mark >= MARK_LISTENING)
            listen_accept(l, (size_t)(mark - MARK_LISTENING));
        else if (mark < MARK_NOTIFIED)
            l->daemons[mark].due = true;
    }
}

/* Many clients write head and body separately, and delay the body (Nagle) until the head is
 * acknowledged, which the kernel would delay for 40 ms. A body that came with the head needs
 * nothing. Unix sockets do not have the option. */
static void ask_for_bodies(struct loop *l)
{
    int on = 1;
    for (struct exchange *ex; (ex = l->begun);) {
        l->begun = ex->next_begun;
        ex->is_begun = false;
        if (ex->phase == PHASE_BODY && !ex->received)
            setsockopt(ex->fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on);
    }
}

void loop_await_body(struct exchange *ex)
{
    if (ex->is_begun)
        return;
    ex->is_begun = true;
    ex->next_begun = ex->loop->begun;
    ex->loop->begun = ex;
}

void loop_forget_body(struct exchange *ex)
{
    struct exchange **at = &ex->loop->begun;
    while (*at && *at != ex)
        at = &(*at)->next_begun;
    if (*at)
        *at = ex->next_begun;
}

static void run_daemon(struct daemon_slot *d)
{
    MHD_UNSIGNED_LONG_LONG ms;
    d->due = false;
    MHD_run(d->mhd);
    ask_for_bodies(d->loop);
    d->due_ms = INT64_MAX / 2;
    if (MHD_get_timeout(d->mhd, &ms) == MHD_YES)
        d->due_ms = mono_unmoved_ms() + (ms < 60000 ? (int64_t)ms : 60000);
}

static void run_daemons(struct loop *l)
{
    int64_t now = mono_unmoved_ms();
    for (size_t i = 0; i < l->daemons_n; i++) {
        if (l->daemons[i].due || l->daemons[i].due_ms <= now) {
            run_daemon(&l->daemons[i]);
            listen_accept_more(l);
        }
    }
}

static void *run_loop(void *arg)
{
    struct loop *l = arg;
    while (!atomic_load(&l->server->quit)) {
        if (l == l->server->loops)
            listen_watch(l->server);
        wait_for_events(l);
        if (atomic_exchange(&l->wake_all, false))
            wake_all_parked(l);
        connections_displace(l);
        add_newcomers(l);
        wake_expired(l);
        resume_done(l);
        run_daemons(l);
        loop_sweep(l);
        linger_run(l, mono_unmoved_ms());
    }
    return NULL;
}

static const struct err *loop_watch(struct loop *l, int fd, uint64_t mark, uint32_t how)
{
    struct epoll_event event = {.events = EPOLLIN | how, .data.u64 = mark};
    if (epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, fd, &event))
        return err_internal("epoll_ctl: %s", strerror(errno));
    return NULL;
}

const struct err *loop_watch_listening(struct loop *l, int fd, size_t listening)
{
    return loop_watch(l, fd, MARK_LISTENING + listening, 0);
}

/* libmicrohttpd does not watch a suspended connection. Edge-triggered, so that one registration
 * lasts for the life of the connection and costs nothing until its end. */
void loop_watch_hang_up(struct exchange *ex)
{
    struct epoll_event event = {.events = EPOLLRDHUP | EPOLLET, .data.ptr = ex};
    epoll_ctl(ex->loop->epoll_fd, EPOLL_CTL_ADD, ex->fd, &event);
}

void loop_forget_hang_up(struct exchange *ex)
{
    epoll_ctl(ex->loop->epoll_fd, EPOLL_CTL_DEL, ex->fd, NULL);
}

const struct err *loop_create(struct http_server *s, struct loop *l)
{
    l->server = s;
    lock_init(&l->lock, RANK_HTTP_LOOP);
    l->swept_ms = mono_unmoved_ms();
    l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    l->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (l->epoll_fd < 0 || l->event_fd < 0)
        return err_internal("cannot make an event loop: %s", strerror(errno));
    TRY(loop_watch(l, l->event_fd, MARK_NOTIFIED, EPOLLET)); /* so that it need not be read */
    l->daemons_n = s->kinds_n * SLOTS;
    l->daemons = mem_zalloc(l->daemons_n * sizeof *l->daemons);
    for (size_t i = 0; i < l->daemons_n; i++) {
        TRY(daemon_start(l, i < SLOTS ? NULL : &s->tls[i / SLOTS], &l->daemons[i]));
        TRY(loop_watch(l, l->daemons[i].epoll_fd, i, 0));
    }
    return NULL;
}

const struct err *loop_start(struct loop *l)
{
    if (!thread_start(&l->thread, "http-loop", run_loop, l))
        return err_internal("cannot start the thread of an event loop");
    l->started = true;
    return NULL;
}

/* Gives ready replies a little time to be sent. */
static void flush_replies(struct loop *l)
{
    int64_t until = mono_unmoved_ms() + 200;
    bool sending = true;
    while (sending && mono_unmoved_ms() < until) {
        resume_done(l);
        run_daemons(l);
        sending = false;
        for (struct exchange *ex = l->connections; ex; ex = ex->after)
            sending |= ex->phase == PHASE_REPLY || ex->phase == PHASE_WORK;
        if (sending)
            usleep(1000);
    }
}

void loop_destroy(struct loop *l)
{
    if (!l->server)
        return; /* never made */
    if (l->started) {
        loop_notify(l);
        pthread_join(l->thread, NULL);
        flush_replies(l);
    }
    for (size_t i = 0; i < l->newcomers_n; i++)
        close(l->newcomers[i].fd);
    linger_run(l, INT64_MAX);
    for (size_t i = 0; i < l->daemons_n; i++)
        if (l->daemons[i].mhd)
            MHD_stop_daemon(l->daemons[i].mhd);
    if (l->epoll_fd >= 0)
        close(l->epoll_fd);
    if (l->event_fd >= 0)
        close(l->event_fd);
    free(l->daemons);
    free(l->deadlines);
    free(l->newcomers);
    lock_finish(&l->lock);
}
