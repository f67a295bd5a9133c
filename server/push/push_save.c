/* Stores cursors, at most once in PUSH_SAVE_MS, through the committer. */
#include "server/push/push_internal.h"

#include "base/clock.h"
#include "base/mem.h"
#include "storage/db/write.h"

enum { LAG_MAX = 10000 /* how far the stored position of a slice may be behind */ };

struct push_saving {
    int64_t fences[LEASE_SLICES], positions[LEASE_SLICES];
    struct pusher_cursor *list;
    size_t n, slices_n;
};

static void push_save_soon_locked(struct pushes *p)
{
    if (p->must_save)
        return;
    p->must_save = true;
    push_schedule(p, PUSH_SAVE, p->saved_mono + PUSH_SAVE_MS);
}

void push_note_dirty_locked(struct pushes *p, struct live_pusher *x)
{
    if (x->is_listed || x->is_dropped)
        return;
    if (p->dirty_n == p->dirty_cap) {
        p->dirty_cap = p->dirty_cap ? p->dirty_cap * 2 : 64;
        p->dirty = mem_realloc_array(p->dirty, p->dirty_cap, sizeof *p->dirty);
    }
    p->dirty[p->dirty_n++] = x->id;
    x->is_listed = true;
    push_save_soon_locked(p);
}

static bool push_save_is_due_locked(const struct pushes *p, int i, int slice)
{
    const struct push_slice *s = &p->slices[i];
    return slice == PUSH_ALL_SLICES ? push_slice_is_valid_locked(p, i)
                                    : i == slice && s->state == SLICE_LOADED;
}

/* Changes that were missed are not behind the position. */
static void push_save_slices_locked(struct pushes *p, int slice, struct push_saving *ret)
{
    int64_t clear = push_clear_position_locked(p);
    for (int i = 0; i < LEASE_SLICES; i++) {
        const struct push_slice *s = &p->slices[i];
        int64_t position = clear > s->from ? clear : s->from;
        if (!push_save_is_due_locked(p, i, slice))
            continue;
        ret->fences[i] = s->fence;
        if (p->has_missed || position <= s->saved)
            continue;
        ret->positions[i] = position;
        ret->slices_n++;
    }
}

static void push_save_pushers_locked(struct pushes *p, struct arena *a, struct push_saving *ret)
{
    size_t kept = 0;
    ret->list = arena_alloc_array(a, p->dirty_n + 1, sizeof *ret->list);
    for (size_t i = 0; i < p->dirty_n; i++) {
        struct live_pusher *x = map_get_int(&p->pushers, p->dirty[i]);
        if (!x)
            continue;
        if (!ret->fences[lease_slice_of_id(x->user)]) {
            p->dirty[kept++] = p->dirty[i];
            continue;
        }
        struct pusher_cursor *c = &ret->list[ret->n++];
        c->id = x->id;
        c->position = push_queue_cursor_locked(x, &c->is_behind);
        x->is_listed = false;
    }
    p->dirty_n = kept;
}

static const struct err *push_save_write(struct pushes *p, struct job *job,
                                         const struct push_saving *v)
{
    struct write *w = write_begin(job);
    if (v->n)
        pushers_write_cursors(w, v->list, v->n);
    if (v->slices_n)
        push_slices_write(w, v->positions);
    lease_check_write_slices(w, p->lease, v->fences);
    return write_commit(job, w, NULL);
}

static void push_save_end(struct pushes *p, const struct push_saving *v, const struct err *e)
{
    LOCKED(&p->lock);
    for (int i = 0; i < LEASE_SLICES && !e; i++)
        if (v->positions[i] > p->slices[i].saved && p->slices[i].fence == v->fences[i])
            p->slices[i].saved = v->positions[i];
    for (size_t i = 0; i < v->n && e; i++) {
        struct live_pusher *x = map_get_int(&p->pushers, v->list[i].id);
        if (x)
            push_note_dirty_locked(p, x);
    }
    if (p->dirty_n)
        push_save_soon_locked(p);
}

const struct err *push_save(struct pushes *p, int slice)
{
    arena_auto struct arena *a = arena_create();
    struct job job;
    struct push_saving v = {0};
    {
        LOCKED(&p->lock);
        push_save_slices_locked(p, slice, &v);
        push_save_pushers_locked(p, a, &v);
        p->must_save = false;
        p->saved_mono = mono_ms();
    }
    if (!v.n && !v.slices_n)
        return NULL;
    job_init(&job, p->node, a);
    const struct err *e = push_save_write(p, &job, &v);
    push_save_end(p, &v, e);
    job_finish(&job);
    return e;
}
