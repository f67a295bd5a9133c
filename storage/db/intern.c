#include "storage/db/intern.h"

#include "base/map.h"
#include "base/mem.h"

#include <assert.h>
#include <pthread.h>

struct entry {
    int64_t id;
    struct str name; /* stored after the entry, ends in NUL */
};

/* The names of one kind. The hot path is one lookup under the shared lock, which is a leaf: nothing
 * is locked and no statement runs while it is held. */
struct names {
    pthread_rwlock_t lock;
    struct map by_name, by_id; /* of struct entry, each in both */
    size_t bytes;
    int64_t misses;
};

struct intern {
    struct db *db;
    struct names kinds[INTERN_KIND_COUNT];
};

SQL(users_by_name_sql, "SELECT id, user_id FROM users WHERE user_id = ANY($1::text[])")
SQL(users_by_id_sql, "SELECT id, user_id FROM users WHERE id = ANY($1::bigint[])")
SQL(rooms_by_name_sql, "SELECT id, room_id FROM rooms WHERE room_id = ANY($1::text[])")
SQL(rooms_by_id_sql, "SELECT id, room_id FROM rooms WHERE id = ANY($1::bigint[])")
SQL(types_by_name_sql, "SELECT id, type FROM event_types WHERE type = ANY($1::text[])")
SQL(types_by_id_sql, "SELECT id, type FROM event_types WHERE id = ANY($1::bigint[])")

/* Sorted, so that two transactions that add the same names do not deadlock. */
SQL(users_add_sql, "INSERT INTO users (user_id) SELECT DISTINCT name FROM unnest($1::text[]) name"
                   " ORDER BY name ON CONFLICT DO NOTHING RETURNING id, user_id")
SQL(types_add_sql,
    "INSERT INTO event_types (type) SELECT DISTINCT name FROM unnest($1::text[]) name"
    " ORDER BY name ON CONFLICT DO NOTHING RETURNING id, type")

static const struct {
    const char *kind;
    struct sql *by_name, *by_id, *add;
} tables[INTERN_KIND_COUNT] = {
    [INTERN_USER] = {"user", &users_by_name_sql, &users_by_id_sql, &users_add_sql},
    [INTERN_ROOM] = {"room", &rooms_by_name_sql, &rooms_by_id_sql, NULL},
    [INTERN_TYPE] = {"type", &types_by_name_sql, &types_by_id_sql, &types_add_sql},
};

struct intern *intern_create(struct db *db)
{
    struct intern *in = mem_zalloc(sizeof *in);
    in->db = db;
    for (int i = 0; i < INTERN_KIND_COUNT; i++)
        pthread_rwlock_init(&in->kinds[i].lock, NULL);
    return in;
}

void intern_destroy(struct intern *in)
{
    if (!in)
        return;
    for (int i = 0; i < INTERN_KIND_COUNT; i++) {
        struct names *k = &in->kinds[i];
        for (struct map_slot *s = NULL; (s = map_next(&k->by_id, s));)
            free(s->value);
        map_finish(&k->by_name);
        map_finish(&k->by_id);
        pthread_rwlock_destroy(&k->lock);
    }
    free(in);
}

void intern_add_metrics(struct intern *in, struct buf *out)
{
    size_t n[INTERN_KIND_COUNT], bytes[INTERN_KIND_COUNT];
    int64_t misses[INTERN_KIND_COUNT];
    for (int i = 0; i < INTERN_KIND_COUNT; i++) {
        struct names *k = &in->kinds[i];
        pthread_rwlock_rdlock(&k->lock);
        n[i] = k->by_id.n;
        bytes[i] = k->bytes + (k->by_id.size + k->by_name.size) * sizeof(struct map_slot);
        misses[i] = k->misses;
        pthread_rwlock_unlock(&k->lock);
    }
    BUF_LIT(out, "# HELP concorde_interned_names Names whose numbers are in memory.\n"
                 "# TYPE concorde_interned_names gauge\n");
    for (int i = 0; i < INTERN_KIND_COUNT; i++)
        buf_printf(out, "concorde_interned_names{kind=\"%s\"} %zu\n", tables[i].kind, n[i]);
    BUF_LIT(out, "# HELP concorde_interned_bytes Memory of these names.\n"
                 "# TYPE concorde_interned_bytes gauge\n");
    for (int i = 0; i < INTERN_KIND_COUNT; i++)
        buf_printf(out, "concorde_interned_bytes{kind=\"%s\"} %zu\n", tables[i].kind, bytes[i]);
    BUF_LIT(out, "# HELP concorde_interned_misses_total Names looked up in the database.\n"
                 "# TYPE concorde_interned_misses_total counter\n");
    for (int i = 0; i < INTERN_KIND_COUNT; i++)
        buf_printf(out, "concorde_interned_misses_total{kind=\"%s\"} %lld\n", tables[i].kind,
                   (long long)misses[i]);
}

/* ---- the cache ---- */

void intern_remember(struct intern *in, enum intern_kind kind, const char *name, int64_t id)
{
    assert(id > 0);
    struct names *k = &in->kinds[kind];
    size_t length = strlen(name);
    pthread_rwlock_wrlock(&k->lock);
    if (!map_get_int(&k->by_id, id)) {
        struct entry *e = mem_alloc(sizeof *e + length + 1);
        memcpy(e + 1, name, length + 1);
        *e = (struct entry){id, {(const char *)(e + 1), length}};
        map_put_int(&k->by_id, id, e);
        map_put(&k->by_name, e->name, e);
        k->bytes += sizeof *e + length + 1;
    }
    pthread_rwlock_unlock(&k->lock);
}

/* Fills in the ids that are cached, 0 for the others. Returns how many are missing. */
static size_t cached_ids(struct names *k, const char *const *names, size_t n, int64_t *ret)
{
    size_t missing = 0;
    pthread_rwlock_rdlock(&k->lock);
    for (size_t i = 0; i < n; i++) {
        const struct entry *e = map_get(&k->by_name, str_of(names[i]));
        ret[i] = e ? e->id : 0;
        missing += !e;
    }
    pthread_rwlock_unlock(&k->lock);
    return missing;
}

static size_t cached_names(struct names *k, const int64_t *ids, size_t n, const char **ret)
{
    size_t missing = 0;
    pthread_rwlock_rdlock(&k->lock);
    for (size_t i = 0; i < n; i++) {
        const struct entry *e = map_get_int(&k->by_id, ids[i]);
        ret[i] = e ? e->name.p : NULL;
        missing += !e;
    }
    pthread_rwlock_unlock(&k->lock);
    return missing;
}

static void count_misses(struct names *k, size_t n)
{
    pthread_rwlock_wrlock(&k->lock);
    k->misses += (int64_t)n;
    pthread_rwlock_unlock(&k->lock);
}

/* ---- the database ---- */

/* Runs a statement that gives ids and names, and remembers them. */
static const struct err *intern_fetch(struct intern *in, enum intern_kind kind, struct sql *s,
                                      struct db_param what)
{
    arena_auto struct arena *a = arena_create();
    struct tx tx;
    tx_init(&tx, in->db, a);
    struct rows rows;
    TRY(db_query(&tx, s, P(what), &rows));
    while (rows_next(&rows))
        intern_remember(in, kind, row_text(&rows, 1), row_int(&rows, 0));
    return NULL;
}

/* Runs the statement for the names without an id, then looks again. */
static const struct err *fetch_ids(struct intern *in, enum intern_kind kind, struct sql *s,
                                   const char *const *names, size_t n, int64_t *ids,
                                   size_t *missing)
{
    const char **unknown = mem_realloc_array(NULL, *missing, sizeof *unknown);
    size_t unknown_n = 0;
    for (size_t i = 0; i < n; i++)
        if (!ids[i])
            unknown[unknown_n++] = names[i];
    const struct err *e = intern_fetch(in, kind, s, TEXT_ARRAY(unknown, unknown_n));
    free(unknown);
    if (!e)
        *missing = cached_ids(&in->kinds[kind], names, n, ids);
    return e;
}

static const struct err *find_ids(struct intern *in, enum intern_kind kind,
                                  const char *const *names, size_t n, int64_t *ids, size_t *missing)
{
    *missing = cached_ids(&in->kinds[kind], names, n, ids);
    if (!*missing)
        return NULL;
    count_misses(&in->kinds[kind], *missing);
    return fetch_ids(in, kind, tables[kind].by_name, names, n, ids, missing);
}

const struct err *intern_ids(struct intern *in, enum intern_kind kind, const char *const *names,
                             size_t n, int64_t *ret)
{
    size_t missing;
    TRY(find_ids(in, kind, names, n, ret, &missing));
    if (missing && tables[kind].add)
        TRY(fetch_ids(in, kind, tables[kind].add, names, n, ret, &missing));
    if (missing) /* another request added them between the two statements */
        TRY(fetch_ids(in, kind, tables[kind].by_name, names, n, ret, &missing));
    return missing ? err_internal("unknown %s", tables[kind].kind) : NULL;
}

const struct err *intern_id(struct intern *in, enum intern_kind kind, const char *name,
                            int64_t *ret)
{
    int64_t id;
    TRY(intern_ids(in, kind, &name, 1, &id));
    *ret = id;
    return NULL;
}

const struct err *intern_find(struct intern *in, enum intern_kind kind, const char *name,
                              int64_t *ret)
{
    int64_t id;
    size_t missing;
    TRY(find_ids(in, kind, &name, 1, &id, &missing));
    *ret = id;
    return NULL;
}

const struct err *intern_find_again(struct intern *in, enum intern_kind kind, const char *name,
                                    int64_t *ret)
{
    size_t missing = 1;
    *ret = 0;
    return fetch_ids(in, kind, tables[kind].by_name, &name, 1, ret, &missing);
}

const struct err *intern_names(struct intern *in, enum intern_kind kind, const int64_t *ids,
                               size_t n, const char **ret)
{
    struct names *k = &in->kinds[kind];
    size_t missing = cached_names(k, ids, n, ret);
    if (!missing)
        return NULL;
    count_misses(k, missing);
    int64_t *unknown = mem_realloc_array(NULL, missing, sizeof *unknown);
    size_t unknown_n = 0;
    for (size_t i = 0; i < n; i++)
        if (!ret[i])
            unknown[unknown_n++] = ids[i];
    const struct err *e = intern_fetch(in, kind, tables[kind].by_id, INT_ARRAY(unknown, unknown_n));
    free(unknown);
    TRY(e);
    if (cached_names(k, ids, n, ret))
        return err_internal("no %s has one of these %zu ids", tables[kind].kind, n);
    return NULL;
}

const struct err *intern_name(struct intern *in, enum intern_kind kind, int64_t id,
                              const char **ret)
{
    const char *name;
    TRY(intern_names(in, kind, &id, 1, &name));
    *ret = name;
    return NULL;
}
