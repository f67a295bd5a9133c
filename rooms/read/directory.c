#include "rooms/read/directory.h"
#include "rooms/rooms.h"

#include "base/mem.h"
#include "base/text.h"
#include "matrix/glob.h"
#include "rooms/read/summary.h"
#include "storage/rooms/rooms.h"

enum {
    READ_AT_ONCE = 500,        /* rooms, by one statement */
    JSON_KEPT_MAX = 4096,      /* bytes of an entry; longer ones are read when needed */
    TEXT_LOOKED_AT_MAX = 4096, /* bytes of a name or topic that are searched */
    PAGE_BYTES_MAX = 4 << 20
};

struct entry {
    int64_t room, joined_n;
    size_t bytes;               /* of its JSON */
    char *json, *room_type;     /* json NULL: not kept; room_type NULL: none */
    char *name, *topic, *alias; /* the searched texts, folded; NULL: none */
    unsigned seen;              /* number of the newest list that contains it */
    bool stale;
};

/* A thread that reads many entries holds `reading`, so that they do not change. The listener, for
 * which all commits wait, only takes `lock`, for a short time, to mark entries as stale. Code that
 * changes the map holds both. */
struct directory {
    struct lock reading, lock;
    struct node *node;
    struct map entries; /* rooms.id -> struct entry */
    unsigned lists;
    /* The newest list, most members first, and the rooms in it. */
    struct entry **sorted;
    int64_t *rooms;
    size_t sorted_n, rooms_n;
    bool is_old; /* an entry has changed since */
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

static char *directory_folded(struct arena *a, const char *text)
{
    if (text && strlen(text) > TEXT_LOOKED_AT_MAX)
        text = str_dup(a, (struct str){text, TEXT_LOOKED_AT_MAX});
    return mem_strdup(text_fold_string(a, text));
}

static char *chunk_of(const struct room_summary *s, size_t *ret_n)
{
    json_auto_t *chunk = room_summary_chunk(s);
    struct buf json = {0};
    buf_add_json(&json, chunk);
    return buf_steal(&json, ret_n);
}

static struct entry *make_entry(struct arena *a, int64_t room, const struct room_summary *s)
{
    struct entry *e = mem_zalloc(sizeof *e);
    *e = (struct entry){
        .room = room,
        .joined_n = s->joined_n,
        .room_type = mem_strdup(s->room_type),
        .name = directory_folded(a, s->name),
        .topic = directory_folded(a, s->topic),
        .alias = directory_folded(a, s->canonical_alias),
    };
    e->json = chunk_of(s, &e->bytes);
    if (e->bytes > JSON_KEPT_MAX) {
        free(e->json);
        e->json = NULL;
    }
    return e;
}

static void directory_put(struct directory *d, struct entry *e)
{
    LOCKED(&d->reading);
    lock_take(&d->lock);
    struct entry *before = map_put_int(&d->entries, e->room, e);
    lock_release(&d->lock);
    free_entry(before);
    d->is_old = true;
}

static void set_stale(struct directory *d, int64_t room)
{
    LOCKED(&d->lock);
    struct entry *e = map_get_int(&d->entries, room);
    if (e)
        e->stale = true;
}

/* Without the cache of rooms, from which they would displace rooms in use. */
static const struct err *directory_refresh(struct job *job, struct directory *d, const int64_t *ids,
                                           size_t n)
{
    int64_t before = feed_position(d->node->storage->feed);
    const int64_t *rooms;
    struct room_summary *summaries;
    TRY(room_summaries_read(job, ids, n, &rooms, &summaries, &n));
    for (size_t i = 0; i < n; i++) {
        directory_put(d, make_entry(job->arena, rooms[i], &summaries[i]));
        if (feed_room_position(d->node->storage->feed, rooms[i]) > before ||
            !feed_covers(d->node->storage->feed, before))
            set_stale(d, rooms[i]);
    }
    return NULL;
}

/* ---- keeping up with the published rooms ---- */

static size_t directory_find_missing(struct directory *d, const int64_t *rooms, size_t n,
                                     int64_t *ret)
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

/* Some at a time, since there may be many. */
static const struct err *refresh_all(struct job *job, struct directory *d, const int64_t *rooms,
                                     size_t n)
{
    arena_auto struct arena *a = arena_create();
    const struct err *e = NULL;
    for (size_t i = 0; i < n && !e; i += READ_AT_ONCE) {
        struct job own;
        job_init(&own, job->node, a);
        e = directory_refresh(&own, d, rooms + i, n - i < READ_AT_ONCE ? n - i : READ_AT_ONCE);
        job_finish(&own);
        arena_reset(a);
    }
    return e;
}

/* Drops entries that are not in the newest list. */
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

/* A token names an entry's place in the order: `n` for the entries after it, `p` for those before.
 */
struct token {
    char direction;
    int64_t joined_n, room;
};

static const struct err *directory_read_token(const char *text, struct token *ret)
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
static int directory_compare(int64_t a_joined, int64_t a_room, int64_t b_joined, int64_t b_room)
{
    if (a_joined != b_joined)
        return a_joined > b_joined ? -1 : 1;
    return a_room < b_room ? -1 : a_room > b_room;
}

static int compare_entries(const void *a, const void *b)
{
    const struct entry *x = *(const struct entry *const *)a, *y = *(const struct entry *const *)b;
    return directory_compare(x->joined_n, x->room, y->joined_n, y->room);
}

/* The search term, as it is or with a `*` in it. */
struct wanted {
    const char *term, *pattern; /* one of them is NULL */
};

static bool directory_is_found(const struct wanted *w, const char *text)
{
    if (!text)
        return false;
    return w->term ? strstr(text, w->term) != NULL
                   : glob_matches(str_of(w->pattern), str_of(text), GLOB_STAR_ONLY);
}

static void directory_wanted_init(struct arena *a, const char *term, struct wanted *ret)
{
    const char *folded = text_fold_string(a, term);
    *ret = (struct wanted){0};
    if (folded && *folded && strchr(folded, '*'))
        ret->pattern = arena_printf(a, "*%s*", folded);
    else if (folded && *folded)
        ret->term = folded;
}

static bool directory_is_wanted(const struct entry *e, const struct directory_query *q,
                                const struct wanted *w)
{
    if ((w->term || w->pattern) && !directory_is_found(w, e->name) &&
        !directory_is_found(w, e->topic) && !directory_is_found(w, e->alias))
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

/* The list is sorted again only when rooms or entries have changed. */
static void sort_reading(struct directory *d, struct arena *a, const int64_t *rooms, size_t n)
{
    if (!d->is_old && n == d->rooms_n && (!n || memcmp(rooms, d->rooms, n * sizeof *rooms) == 0))
        return;
    d->sorted = mem_realloc_array(d->sorted, n + 1, sizeof(struct entry *));
    d->rooms = mem_realloc_array(d->rooms, n + 1, sizeof *d->rooms);
    d->rooms_n = n;
    d->sorted_n = 0;
    d->lists++;
    for (size_t i = 0; i < n; i++) {
        d->rooms[i] = rooms[i];
        struct entry *e = map_get_int(&d->entries, rooms[i]);
        if (!e)
            continue;
        e->seen = d->lists;
        d->sorted[d->sorted_n++] = e;
    }
    qsort(d->sorted, d->sorted_n, sizeof(struct entry *), compare_entries);
    drop_unpublished_reading(d, a);
    d->is_old = false;
}

static size_t collect_reading(const struct directory *d, const struct directory_query *q,
                              const struct wanted *w, struct entry **ret)
{
    size_t found = 0;
    for (size_t i = 0; i < d->sorted_n; i++)
        if (directory_is_wanted(d->sorted[i], q, w))
            ret[found++] = d->sorted[i];
    return found;
}

/* ---- a page ---- */

struct page {
    size_t found, n;
    int64_t rooms[DIRECTORY_PAGE_MAX];
    const char *json[DIRECTORY_PAGE_MAX]; /* in the arena; NULL: still to be read */
    const char *next, *prev;              /* tokens; NULL: no such page */
};

static const char *token_of(struct arena *a, char direction, const struct entry *e)
{
    return arena_printf(a, "%c%lld_%lld", direction, (long long)e->joined_n, (long long)e->room);
}

/* How many entries fit, from the token on: at least one. */
static size_t fitting(struct entry *const *entries, size_t from, size_t to, bool back)
{
    size_t n = 0, bytes = 0;
    for (; n < to - from && (n == 0 || bytes < PAGE_BYTES_MAX); n++)
        bytes += entries[back ? to - 1 - n : from + n]->bytes;
    return n;
}

static void choose_page(struct arena *a, struct entry *const *entries, size_t n,
                        const struct token *t, size_t limit, struct page *ret)
{
    size_t place = 0; /* of the first entry that is not before the token's */
    while (place < n && directory_compare(entries[place]->joined_n, entries[place]->room,
                                          t->joined_n, t->room) < 0)
        place++;
    bool back = t->direction == 'p';
    bool is_there = place < n && entries[place]->room == t->room;
    size_t from = back ? (place > limit ? place - limit : 0) : place + is_there;
    size_t to = back ? place : from + limit < n ? from + limit : n;
    ret->found = n;
    ret->n = fitting(entries, from, to, back);
    *(back ? &from : &to) = back ? to - ret->n : from + ret->n;
    for (size_t i = 0; i < ret->n; i++) {
        ret->rooms[i] = entries[from + i]->room;
        ret->json[i] = arena_strdup(a, entries[from + i]->json);
    }
    if (ret->n && to < n)
        ret->next = token_of(a, 'n', entries[to - 1]);
    if (ret->n && from > 0)
        ret->prev = token_of(a, 'p', entries[from]);
}

static size_t find_in_page(const struct page *p, int64_t room)
{
    size_t i = 0;
    while (p->rooms[i] != room)
        i++;
    return i;
}

/* Reads the entries that are too long to be kept. */
static const struct err *read_rest(struct job *job, struct page *p)
{
    int64_t missing[DIRECTORY_PAGE_MAX];
    const int64_t *rooms;
    struct room_summary *summaries;
    size_t n = 0;
    for (size_t i = 0; i < p->n; i++)
        if (!p->json[i])
            missing[n++] = p->rooms[i];
    if (!n)
        return NULL;
    TRY(room_summaries_read(job, missing, n, &rooms, &summaries, &n));
    for (size_t i = 0; i < n; i++) {
        size_t bytes;
        char *json = chunk_of(&summaries[i], &bytes);
        p->json[find_in_page(p, rooms[i])] = arena_memdup(job->arena, json, bytes);
        free(json);
    }
    return NULL;
}

static void add_token(struct buf *out, const char *key, const char *token)
{
    if (token)
        buf_printf(out, ",\"%s\":\"%s\"", key, token);
}

static void write_page(struct buf *out, const struct page *p)
{
    BUF_LIT(out, "{\"chunk\":[");
    for (size_t i = 0; i < p->n; i++) {
        if (!p->json[i])
            continue; /* the room was unpublished meanwhile */
        buf_add_json_comma(out);
        buf_add_text(out, p->json[i]);
    }
    buf_printf(out, "],\"total_room_count_estimate\":%zu", p->found);
    add_token(out, "next_batch", p->next);
    add_token(out, "prev_batch", p->prev);
    buf_add_char(out, '}');
}

static void find_page(struct directory *d, struct arena *a, const struct directory_query *q,
                      const struct token *t, const int64_t *rooms, size_t n, struct page *ret)
{
    struct wanted w;
    directory_wanted_init(a, q->term, &w);
    struct entry **found = arena_alloc_array(a, n + 1, sizeof(struct entry *));
    LOCKED(&d->reading);
    sort_reading(d, a, rooms, n);
    size_t found_n = collect_reading(d, q, &w, found);
    choose_page(a, found, found_n, t, (size_t)q->limit, ret);
}

const struct err *directory_list(struct job *job, const struct directory_query *q, struct buf *out)
{
    struct directory *d = job->rooms->directory;
    struct page *page = arena_alloc(job->arena, sizeof *page);
    struct token token;
    const int64_t *rooms;
    size_t n;
    TRY(directory_read_token(q->since, &token));
    TRY(rooms_published(job_tx(job), &rooms, &n));
    int64_t *missing = arena_alloc_array(job->arena, n + 1, sizeof *missing);
    TRY(refresh_all(job, d, missing, directory_find_missing(d, rooms, n, missing)));
    find_page(d, job->arena, q, &token, rooms, n, page);
    TRY(read_rest(job, page));
    write_page(out, page);
    return NULL;
}

/* ---- life ---- */

void directory_on_changes(void *ctx, const struct change *changes, size_t n)
{
    struct directory *d = ctx;
    LOCKED(&d->lock);
    for (struct map_slot *s = NULL; n == 0 && (s = map_next(&d->entries, s));)
        ((struct entry *)s->value)->stale = true;
    for (size_t i = 0; i < n; i++) {
        const struct change *c = &changes[i];
        bool shows = c->kind == CHANGE_STATE || c->local.redacted_event ||
                     (c->kind == CHANGE_EVENT && c->event.event->state_key);
        struct entry *e = shows ? map_get_int(&d->entries, c->room) : NULL;
        if (e)
            e->stale = true;
    }
}

struct directory *directory_create(struct node *node)
{
    struct directory *d = mem_zalloc(sizeof *d);
    lock_init(&d->reading, RANK_CACHE);
    lock_init(&d->lock, RANK_LEAF);
    d->node = node;
    return d;
}

void directory_destroy(struct directory *d)
{
    if (!d)
        return;
    for (struct map_slot *s = NULL; (s = map_next(&d->entries, s));)
        free_entry(s->value);
    map_finish(&d->entries);
    free(d->sorted);
    free(d->rooms);
    lock_finish(&d->lock);
    lock_finish(&d->reading);
    free(d);
}
