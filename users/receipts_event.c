#include "users/receipts_internal.h"

#include "matrix/id.h"
#include "matrix/json_scan.h"
#include "users/receipts.h"

enum { FEED_READ_MAX = 10000 };

const char *receipt_type_name(enum receipt_type type)
{
    return type == RECEIPT_READ ? "m.read" : "m.read.private";
}

void receipt_add_data(struct buf *out, const struct receipt *r)
{
    BUF_LIT(out, "{\"ts\":");
    buf_add_int(out, r->ts);
    if (*r->thread) {
        BUF_LIT(out, ",\"thread_id\":");
        buf_add_json_string(out, str_of(r->thread));
    }
    buf_add_char(out, '}');
}

/* Parses {"$event":{"m.read":{"@user":{"ts":…,"thread_id":…}}}} from the feed. */
static bool parse_change(struct arena *a, const struct change *c, struct receipt *ret)
{
    struct json_member event, type, user;
    const struct change_receipt *of = change_as_receipt(c);
    size_t p = 0, q = 0, r = 0;
    if (!json_scan_next(of->json, &p, &event) || !json_scan_next(event.value, &q, &type) ||
        !json_scan_next(type.value, &r, &user))
        return false;
    char *event_id = arena_alloc(a, event.key.n + 1);
    event_id[json_scan_unescape(event.key, event_id)] = '\0';
    struct str thread = json_scan_get(user.value, "thread_id");
    *ret = (struct receipt){
        .user = c->user,
        .user_id = of->user_id,
        .type = of->is_private ? RECEIPT_READ_PRIVATE : RECEIPT_READ,
        .thread = thread.p ? json_scan_string(a, thread) : "",
        .event_id = event_id,
        .event = of->event,
    };
    return json_scan_int(json_scan_get(user.value, "ts"), &ret->ts);
}

static const struct err *read_feed(struct job *job, int64_t room, int64_t user, int64_t since,
                                   int64_t until, struct receipt **ret, size_t *ret_n,
                                   bool *ret_done)
{
    struct feed *f = job->storage->feed;
    const struct change *changes;
    size_t changes_n, n = 0;
    bool more;
    feed_read_room(f, job->arena, room, since, until, 1u << CHANGE_RECEIPT, FEED_READ_MAX, &changes,
                   &changes_n, &more);
    struct receipt *list = arena_alloc_array(job->arena, changes_n + 1, sizeof *list);
    for (size_t i = 0; i < changes_n; i++)
        if (!changes[i].receipt.is_private || changes[i].user == user)
            n += parse_change(job->arena, &changes[i], &list[n]);
    *ret = list;
    *ret_n = n;
    /* Checked last: if the ring still covers `since` now, it did so throughout. */
    *ret_done = !more && feed_covers(f, since);
    return NULL;
}

static int by_mark(const void *x, const void *y)
{
    const struct receipt *a = x, *b = y;
    if (a->user != b->user)
        return a->user < b->user ? -1 : 1;
    if (a->type != b->type)
        return a->type < b->type ? -1 : 1;
    int c = strcmp(a->thread, b->thread);
    return c ? c : a->event > b->event ? -1 : a->event < b->event;
}

/* Keeps only the newest receipt of each kind, thread and user. */
static size_t keep_newest(struct receipt *list, size_t n)
{
    size_t kept = 0;
    qsort(list, n, sizeof *list, by_mark);
    for (size_t i = 0; i < n; i++) {
        const struct receipt *before = kept ? &list[kept - 1] : NULL;
        if (!before || before->user != list[i].user || before->type != list[i].type ||
            strcmp(before->thread, list[i].thread) != 0)
            list[kept++] = list[i];
    }
    return kept;
}

/* In the order of the JSON; for one event, a user's unthreaded receipt sorts first. */
static int by_event(const void *x, const void *y)
{
    const struct receipt *a = x, *b = y;
    int c = strcmp(a->event_id, b->event_id);
    if (c)
        return c;
    if (a->type != b->type)
        return a->type < b->type ? -1 : 1;
    if (a->user != b->user)
        return a->user < b->user ? -1 : 1;
    return strcmp(a->thread, b->thread);
}

static bool same_place(const struct receipt *a, const struct receipt *b)
{
    return a->user == b->user && a->type == b->type && strcmp(a->event_id, b->event_id) == 0;
}

/* Writes one event, moves the receipts that do not fit to the front of the list, and returns their
 * number. */
static size_t receipts_event_add_event(struct receipt *list, size_t n, const char *room_id,
                                       struct buf *out)
{
    size_t left = 0;
    const struct receipt *before = NULL;
    BUF_LIT(out, "{\"type\":\"m.receipt\",");
    if (room_id) {
        BUF_LIT(out, "\"room_id\":");
        buf_add_json_string(out, str_of(room_id));
        buf_add_char(out, ',');
    }
    BUF_LIT(out, "\"content\":{");
    for (size_t i = 0; i < n; i++) {
        struct receipt r = list[i];
        if (before && same_place(before, &r)) {
            list[left++] = r;
            continue;
        }
        bool new_event = !before || strcmp(before->event_id, r.event_id) != 0;
        bool new_type = new_event || before->type != r.type;
        if (before)
            buf_add_text(out, new_event ? "}}," : new_type ? "}," : ",");
        if (new_event) {
            buf_add_json_string(out, str_of(r.event_id));
            BUF_LIT(out, ":{");
        }
        if (new_type)
            buf_printf(out, "\"%s\":{", receipt_type_name(r.type));
        buf_add_json_string(out, str_of(r.user_id));
        buf_add_char(out, ':');
        receipt_add_data(out, &r);
        before = &list[i];
    }
    BUF_LIT(out, "}}}}");
    return left;
}

/* Receipts set in (since, until] and visible to the user (0: only public ones), the newest of each
 * kind, thread and user. */
static const struct err *read_newest(struct job *job, int64_t room, int64_t user, int64_t since,
                                     int64_t until, struct receipt **ret, size_t *ret_n)
{
    struct receipt *list = NULL;
    size_t n = 0;
    bool done = false;
    if (since && feed_covers(job->storage->feed, since))
        TRY(read_feed(job, room, user, since, until, &list, &n, &done));
    if (!done) {
        const struct receipt *rows;
        TRY(receipts_since(job_tx(job), room, user, since, until, &rows, &n));
        list = arena_alloc_array(job->arena, n + 1, sizeof *list);
        memcpy(list, rows, n * sizeof *list);
    }
    *ret = list;
    *ret_n = keep_newest(list, n);
    return NULL;
}

const struct err *receipts_list_own(struct job *job, int64_t room, int64_t since, int64_t until,
                                    const struct receipt **ret, size_t *ret_n)
{
    struct receipt *list;
    size_t n, kept = 0;
    TRY(read_newest(job, room, 0, since, until, &list, &n));
    for (size_t i = 0; i < n; i++)
        if (id_is_local(job->node, list[i].user_id))
            list[kept++] = list[i];
    *ret = list;
    *ret_n = kept;
    return NULL;
}

static size_t receipts_event_leave_out(struct receipt *list, size_t n, const struct map *without)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++)
        if (!map_get(without, str_of(list[i].user_id)))
            list[kept++] = list[i];
    return kept;
}

const struct err *receipts_read(struct job *job, int64_t room, int64_t user, int64_t since,
                                int64_t until, const struct map *without, struct receipt **ret,
                                size_t *ret_n)
{
    struct receipt *list;
    size_t n;
    TRY(read_newest(job, room, user, since, until, &list, &n));
    if (without)
        n = receipts_event_leave_out(list, n, without);
    qsort(list, n, sizeof *list, by_event);
    *ret = list;
    *ret_n = n;
    return NULL;
}

const struct err *receipts_read_of_events(struct job *job, int64_t room, int64_t user, int64_t from,
                                          int64_t until, const struct map *without,
                                          struct receipt **ret, size_t *ret_n)
{
    const struct receipt *rows;
    size_t n;
    TRY(receipts_of_events(job_tx(job), room, user, from, until, &rows, &n));
    struct receipt *list = arena_alloc_array(job->arena, n + 1, sizeof *list);
    if (n)
        memcpy(list, rows, n * sizeof *list);
    if (without)
        n = receipts_event_leave_out(list, n, without);
    qsort(list, n, sizeof *list, by_event);
    *ret = list;
    *ret_n = n;
    return NULL;
}

void receipts_add_events(struct receipt *list, size_t n, const char *room_id, struct buf *out)
{
    while (n) {
        n = receipts_event_add_event(list, n, room_id, out);
        if (n)
            buf_add_char(out, ',');
    }
}
