#include "rooms/receipts.h"

#include "base/clock.h"
#include "matrix/json_scan.h"
#include "storage/account_data.h"
#include "storage/events.h"
#include "storage/relations.h"

enum { NEWEST_LOOKED_AT = 8, FEED_READ_MAX = 10000, HOPS_MAX = 3 };

/* ---- setting ---- */

struct read_event {
    int64_t position, thread;
};

/* Mostly somebody reads what has just been sent: the feed has it. */
static bool find_in_feed(struct job *job, const struct room *room, const char *event_id,
                         struct read_event *ret)
{
    struct feed *f = job->store->feed;
    const struct change *changes;
    size_t n;
    bool more;
    feed_read_room(f, job->arena, room->id, 0, feed_position(f), 1u << CHANGE_EVENT,
                   NEWEST_LOOKED_AT, &changes, &n, &more);
    for (size_t i = 0; i < n; i++)
        if (strcmp(changes[i].event->event_id, event_id) == 0) {
            *ret = (struct read_event){changes[i].position, changes[i].thread};
            return true;
        }
    return false;
}

static const struct err *find_event(struct job *job, const struct room *room, const char *event_id,
                                    struct read_event *ret)
{
    if (find_in_feed(job, room, event_id, ret))
        return NULL;
    const struct stored_event *e;
    TRY(events_get_by_id(job_tx(job), event_id, &e));
    if (!e || e->room != room->id)
        return err(ERR_NOT_FOUND, "Unknown event");
    *ret = (struct read_event){e->position, e->thread};
    return NULL;
}

/* Reactions to an event of a thread, and the like, are in it as well ("Threaded read receipts"). */
static const struct err *is_in_thread(struct job *job, const struct read_event *e, int64_t root,
                                      bool *ret)
{
    struct read_event at = *e;
    *ret = e->position == root;
    for (int hops = 0; !*ret && at.position; hops++) {
        *ret = at.thread == root;
        if (at.thread || hops == HOPS_MAX)
            return NULL;
        TRY(relations_parent(job_tx(job), at.position, &at.position, &at.thread));
    }
    return NULL;
}

/* What `thread` is in the log; M_INVALID_PARAM when the event is not in it. A thread's root counts
 * as the thread's own first event, too: that is how a thread without replies is read. */
static const struct err *check_thread(struct job *job, const struct room *room, const char *thread,
                                      const struct read_event *e, int64_t *ret)
{
    struct read_event root;
    *ret = 0;
    if (!*thread)
        return NULL;
    if (strcmp(thread, "main") == 0) {
        *ret = RECEIPT_OF_MAIN;
        return e->thread ? err(ERR_INVALID_PARAM, "The event is in a thread, not in main") : NULL;
    }
    const struct err *bad = find_event(job, room, thread, &root);
    if (bad && bad->code != ERR_NOT_FOUND)
        return bad;
    bool is_in = false;
    if (!bad)
        TRY(is_in_thread(job, e, root.position, &is_in));
    if (!is_in)
        return err(ERR_INVALID_PARAM, "The event is not related to the thread");
    *ret = root.position;
    return NULL;
}

static const struct err *is_ahead(struct job *job, int64_t room, const struct receipt *r, bool *ret)
{
    const struct receipt *set;
    size_t n;
    TRY(receipts_of_user(job_tx(job), room, r->user, &set, &n));
    *ret = true;
    for (size_t i = 0; i < n; i++)
        if (set[i].type == r->type && strcmp(set[i].thread, r->thread) == 0)
            *ret = set[i].event < r->event;
    return NULL;
}

static const char *type_name(enum receipt_type type)
{
    return type == RECEIPT_READ ? "m.read" : "m.read.private";
}

static void add_data(struct buf *out, const struct receipt *r)
{
    BUF_LIT(out, "{\"ts\":");
    buf_add_int(out, r->ts);
    if (*r->thread) {
        BUF_LIT(out, ",\"thread_id\":");
        buf_add_json_string(out, str_of(r->thread));
    }
    buf_add_char(out, '}');
}

const struct err *receipt_set(struct job *job, struct room *room, const struct author *who,
                              enum receipt_type type, const char *thread, const char *event_id)
{
    struct read_event e;
    int64_t root;
    bool ahead;
    TRY(find_event(job, room, event_id, &e));
    TRY(check_thread(job, room, thread, &e, &root));
    struct receipt r = {.user = who->user,
                        .user_id = who->user_id,
                        .type = type,
                        .thread = thread,
                        .event_id = event_id,
                        .event = e.position,
                        .ts = now_ms()};
    TRY(is_ahead(job, room->id, &r, &ahead));
    if (!ahead)
        return NULL;
    buf_auto struct buf json = {0};
    buf_add_char(&json, '{');
    buf_add_json_string(&json, str_of(event_id));
    buf_printf(&json, ":{\"%s\":{", type_name(type));
    buf_add_json_string(&json, str_of(who->user_id));
    buf_add_char(&json, ':');
    add_data(&json, &r);
    BUF_LIT(&json, "}}}");
    struct write *w = write_begin(job);
    int at = write_change(w, &(struct change){.kind = CHANGE_RECEIPT,
                                              .room = room->id,
                                              .user = who->user,
                                              .user_id = who->user_id,
                                              .json = buf_str(&json),
                                              .private_to_user = type == RECEIPT_READ_PRIVATE,
                                              .thread = root,
                                              .parent = e.position});
    receipts_write(w, room->id, &r, at);
    return write_commit(job, w, NULL);
}

static const struct err *fully_read_position(struct job *job, struct room *room, int64_t user,
                                             int64_t *ret)
{
    struct str content;
    struct read_event e = {0};
    TRY(account_data_get(job_tx(job), user, room->id, "m.fully_read", &content));
    const char *event_id =
        content.p ? json_scan_string(job->arena, json_scan_get(content, "event_id")) : NULL;
    const struct err *bad = event_id ? find_event(job, room, event_id, &e) : NULL;
    if (bad && bad->code != ERR_NOT_FOUND)
        return bad;
    *ret = e.position;
    return NULL;
}

const struct err *receipt_set_fully_read(struct job *job, struct room *room,
                                         const struct author *who, const char *event_id)
{
    struct read_event e;
    int64_t before;
    TRY(find_event(job, room, event_id, &e));
    TRY(fully_read_position(job, room, who->user, &before));
    if (e.position <= before)
        return NULL;
    buf_auto struct buf content = {0};
    BUF_LIT(&content, "{\"event_id\":");
    buf_add_json_string(&content, str_of(event_id));
    buf_add_char(&content, '}');
    struct write *w = write_begin(job);
    account_data_set(w, who->user, room->id, "m.fully_read", buf_str(&content));
    return write_commit(job, w, NULL);
}

/* ---- showing ---- */

/* From the feed: {"$event":{"m.read":{"@user":{"ts":…,"thread_id":…}}}} */
static bool parse_change(struct arena *a, const struct change *c, struct receipt *ret)
{
    struct json_member event, type, user;
    size_t p = 0, q = 0, r = 0;
    if (!json_scan_next(c->json, &p, &event) || !json_scan_next(event.value, &q, &type) ||
        !json_scan_next(type.value, &r, &user))
        return false;
    char *event_id = arena_alloc(a, event.key.n + 1);
    event_id[json_scan_unescape(event.key, event_id)] = '\0';
    struct str thread = json_scan_get(user.value, "thread_id");
    *ret = (struct receipt){
        .user = c->user,
        .user_id = c->user_id,
        .type = c->private_to_user ? RECEIPT_READ_PRIVATE : RECEIPT_READ,
        .thread = thread.p ? json_scan_string(a, thread) : "",
        .event_id = event_id,
        .event = c->parent,
    };
    return json_scan_int(json_scan_get(user.value, "ts"), &ret->ts);
}

static const struct err *read_feed(struct job *job, int64_t room, int64_t user, int64_t since,
                                   int64_t until, struct receipt **ret, size_t *ret_n,
                                   bool *ret_done)
{
    struct feed *f = job->store->feed;
    const struct change *changes;
    size_t changes_n, n = 0;
    bool more;
    feed_read_room(f, job->arena, room, since, until, 1u << CHANGE_RECEIPT, FEED_READ_MAX, &changes,
                   &changes_n, &more);
    struct receipt *list = arena_alloc_array(job->arena, changes_n + 1, sizeof *list);
    for (size_t i = 0; i < changes_n; i++)
        if (!changes[i].private_to_user || changes[i].user == user)
            n += parse_change(job->arena, &changes[i], &list[n]);
    *ret = list;
    *ret_n = n;
    /* Asked last: what the ring still covers now, it covered while it was read. */
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

/* Only where each mark stands now, not how it got there. */
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

/* In the order of the JSON; of a user's marks of one event the unthreaded one comes first. */
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

/* Writes one event and moves what has no room in it to the front of the list; how many those are.
 */
static size_t add_event(struct receipt *list, size_t n, struct buf *out)
{
    size_t left = 0;
    const struct receipt *before = NULL;
    BUF_LIT(out, "{\"type\":\"m.receipt\",\"content\":{");
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
            buf_printf(out, "\"%s\":{", type_name(r.type));
        buf_add_json_string(out, str_of(r.user_id));
        buf_add_char(out, ':');
        add_data(out, &r);
        before = &list[i];
    }
    BUF_LIT(out, "}}}}");
    return left;
}

const struct err *receipts_add_event(struct job *job, int64_t room, int64_t user, int64_t since,
                                     int64_t until, struct buf *out, bool *ret_any)
{
    struct receipt *list = NULL;
    size_t n;
    bool done = false;
    *ret_any = false;
    if (since && feed_covers(job->store->feed, since))
        TRY(read_feed(job, room, user, since, until, &list, &n, &done));
    if (!done) {
        const struct receipt *rows;
        TRY(receipts_since(job_tx(job), room, user, since, until, &rows, &n));
        list = arena_alloc_array(job->arena, n + 1, sizeof *list);
        memcpy(list, rows, n * sizeof *list);
    }
    n = keep_newest(list, n);
    qsort(list, n, sizeof *list, by_event);
    for (*ret_any = n > 0; n;) {
        n = add_event(list, n, out);
        if (n)
            buf_add_char(out, ',');
    }
    return NULL;
}
