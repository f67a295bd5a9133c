#include "rooms/unread.h"

#include "base/mem.h"
#include "rooms/unread_internal.h"

struct unread_cache {
    struct store *store;
};

struct unread_cache *unread_cache_create(struct store *store)
{
    struct unread_cache *c = mem_zalloc(sizeof *c);
    c->store = store;
    return c;
}

void unread_cache_destroy(struct unread_cache *c)
{
    free(c);
}

const struct err *unread_get(struct job *job, struct room *room, int64_t user, const char *user_id,
                             bool by_thread, struct unread_counts *ret)
{
    struct standing s;
    TRY(unread_load(job, room, user, user_id, feed_position(job->store->feed), &s));
    struct thread_counts *threads = arena_alloc_array(job->arena, s.threads_n + 1, sizeof *threads);
    struct unread_counts c = {.notify = s.main.notify, .highlight = s.main.highlight};
    for (size_t i = 0; i < s.threads_n; i++) {
        struct thread_standing *t = &s.threads[i];
        if (!by_thread) {
            c.notify += t->unread.notify;
            c.highlight += t->unread.highlight;
        } else if (t->root_id && (t->unread.notify || t->unread.highlight)) {
            threads[c.threads_n++] =
                (struct thread_counts){t->root_id, t->unread.notify, t->unread.highlight};
        }
    }
    c.threads = threads;
    *ret = c;
    return NULL;
}
