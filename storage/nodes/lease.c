#include "storage/nodes/lease.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "base/worker/worker.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdio.h>

enum { JOBS_MAX = 16, NAME_MAX_BYTES = 48, ASK_AGAIN_MS = 10 * 1000, GIVE_BACK_LIMIT_MS = 2000 };

struct lease {
    char name[NAME_MAX_BYTES]; /* the key of its row */
    /* A reader that finds the same fence before and after valid_until has read a pair. */
    _Atomic int64_t fence;       /* 0: not held */
    _Atomic int64_t valid_until; /* boot_ms() */
    struct lease_job *job;
    int slice;
    bool is_renewed; /* by the current round */
};

struct lease_job {
    struct lease_job_settings s;
    struct lease *first;
    int n;
    /* Jobs that are not divided are one family: the nodes share each family alike. */
    int family;
};

struct leases {
    struct node *node;
    struct lease_settings s;
    struct worker_kind *_Atomic renews; /* leases_look() may come early */
    struct lease_job *jobs[JOBS_MAX];
    int jobs_n;
    atomic_llong taken, lost;
    /* Used by one round at a time only: */
    bool has_rows;                /* of all its leases */
    bool was_above[JOBS_MAX + 1]; /* by family: the last round found more than the share */
};

/* ---- jobs ---- */

struct leases *leases_create(struct node *node)
{
    struct leases *l = mem_zalloc(sizeof *l);
    l->node = node;
    return l;
}

void leases_set_node(struct leases *l, const struct lease_settings *s)
{
    assert(s->node);
    l->s = *s;
    if (!l->s.lease_ms)
        l->s.lease_ms = LEASE_MS;
}

void leases_destroy(struct leases *l)
{
    if (!l)
        return;
    worker_kind_destroy(l->renews);
    for (int i = 0; i < l->jobs_n; i++) {
        free(l->jobs[i]->first);
        free(l->jobs[i]);
    }
    free(l);
}

/* Names have no digits, so that no slice has the name of another job. */
static bool lease_name_is_good(const char *name)
{
    size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz_/");
    return n && !name[n] && n + sizeof "/31" <= NAME_MAX_BYTES;
}

struct lease_job *leases_add(struct leases *l, const struct lease_job_settings *s)
{
    if (!l)
        return NULL;
    assert(!l->renews && l->jobs_n < JOBS_MAX && lease_name_is_good(s->name));
    assert(s->slices >= 0 && s->slices <= LEASE_SLICES);
    for (int i = 0; i < l->jobs_n; i++)
        assert(strcmp(l->jobs[i]->s.name, s->name) != 0);
    struct lease_job *j = mem_zalloc(sizeof *j);
    j->s = *s;
    j->n = s->slices ? s->slices : 1;
    j->family = s->slices ? l->jobs_n + 1 : 0;
    j->first = mem_zalloc((size_t)j->n * sizeof *j->first);
    for (int i = 0; i < j->n; i++) {
        struct lease *one = &j->first[i];
        one->job = j;
        one->slice = i;
        if (s->slices)
            snprintf(one->name, sizeof one->name, "%s/%d", s->name, i);
        else
            snprintf(one->name, sizeof one->name, "%s", s->name);
    }
    l->jobs[l->jobs_n++] = j;
    return j;
}

int lease_slice_of_name(const char *name)
{
    unsigned char hash[SHA256_BYTES];
    sha256(str_of(name), hash);
    return hash[0] % LEASE_SLICES;
}

int lease_slice_of_id(int64_t id)
{
    return (int)((uint64_t)id % LEASE_SLICES);
}

/* ---- holding ---- */

static int64_t lease_read(struct lease *one)
{
    int64_t fence = atomic_load(&one->fence);
    bool is_valid = fence && boot_ms() < atomic_load(&one->valid_until);
    return is_valid && atomic_load(&one->fence) == fence ? fence : 0;
}

static struct lease *lease_of(struct lease_job *j, int slice)
{
    assert(slice >= 0 && slice < j->n);
    return &j->first[slice];
}

int64_t lease_fence(struct lease_job *j, int slice)
{
    return j ? lease_read(lease_of(j, slice)) : 0;
}

bool lease_may_run(struct lease_job *j, int slice, int64_t *ret_wait_ms)
{
    if (lease_fence(j, slice))
        return true;
    *ret_wait_ms = ASK_AGAIN_MS;
    return false;
}

SQL(lease_check_sql, "SELECT lease_check($1, $2)")

const struct err *lease_check(struct tx *tx, struct lease_job *j, int slice, int64_t fence)
{
    assert(tx->in_transaction);
    return db_exec(tx, &lease_check_sql, P(TEXT(lease_of(j, slice)->name), INT(fence)), NULL);
}

void lease_check_write(struct write *w, struct lease_job *j, int slice, int64_t fence)
{
    write_statement(w, &lease_check_sql, P(TEXT(lease_of(j, slice)->name), INT(fence)));
}

SQL(lease_check_slices_sql, "SELECT lease_check(c.job, c.fence) "
                            "FROM unnest($1::text[], $2::int8[]) AS c (job, fence)")

void lease_check_write_slices(struct write *w, struct lease_job *j, const int64_t *fences)
{
    const char **names = arena_alloc_array(write_arena(w), (size_t)j->n, sizeof *names);
    int64_t *held = arena_alloc_array(write_arena(w), (size_t)j->n, sizeof *held);
    size_t n = 0;
    for (int i = 0; i < j->n; i++)
        if (fences[i]) {
            names[n] = j->first[i].name;
            held[n++] = fences[i];
        }
    write_statement(w, &lease_check_slices_sql, P(TEXT_ARRAY(names, n), INT_ARRAY(held, n)));
}

/* ---- what a round changes here ---- */

static void lease_take(struct leases *l, struct lease *one, int64_t fence, int64_t valid_until)
{
    const struct lease_job_settings *s = &one->job->s;
    atomic_store(&one->fence, fence);
    atomic_store(&one->valid_until, valid_until);
    atomic_fetch_add(&l->taken, 1);
    if (s->on_taken)
        s->on_taken(s->of, one->slice);
}

static void lease_drop(struct lease *one)
{
    const struct lease_job_settings *s = &one->job->s;
    atomic_store(&one->valid_until, 0);
    atomic_store(&one->fence, 0);
    if (s->on_lost)
        s->on_lost(s->of, one->slice);
}

static void lease_lose(struct leases *l, struct lease *one)
{
    atomic_fetch_add(&l->lost, 1);
    lease_drop(one);
}

/* The row says that this node holds it, with this fence. */
static void lease_renewed(struct leases *l, struct lease *one, int64_t fence, int64_t valid_until)
{
    int64_t before = atomic_load(&one->fence);
    one->is_renewed = true;
    if (fence == before) {
        atomic_store(&one->valid_until, valid_until);
        return;
    }
    if (before)
        lease_lose(l, one);
    lease_take(l, one, fence, valid_until);
}

/* All leases, in the order in which the statement numbers them. */
#define EACH_LEASE(l, one)                                                                         \
    for (int job_i_ = 0; job_i_ < (l)->jobs_n; job_i_++)                                           \
        for (struct lease *one = (l)->jobs[job_i_]->first;                                         \
             one < (l)->jobs[job_i_]->first + (l)->jobs[job_i_]->n; one++)

static size_t leases_count(struct leases *l)
{
    size_t n = 0;
    for (int i = 0; i < l->jobs_n; i++)
        n += (size_t)l->jobs[i]->n;
    return n;
}

/* Those that were not renewed in time: also lease_fence() says that they are not held. */
static void leases_drop_lapsed(struct leases *l)
{
    EACH_LEASE(l, one)
    if (one->fence && !lease_read(one))
        lease_lose(l, one);
}

/* ---- more than the share ---- */

struct family_count {
    int64_t all, held;
};

static int64_t lease_share(int64_t all, int64_t nodes)
{
    return (all + nodes - 1) / nodes;
}

/* Drops what is above the share, and lists it for the statement. Only what two rounds in a row
 * find to be too much: the leases of a node that died are taken before it counts as dead. */
static size_t leases_drop_surplus(struct leases *l, int64_t nodes, const char **ret_names)
{
    struct family_count families[JOBS_MAX + 1] = {{0}};
    size_t n = 0;
    EACH_LEASE(l, one)
    {
        families[one->job->family].all++;
        families[one->job->family].held += one->fence != 0;
    }
    for (int f = 0; f <= l->jobs_n; f++) {
        int64_t surplus = families[f].held - lease_share(families[f].all, nodes);
        bool is_new = surplus > 0 && !l->was_above[f];
        l->was_above[f] = surplus > 0;
        EACH_LEASE(l, one)
        if (!is_new && surplus > 0 && one->job->family == f && one->fence) {
            lease_drop(one);
            ret_names[n++] = one->name;
            surplus--;
        }
    }
    return n;
}

/* ---- a round ---- */

SQL(leases_make_sql, "INSERT INTO leases (job) SELECT unnest($1::text[]) ON CONFLICT DO NOTHING")

/* $1: this node; $2, $3: all leases and their families; $4: lease_ms; $5: those to give back; $6:
 * how many nodes live. A node whose leases expire has died or stands still: it takes no share. One
 * that is alone need not wait until those of earlier processes expire. */
SQL(leases_round_sql,
    "WITH jobs AS MATERIALIZED (SELECT job, family, n "
    " FROM unnest($2::text[], $3::int8[]) WITH ORDINALITY AS j (job, family, n)), "
    "times AS MATERIALIZED (SELECT clock_timestamp() AS now, "
    " clock_timestamp() + $4::int8 * interval '1 millisecond' AS expiry), "
    "given AS (UPDATE leases SET node = 0, expires_at = '-infinity' "
    " WHERE node = $1 AND job = ANY($5::text[]) RETURNING pg_notify('concorde_lease', '')), "
    "renewed AS (UPDATE leases l SET expires_at = t.expiry FROM jobs j, times t "
    " WHERE l.job = j.job AND l.node = $1 AND l.job <> ALL($5::text[]) "
    " RETURNING j.n, j.family, l.fence), "
    "live AS (SELECT greatest(1, $6 - count(DISTINCT l.node)) AS n "
    " FROM leases l JOIN jobs USING (job), times t "
    " WHERE l.node NOT IN (0, $1) AND l.expires_at < t.now), "
    "families AS (SELECT j.family, (count(*) + live.n - 1) / live.n "
    " - (SELECT count(*) FROM renewed r WHERE r.family = j.family) AS room "
    " FROM jobs j, live GROUP BY j.family, live.n), "
    "free AS (SELECT f.job, f.n FROM families g CROSS JOIN LATERAL ("
    "  SELECT l.job, j.n FROM jobs j JOIN leases l USING (job), times t "
    "  WHERE j.family = g.family AND l.node <> $1 AND (l.expires_at < t.now OR $6 = 1) "
    "  LIMIT greatest(g.room, 0) FOR UPDATE OF l SKIP LOCKED) f), "
    "taken AS (UPDATE leases l SET node = $1, fence = l.fence + 1, expires_at = t.expiry "
    " FROM free f, times t WHERE l.job = f.job RETURNING f.n, l.fence) "
    "SELECT n, fence FROM renewed UNION ALL SELECT n, fence FROM taken")

struct lease_names {
    struct lease **leases;
    const char **names;
    int64_t *families;
    size_t n;
};

static void leases_list(struct leases *l, struct arena *a, struct lease_names *ret)
{
    size_t all = leases_count(l);
    *ret = (struct lease_names){.leases = arena_alloc_array(a, all, sizeof *ret->leases),
                                .names = arena_alloc_array(a, all, sizeof *ret->names),
                                .families = arena_alloc_array(a, all, sizeof *ret->families)};
    EACH_LEASE(l, one)
    {
        ret->leases[ret->n] = one;
        ret->names[ret->n] = one->name;
        ret->families[ret->n++] = one->job->family;
        one->is_renewed = false;
    }
}

static const struct err *leases_ask(struct leases *l, struct tx *tx, const struct lease_names *all,
                                    struct rows *ret)
{
    int64_t live = l->s.live_nodes ? l->s.live_nodes(l->s.of) : 1, nodes = live > 1 ? live : 1;
    const char **given = arena_alloc_array(tx->arena, all->n, sizeof *given);
    size_t given_n = leases_drop_surplus(l, nodes, given);
    if (!l->has_rows)
        TRY(db_exec(tx, &leases_make_sql, P(TEXT_ARRAY(all->names, all->n)), NULL));
    l->has_rows = true;
    return db_query(tx, &leases_round_sql,
                    P(INT(l->s.node), TEXT_ARRAY(all->names, all->n),
                      INT_ARRAY(all->families, all->n), INT(l->s.lease_ms),
                      TEXT_ARRAY(given, given_n), INT(nodes)),
                    ret);
}

const struct err *leases_renew(struct leases *l, struct tx *tx)
{
    struct lease_names all;
    struct rows rows;
    assert(l->s.node);
    if (!l->jobs_n)
        return NULL;
    leases_list(l, tx->arena, &all);
    leases_drop_lapsed(l);
    int64_t valid_until = boot_ms() + l->s.lease_ms - LEASE_MARGIN_MS; /* before it is sent */
    TRY(leases_ask(l, tx, &all, &rows));
    while (rows_next(&rows))
        lease_renewed(l, all.leases[row_int(&rows, 0) - 1], row_int(&rows, 1), valid_until);
    for (size_t i = 0; i < all.n; i++)
        if (all.leases[i]->fence && !all.leases[i]->is_renewed)
            lease_lose(l, all.leases[i]);
    return NULL;
}

/* ---- life ---- */

static enum worker_outcome leases_work(void *of, void *thread, struct worker_item *item)
{
    struct leases *l = of;
    int before = db_limit_statements(LEASE_MS);
    const struct err *e = leases_renew(l, job_tx(thread));
    db_limit_statements(before);
    if (e && log_limited("leases could not be renewed", LOG_FEW))
        log_err(LOG_WARN, "leases could not be renewed", e);
    item->wait_ms = LEASE_ROUND_MS;
    return WORKER_WAIT;
}

void leases_start(struct leases *l)
{
    l->renews = worker_kind_create(
        l->node->storage->background,
        &(struct worker_settings){.name = "leases", .of = l, .run = leases_work});
    worker_kind_start(l->renews);
    worker_add(l->renews, (struct worker_key){0});
}

void leases_look(struct leases *l)
{
    if (l && l->renews)
        worker_hurry(l->renews, (struct worker_key){0});
}

SQL(leases_give_back_sql, "WITH given AS (UPDATE leases SET node = 0, expires_at = '-infinity' "
                          "WHERE node = $1 RETURNING 1) "
                          "SELECT pg_notify('concorde_lease', '') FROM given LIMIT 1")

static const struct err *leases_give_back_all(struct leases *l)
{
    arena_auto struct arena *a = arena_create();
    struct tx tx;
    tx_init(&tx, l->node->storage->db, a);
    const struct err *e = db_exec(&tx, &leases_give_back_sql, P(INT(l->s.node)), NULL);
    tx_finish(&tx);
    return e;
}

void leases_give_back(struct leases *l)
{
    bool held = false;
    if (!l)
        return;
    worker_kind_stop(l->renews);
    EACH_LEASE(l, one)
    if (one->fence) {
        held = true;
        lease_drop(one);
    }
    if (!held)
        return;
    int before = db_limit_statements(GIVE_BACK_LIMIT_MS);
    const struct err *e = leases_give_back_all(l);
    db_limit_statements(before);
    if (e)
        log_err(LOG_WARN, "leases are not given back; they expire", e);
}

void leases_add_metrics(struct leases *l, struct buf *out)
{
    if (!l)
        return;
    BUF_LIT(out, "# HELP concorde_lease_held Leases that this node holds, by job.\n"
                 "# TYPE concorde_lease_held gauge\n");
    for (int i = 0; i < l->jobs_n; i++) {
        int held = 0;
        for (int slice = 0; slice < l->jobs[i]->n; slice++)
            held += lease_fence(l->jobs[i], slice) != 0;
        buf_printf(out, "concorde_lease_held{job=\"%s\"} %d\n", l->jobs[i]->s.name, held);
    }
    buf_printf(out,
               "# HELP concorde_lease_taken_total Leases that this node has taken.\n"
               "# TYPE concorde_lease_taken_total counter\nconcorde_lease_taken_total %lld\n"
               "# HELP concorde_lease_lost_total Those that it lost without giving them back.\n"
               "# TYPE concorde_lease_lost_total counter\nconcorde_lease_lost_total %lld\n",
               (long long)l->taken, (long long)l->lost);
}
