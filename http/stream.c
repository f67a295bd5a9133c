/* Replies that are sent while the handler still writes them. The worker hands over pieces and waits
 * until the client has taken most of the previous one, so that at most two pieces are in memory;
 * the loop sends them as chunks, and suspends the connection when it has nothing to send. A slow
 * client gets the rest from a file, so that slow clients cannot hold all workers. The loop's lock,
 * which outlives both sides, guards their shared data. */
#include "base/clock.h"
#include "base/mem.h"
#include "base/new_file.h"
#include "http/internal.h"

#include <errno.h>
#include <unistd.h>

enum { PIECE = 256 * 1024, LOW = 64 * 1024, BLOCK = 16 * 1024, PATIENCE_MS = 500 };
static const int64_t file_max = 1024 * 1024 * 1024;

static size_t take_from_memory(struct stream *st, char *into, size_t max)
{
    size_t n = st->data.n - st->taken;
    n = n < max ? n : max;
    if (n)
        memcpy(into, st->data.p + st->taken, n);
    st->taken += n;
    if (st->data.n - st->taken <= LOW)
        pthread_cond_signal(&st->moved);
    return n;
}

/* 0: nothing to read; negative: a read error. */
static ssize_t take_from_file(struct stream *st, char *into, size_t max)
{
    int64_t left = st->file_written - st->file_taken;
    if (!left)
        return 0;
    ssize_t n = pread(st->file, into, left < (int64_t)max ? (size_t)left : max, st->file_taken);
    if (n <= 0)
        return -1;
    st->file_taken += n;
    return n;
}

static ssize_t read_stream(void *cls, uint64_t position, char *into, size_t max)
{
    struct exchange *ex = cls;
    struct stream *st = ex->stream;
    LOCKED(&ex->loop->lock);
    if (st->broken)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    ssize_t n = (ssize_t)take_from_memory(st, into, max);
    if (!n)
        n = take_from_file(st, into, max);
    if (n < 0)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    if (!n && st->ended)
        return MHD_CONTENT_READER_END_OF_STREAM;
    if (!n) {
        st->starved = true;
        MHD_suspend_connection(ex->mhd);
    }
    return n;
}

static void stream_start(struct reply *rp)
{
    struct exchange *ex = rp->rq->exchange;
    struct stream *st = mem_zalloc(sizeof *st);
    cond_init(&st->moved);
    st->file = -1;
    st->in_worker = true;
    ex->stream = st;
    ex->status = rp->status;
    ex->response =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK, read_stream, ex, NULL);
    reply_add_headers(rp, ex->response);
    loop_deliver(ex);
}

static const struct err *client_is_gone(void)
{
    return err(ERR_CONNECTION_FAILED, "The client is gone");
}

/* Waits until most of the previous piece was taken; *ret_room is false when that takes too long. */
static const struct err *wait_for_room_locked(struct exchange *ex, bool *ret_room)
{
    struct stream *st = ex->stream;
    int64_t deadline = mono_ms() + PATIENCE_MS;
    bool late = false;
    while (!st->gone && !late && st->data.n - st->taken > LOW)
        late = lock_wait_until(&ex->loop->lock, &st->moved, deadline);
    *ret_room = !late;
    return st->gone ? client_is_gone() : NULL;
}

static void add_to_memory_locked(struct stream *st, struct buf *piece)
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

static const struct err *stream_open_file(struct exchange *ex, int *ret)
{
    const char *folder = ex->server->upload_dir;
    int fd = folder ? new_file_open_scratch(folder) : -1;
    if (fd < 0)
        return err(ERR_CONNECTION_TIMEOUT, "The client is too slow");
    *ret = fd;
    return NULL;
}

/* Only the worker writes, and beyond the part that the loop reads. */
static const struct err *stream_add_to_file(struct exchange *ex, struct buf *piece)
{
    struct stream *st = ex->stream;
    if (st->file_written + (int64_t)piece->n > file_max)
        return err(ERR_CONNECTION_TIMEOUT, "The client is too slow");
    for (size_t done = 0; done < piece->n;) {
        ssize_t n =
            pwrite(st->file, piece->p + done, piece->n - done, st->file_written + (int64_t)done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return err_internal("cannot write a reply to a file: %s", strerror(errno));
        done += (size_t)n;
    }
    LOCKED(&ex->loop->lock);
    st->file_written += (int64_t)piece->n;
    buf_clear(piece);
    return st->gone ? client_is_gone() : NULL;
}

static const struct err *stream_hand_over(struct exchange *ex, struct buf *piece)
{
    struct stream *st = ex->stream;
    bool room = false;
    if (st->file < 0) {
        LOCKED(&ex->loop->lock);
        TRY(wait_for_room_locked(ex, &room));
        if (room)
            add_to_memory_locked(st, piece);
        else
            TRY(stream_open_file(ex, &st->file));
    }
    return room ? NULL : stream_add_to_file(ex, piece);
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
        stream_start(rp);
    TRY(stream_hand_over(ex, &rp->body));
    lock_take(&ex->loop->lock);
    bool starved = ex->stream->starved;
    ex->stream->starved = false;
    lock_release(&ex->loop->lock);
    if (starved)
        loop_deliver(ex);
    return NULL;
}

void stream_finish(struct reply *rp, bool broken)
{
    struct exchange *ex = rp->rq->exchange;
    struct stream *st = ex->stream;
    bool starved, closed;
    if (!broken && rp->body.n && st->file >= 0)
        broken = stream_add_to_file(ex, &rp->body);
    {
        LOCKED(&ex->loop->lock);
        if (!broken && rp->body.n)
            add_to_memory_locked(st, &rp->body);
        st->broken = broken;
        st->ended = true;
        st->in_worker = false;
        starved = st->starved && !st->gone;
        st->starved = false;
        closed = st->closed;
    }
    buf_finish(&rp->body);
    /* Unless the connection waits for the worker, or is closed, the exchange is the loop's by now.
     */
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
    if (st->file >= 0)
        close(st->file);
    buf_finish(&st->data);
    pthread_cond_destroy(&st->moved);
    free(st);
    ex->stream = NULL;
}
