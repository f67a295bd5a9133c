/* Replies that flow while the handler still writes them. The worker hands over pieces and waits
 * until the client has taken most of the one before, so that two pieces at most are in memory; the
 * loop sends them as chunks, and suspends the connection when it has nothing to send. What both
 * touch is guarded by the loop's lock, which outlives either. */
#include "base/clock.h"
#include "base/mem.h"
#include "http/internal.h"

enum { PIECE = 256 * 1024, LOW = 64 * 1024, BLOCK = 16 * 1024 };

static ssize_t read_stream(void *cls, uint64_t position, char *into, size_t max)
{
    struct exchange *ex = cls;
    struct stream *st = ex->stream;
    LOCKED(&ex->loop->lock);
    if (st->broken)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    size_t n = st->data.n - st->taken;
    if (!n && st->ended)
        return MHD_CONTENT_READER_END_OF_STREAM;
    if (!n) {
        st->starved = true;
        MHD_suspend_connection(ex->mhd);
        return 0;
    }
    n = n < max ? n : max;
    memcpy(into, st->data.p + st->taken, n);
    st->taken += n;
    if (st->data.n - st->taken <= LOW)
        pthread_cond_signal(&st->moved);
    return (ssize_t)n;
}

static void start(struct reply *rp)
{
    struct exchange *ex = rp->rq->exchange;
    struct stream *st = mem_zalloc(sizeof *st);
    cond_init(&st->moved);
    st->in_worker = true;
    ex->stream = st;
    ex->status = rp->status;
    ex->response =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK, read_stream, ex, NULL);
    reply_add_headers(rp, ex->response);
    loop_deliver(ex);
}

/* The client must take a piece within the idle timeout. */
static const struct err *wait_for_room_locked(struct exchange *ex)
{
    struct stream *st = ex->stream;
    int64_t deadline = mono_ms() + ex->server->idle_timeout_s * 1000LL;
    bool late = false;
    while (!st->gone && !late && st->data.n - st->taken > LOW)
        late = lock_wait_until(&ex->loop->lock, &st->moved, deadline);
    if (st->gone)
        return err(ERR_CONNECTION_FAILED, "The client is gone");
    return late ? err(ERR_CONNECTION_TIMEOUT, "The client is too slow") : NULL;
}

static void add_piece_locked(struct stream *st, struct buf *piece)
{
    struct str rest = {st->data.p + st->taken, st->data.n - st->taken};
    if (!rest.n) {
        struct buf empty = st->data;
        st->data = *piece;
        *piece = empty;
    } else {
        memmove(st->data.p, rest.p, rest.n);
        st->data.n = rest.n;
        buf_add_str(&st->data, buf_str(piece));
    }
    st->taken = 0;
    buf_clear(piece);
}

const struct err *reply_flush(struct reply *rp)
{
    struct exchange *ex = rp->rq->exchange;
    if (rp->body.n < PIECE)
        return NULL;
    if (rp->rq->method == HEAD) {
        buf_clear(&rp->body);
        return NULL;
    }
    if (!ex->stream)
        start(rp);
    bool starved;
    {
        LOCKED(&ex->loop->lock);
        TRY(wait_for_room_locked(ex));
        add_piece_locked(ex->stream, &rp->body);
        starved = ex->stream->starved;
        ex->stream->starved = false;
    }
    if (starved)
        loop_deliver(ex);
    return NULL;
}

void stream_finish(struct reply *rp, bool broken)
{
    struct exchange *ex = rp->rq->exchange;
    struct stream *st = ex->stream;
    bool starved, closed;
    {
        LOCKED(&ex->loop->lock);
        if (!broken && rp->body.n)
            add_piece_locked(st, &rp->body);
        st->broken = broken;
        st->ended = true;
        st->in_worker = false;
        starved = st->starved && !st->gone;
        st->starved = false;
        closed = st->closed;
    }
    buf_finish(&rp->body);
    /* Unless the connection waits for us, or is closed, the exchange is the loop's by now. */
    if (closed)
        exchange_destroy(ex);
    else if (starved)
        loop_deliver(ex);
}

bool stream_on_completed(struct exchange *ex)
{
    LOCKED(&ex->loop->lock);
    if (!ex->stream || !ex->stream->in_worker)
        return false;
    ex->stream->gone = true;
    pthread_cond_signal(&ex->stream->moved);
    return true;
}

bool stream_on_closed(struct exchange *ex)
{
    LOCKED(&ex->loop->lock);
    if (!ex->stream || !ex->stream->in_worker)
        return false;
    ex->stream->closed = true;
    return true;
}

void stream_destroy(struct exchange *ex)
{
    struct stream *st = ex->stream;
    if (!st)
        return;
    buf_finish(&st->data);
    pthread_cond_destroy(&st->moved);
    free(st);
    ex->stream = NULL;
}
