/* The log under test: a database of pg_fixture.h, a feed and a committer. */
#ifndef TESTS_LOG_FIXTURE_H
#define TESTS_LOG_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pg_fixture.h"
#include "storage/db/committer.h"
#include "storage/db/log.h"
#include "storage/db/write.h"

#include <pthread.h>

struct scope {
    struct arena *arena;
    struct job job;
};

static inline void scope_init(struct scope *s, const struct node *node)
{
    s->arena = arena_create();
    job_init(&s->job, node, s->arena);
}

static inline void scope_finish(struct scope *s)
{
    job_finish(&s->job);
    arena_destroy(s->arena);
}

static inline int64_t log_head_position(struct node *node)
{
    struct scope s;
    int64_t position;
    scope_init(&s, node);
    pg_must("log_position", log_position(job_tx(&s.job), &position));
    scope_finish(&s);
    return position;
}

/* Starts a feed and a committer where the log ends now. limit_ms: of its statements; 0: as usual.
 */
static inline void log_start_limited(struct node *node, const char *uri, int limit_ms)
{
    node->storage->feed = feed_create(1 << 16, 1 << 26, log_head_position(node));
    const struct committer_settings settings = {.log = {.uri = uri, .feed = node->storage->feed},
                                                .statement_timeout_ms = limit_ms};
    pg_must("committer_start", committer_start(&settings, &node->storage->committer));
}

static inline void log_start(struct node *node, const char *uri)
{
    log_start_limited(node, uri, 0);
}

static inline void log_stop(struct node *node)
{
    committer_stop(node->storage->committer);
    feed_destroy(node->storage->feed);
    node->storage->committer = NULL;
    node->storage->feed = NULL;
}

/* One of the committer's metrics. */
static inline int64_t committer_counted(struct committer *c, const char *name)
{
    buf_auto struct buf b = {0};
    committer_add_metrics(c, &b);
    buf_add_char(&b, '\0');
    for (const char *at = b.p; (at = strstr(at, name)); at++)
        if (at[strlen(name)] == ' ' && at[-1] == '\n')
            return atoll(at + strlen(name));
    abort();
}

/* Runs fn(ctx, 0 … n-1) in as many threads and waits for them. */
struct crowd_member {
    void (*fn)(void *ctx, int number);
    void *ctx;
    int number;
    pthread_t thread;
};

static inline void *crowd_run_(void *arg)
{
    struct crowd_member *m = arg;
    m->fn(m->ctx, m->number);
    return NULL;
}

static inline void crowd_run(int n, void (*fn)(void *ctx, int number), void *ctx)
{
    struct crowd_member *members = calloc((size_t)n, sizeof *members);
    for (int i = 0; i < n; i++) {
        members[i] = (struct crowd_member){.fn = fn, .ctx = ctx, .number = i};
        if (pthread_create(&members[i].thread, NULL, crowd_run_, &members[i]))
            abort();
    }
    for (int i = 0; i < n; i++)
        pthread_join(members[i].thread, NULL);
    free(members);
}

#endif
