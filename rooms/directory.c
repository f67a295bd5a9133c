#include "rooms/directory.h"

#include "base/mem.h"
#include "base/text.h"
#include "matrix/glob.h"
#include "rooms/summary.h"
#include "storage/rooms.h"

struct entry {
    int64_t room, joined_n;
    char *json, *room_type;     /* room_type NULL: none */
    char *name, *topic, *alias; /* what a search looks at, folded; NULL: none */
    unsigned seen;              /* in the newest list that was made */
    bool stale;
};

/* Who reads many entries holds `reading`, which keeps them what they are. The listener, for which
 * all commits wait, takes `lock` alone, for a moment: it marks entries as stale. What changes the
 * map holds both. */
struct directory {
    struct lock reading, lock;
    struct store *store;
    struct map entries; /* rooms.id -> struct entry */
    unsigned lists;
};

/* ---- entries ---- */

static void free_entry(struct entry *e)
{
    if (!e)
        return;
    free(e->json);
    free(e->room_type);
    free(e->name);
    free(e->topic);
    free(e->alias);
    free(e);
}

static char *folded(struct arena *a, const char *text)
{
    return mem_strdup(text_fold_string(a, text));
}

static struct entry *make_entry(struct arena *a, const struct room *room,
                                const struct room_summary *s)
{
    struct entry *e = mem_zalloc(sizeof *e);
    json_auto_t *chunk = room_summary_chunk(s);
    struct buf json = {0};
    buf_add_json(&json, chunk);
    *e = (struct entry){
        .room = room->id,
        .joined_n = s->joined_n,
        .json = buf_steal(&json, &(size_t){0}),
        .room_type = mem_strdup(s->room_type),
        .name = folded(a, s->name),
        .topic = folded(a, s->topic),
        .alias = folded(a, s->canonical_alias),
    };
    return e;
}

static void put(struct directory *d, int64_t room, struct entry *e)
{
    LOCKED(&d->reading);
    lock_take(&d->lock);
    struct entry *before = map_put_int(&d->entries, room, e);
    lock_release(&d->lock);
    free_entry(before);
}

static void set_stale(struct directory *d, int64_t room)
{
    LOCKED(&d->lock);
    struct entry *e = map_get_int(&d->entries, room);
    if (e)
        e->stale = true;
}

static const struct err *refresh(struct job *job, struct directory *d, int64_t id)
{
    int64_t before = feed_position(d->store->feed);
    struct room *room;
    struct room_summary s;
    TRY(room_get_by_id(job, id, &room));
    if (!room)
        return NULL;
    TRY(room_summary_read(job, room, &s));
    struct entry *e = make_entry(job->arena, room, &s);
    put(d, id, e);
    if (feed_room_position(d->store->feed, id) > before)
        set_stale(d, id);
    return NULL;
}

/* ---- keeping up with the published rooms ---- */

static size_t find_missing(struct directory *d, const int64_t *rooms, size_t n, int64_t *ret)
{
    LOCKED(&d->lock);
    size_t missing = 0;
    for (size_t i = 0; i < n; i++) {
        const struct entry *e = map_get_int(&d->entries, rooms[i]);
        if (!e || e->stale)
            ret[missing++] = rooms[i];
    }
    return missing;
}

/* Each room in memory of its own, for there may be many. */
static const struct err *refresh_all(struct job *job, struct directory *d, const int64_t *rooms,
                                     size_t n)
{
    arena_auto struct arena *a = arena_create();
    const struct err *e = NULL;
    for (size_t i = 0; i < n && !e; i++) {
        struct job own;
        job_init(&own, job->store, a);
        e = refresh(&own, d, rooms[i]);
        job_finish(&own);
        arena_reset(a);
    }
    return e;
}

/* Those that the newest list did not have. */
static void drop_unpublished_reading(struct directory *d, struct arena *a)
{
    struct entry **gone = arena_alloc_array(a, d->entries.n + 1, sizeof *gone);
    size_t n = 0;
    for (struct map_slot *s = NULL; (s = map_next(&d->entries, s));) {
        struct entry *e = s->value;
        if (e->seen != d->lists)
            gone[n++] = e;
    }
    if (!n)
        return;
    LOCKED(&d->lock);
    for (size_t i = 0; i < n; i++) {
        map_remove_int(&d->entries, gone[i]->room);
        free_entry(gone[i]);
    }
}

/* ---- listing ---- */

/* A token names an entry's place in the order: `n` for what comes behind it, `p` for what comes
 * before. */
struct token {
    char direction;
    int64_t joined_n, room;
};

static const struct err *read_token(const char *text, struct token *ret)
{
    *ret = (struct token){.direction = 'n', .joined_n = INT64_MAX};
    if (!text)
        return NULL;
    const char *underscore = strchr(text, '_');
    struct token t = {.direction = *text};
    if ((*text != 'n' && *text != 'p') || !underscore ||
        !str_to_int64((struct str){text + 1, (size_t)(underscore - text - 1)}, &t.joined_n) ||
        !str_to_int64(str_of(underscore + 1), &t.room))
        return err(ERR_INVALID_PARAM, "\"since\" is not a token of an earlier page");
    *ret = t;
    return NULL;
}

/* Most members first. */
static int compare(int64_t a_joined, int64_t a_room, int64_t b_joined, int64_t b_room)
{
    if (a_joined != b_joined)
        return a_joined > b_joined ? -1 : 1;
    return a_room < b_room ? -1 : a_room > b_room;
}

static int compare_entries(const void *a, const void *b)
{
    const struct entry *x = *(const struct entry *const *)a, *y = *(const struct entry *const *)b;
    return compare(x->joined_n, x->room, y->joined_n, y->room);
}

static bool is_found(const char *pattern, const char *text)
{
    return text && glob_matches(str_of(pattern), str_of(text), GLOB_STAR_ONLY);
}

static bool is_wanted(const struct entry *e, const struct directory_query *q, const char *pattern)
{
    if (pattern && !is_found(pattern, e->name) && !is_found(pattern, e->topic) &&
        !is_found(pattern, e->alias))
        return false;
    for (size_t i = 0; i < json_array_size(q->room_types); i++) {
        const json_t *wanted = json_array_get(q->room_types, i);
        const char *type = json_string_text(wanted);
        if (json_is_null(wanted) ? !e->room_type
                                 : type && e->room_type && strcmp(type, e->room_type) == 0)
            return true;
    }
    return !q->room_types;
}

static size_t collect_reading(struct directory *d, const int64_t *rooms, size_t n,
                              const struct directory_query *q, const char *pattern,
                              struct entry **ret)
{
    size_t found = 0;
    d->lists++;
    for (size_t i = 0; i < n; i++) {
        struct entry *e = map_get_int(&d->entries, rooms[i]);
        if (!e)
            continue;
        e->seen = d->lists;
        if (is_wanted(e, q, pattern))
            ret[found++] = e;
    }
    qsort(ret, found, sizeof *ret, compare_entries);
    return found;
}

static void add_token(struct buf *out, const char *key, char direction, const struct entry *e)
{
    buf_printf(out, ",\"%s\":\"%c%lld_%lld\"", key, direction, (long long)e->joined_n,
               (long long)e->room);
}

static void write_page(struct buf *out, struct entry *const *entries, size_t n,
                       const struct token *t, size_t limit)
{
    size_t place = 0; /* of the first entry that is not before the token's */
    while (place < n &&
           compare(entries[place]->joined_n, entries[place]->room, t->joined_n, t->room) < 0)
        place++;
    bool back = t->direction == 'p';
    bool is_there = place < n && entries[place]->room == t->room;
    size_t from = back ? (place > limit ? place - limit : 0) : place + is_there;
    size_t to = back ? place : from + limit < n ? from + limit : n;
    BUF_LIT(out, "{\"chunk\":[");
    for (size_t i = from; i < to; i++) {
        buf_add_text(out, i > from ? "," : "");
        buf_add_text(out, entries[i]->json);
    }
    buf_printf(out, "],\"total_room_count_estimate\":%zu", n);
    if (to > from && to < n)
        add_token(out, "next_batch", 'n', entries[to - 1]);
    if (to > from && from > 0)
        add_token(out, "prev_batch", 'p', entries[from]);
    buf_add_char(out, '}');
}

const struct err *directory_list(struct job *job, const struct directory_query *q, struct buf *out)
{
    struct directory *d = job->store->directory;
    struct token token;
    const int64_t *rooms;
    size_t n;
    TRY(read_token(q->since, &token));
    TRY(rooms_published(job_tx(job), &rooms, &n));
    int64_t *missing = arena_alloc_array(job->arena, n + 1, sizeof *missing);
    TRY(refresh_all(job, d, missing, find_missing(d, rooms, n, missing)));
    const char *term = text_fold_string(job->arena, q->term);
    const char *pattern = term && *term ? arena_printf(job->arena, "*%s*", term) : NULL;
    struct entry **found = arena_alloc_array(job->arena, n + 1, sizeof(struct entry *));
    LOCKED(&d->reading);
    write_page(out, found, collect_reading(d, rooms, n, q, pattern, found), &token,
               (size_t)q->limit);
    drop_unpublished_reading(d, job->arena);
    return NULL;
}

/* ---- life ---- */

static void on_changes(void *ctx, const struct change *changes, size_t n)
{
    struct directory *d = ctx;
    LOCKED(&d->lock);
    for (struct map_slot *s = NULL; n == 0 && (s = map_next(&d->entries, s));)
        ((struct entry *)s->value)->stale = true;
    for (size_t i = 0; i < n; i++) {
        const struct change *c = &changes[i];
        bool shows = (c->kind == CHANGE_EVENT && (c->event->state_key || c->redacted_event)) ||
                     c->kind == CHANGE_STATE;
        struct entry *e = shows ? map_get_int(&d->entries, c->room) : NULL;
        if (e)
            e->stale = true;
    }
}

struct directory *directory_create(struct store *store)
{
    struct directory *d = mem_zalloc(sizeof *d);
    lock_init(&d->reading, RANK_CACHE);
    lock_init(&d->lock, RANK_LEAF);
    d->store = store;
    feed_listen(store->feed, on_changes, d);
    return d;
}

void directory_destroy(struct directory *d)
{
    if (!d)
        return;
    for (struct map_slot *s = NULL; (s = map_next(&d->entries, s));)
        free_entry(s->value);
    map_finish(&d->entries);
    lock_finish(&d->lock);
    lock_finish(&d->reading);
    free(d);
}
