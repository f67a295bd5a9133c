#include "users/receipts.h"

#include "base/clock.h"
#include "matrix/json_scan.h"
#include "storage/rooms/events.h"
#include "storage/rooms/relations.h"
#include "storage/users/account_data.h"
#include "users/receipts_internal.h"

enum { NEWEST_LOOKED_AT = 8, HOPS_MAX = 3, RECEIPTS_MAX = 1000 /* of a user in a room */ };

struct read_event {
    int64_t position, thread;
};

/* Looks in the feed first, since users mostly read events that were just sent. */
static bool find_in_feed(struct job *job, const struct room *room, const char *event_id,
                         struct read_event *ret)
{
    struct feed *f = job->storage->feed;
    const struct change *changes;
    size_t n;
    bool more;
    feed_read_room(f, job->arena, room->id, 0, feed_position(f), 1u << CHANGE_EVENT,
                   NEWEST_LOOKED_AT, &changes, &n, &more);
    for (size_t i = 0; i < n; i++)
        if (strcmp(changes[i].event.event->event_id, event_id) == 0) {
            *ret = (struct read_event){changes[i].position, changes[i].event.thread};
            return true;
        }
    return false;
}

static const struct err *receipts_find_event(struct job *job, const struct room *room,
                                             const char *event_id, struct read_event *ret)
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

/* Reactions to an event of a thread, and the like, are in the thread too ("Threaded read
 * receipts"). So are other relations to the thread's root. By the specification those are in the
 * main timeline, but clients show them in the thread, and other servers accept their receipts. */
static const struct err *is_in_thread(struct job *job, const struct read_event *e, int64_t root,
                                      bool *ret)
{
    struct read_event at = *e;
    *ret = false;
    for (int hops = 0; at.position; hops++) {
        *ret = at.position == root || at.thread == root;
        if (*ret || at.thread || hops == HOPS_MAX)
            return NULL;
        TRY(relations_parent(job_tx(job), at.position, &at.position, &at.thread));
    }
    return NULL;
}

/* Finds the log's value for `thread`; M_INVALID_PARAM if the event is not in it. A thread's root
 * also counts as the first event of the thread, so that a thread without replies can be read. */
static const struct err *receipts_check_thread(struct job *job, const struct room *room,
                                               const char *thread, const struct read_event *e,
                                               int64_t *ret)
{
    struct read_event root;
    *ret = 0;
    if (!*thread)
        return NULL;
    if (strcmp(thread, "main") == 0) {
        *ret = RECEIPT_OF_MAIN;
        return e->thread ? err(ERR_INVALID_PARAM, "The event is in a thread, not in main") : NULL;
    }
    const struct err *bad = receipts_find_event(job, room, thread, &root);
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

/* Where a receipt is set. */
struct place {
    int64_t root;  /* position of its thread's root */
    bool is_ahead; /* false: the stored receipt is there or further ahead */
    size_t others; /* receipts of the user in the room */
};

/* ret_n: the number of the user's receipts in the room. */
static const struct err *is_ahead(struct job *job, int64_t room, const struct receipt *r, bool *ret,
                                  size_t *ret_n)
{
    const struct receipt *set;
    size_t n;
    TRY(receipts_of_user(job_tx(job), room, r->user, &set, &n));
    *ret = true;
    *ret_n = n;
    for (size_t i = 0; i < n; i++)
        if (set[i].type == r->type && strcmp(set[i].thread, r->thread) == 0)
            *ret = set[i].event < r->event;
    return NULL;
}

/* Adds the change and its row. What the change points to lives in the job's arena. */
static void receipts_add(struct job *job, struct write *w, int64_t room, const struct receipt *r,
                         const struct place *p)
{
    buf_auto struct buf json = {0};
    buf_add_char(&json, '{');
    buf_add_json_string(&json, str_of(r->event_id));
    buf_printf(&json, ":{\"%s\":{", receipt_type_name(r->type));
    buf_add_json_string(&json, str_of(r->user_id));
    buf_add_char(&json, ':');
    receipt_add_data(&json, r);
    BUF_LIT(&json, "}}}");
    int at = write_change(
        w, &(struct change){.kind = CHANGE_RECEIPT,
                            .room = room,
                            .user = r->user,
                            .receipt = {.user_id = r->user_id,
                                        .json = {arena_memdup(job->arena, json.p, json.n), json.n},
                                        .is_private = r->type == RECEIPT_READ_PRIVATE,
                                        .thread = p->root,
                                        .event = r->event}});
    receipts_write(w, room, r, at);
    if (p->others >= RECEIPTS_MAX)
        receipts_drop_oldest(w, room, r->user, RECEIPTS_MAX - RECEIPTS_MAX / 8);
}

/* Fills r->event. */
static const struct err *receipts_find_place(struct job *job, struct room *room, struct receipt *r,
                                             struct place *ret)
{
    struct read_event e;
    *ret = (struct place){0};
    TRY(receipts_find_event(job, room, r->event_id, &e));
    r->event = e.position;
    TRY(receipts_check_thread(job, room, r->thread, &e, &ret->root));
    return is_ahead(job, room->id, r, &ret->is_ahead, &ret->others);
}

const struct err *receipt_set(struct job *job, struct room *room, const struct author *who,
                              enum receipt_type type, const char *thread, const char *event_id)
{
    struct place p;
    struct receipt r = {.user = who->user,
                        .user_id = who->user_id,
                        .type = type,
                        .thread = thread,
                        .event_id = event_id,
                        .ts = now_ms()};
    TRY(receipts_find_place(job, room, &r, &p));
    if (!p.is_ahead)
        return NULL;
    struct write *w = write_begin(job);
    receipts_add(job, w, room->id, &r, &p);
    return write_commit(job, w, NULL);
}

const struct err *receipts_set_remote(struct job *job, struct room *room, struct receipt *list,
                                      size_t n)
{
    struct write *w = write_begin(job);
    const struct err *e = NULL;
    for (size_t i = 0; i < n; i++) {
        struct place p;
        e = receipts_find_place(job, room, &list[i], &p);
        if (e && e->code != ERR_NOT_FOUND && e->code != ERR_INVALID_PARAM)
            break;
        if (!e && p.is_ahead)
            receipts_add(job, w, room->id, &list[i], &p);
        e = NULL;
    }
    if (!e && !write_is_empty(w))
        return write_commit(job, w, NULL);
    write_abandon(w);
    return e;
}

static const struct err *fully_read_position(struct job *job, struct room *room, int64_t user,
                                             int64_t *ret)
{
    struct str content;
    struct read_event e = {0};
    TRY(account_data_get(job_tx(job), user, room->id, "m.fully_read", &content));
    const char *event_id =
        content.p ? json_scan_string(job->arena, json_scan_get(content, "event_id")) : NULL;
    const struct err *bad = event_id ? receipts_find_event(job, room, event_id, &e) : NULL;
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
    TRY(receipts_find_event(job, room, event_id, &e));
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
