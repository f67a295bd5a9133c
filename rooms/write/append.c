#include "rooms/write/append.h"
#include "rooms/rooms.h"

#include "matrix/id.h"
#include "rooms/room_cache.h"
#include "rooms/room_internal.h"
#include "rooms/write/basis.h"
#include "rooms/write/draft.h"
#include "rooms/write/relations.h"
#include "rooms/write/room_write.h"
#include "rooms/write/txn.h"
#include "rooms/writer.h"
#include "storage/db/intern.h"
#include "storage/rooms/aliases.h"
#include "storage/rooms/events.h"

/* ---- transaction ids ---- */

/* The event of an earlier request with this transaction id; NULL: none. */
static const struct err *find_earlier(struct job *job, const struct author *author,
                                      const struct new_event *e, const char **ret_id)
{
    int64_t position;
    const struct stored_event *stored = NULL;
    TRY(event_txns_find(job_tx(job), author->device, txn_key(job->arena, e), &position));
    if (position)
        TRY(events_get(job_tx(job), position, &stored));
    *ret_id = stored ? stored->event->event_id : NULL;
    return NULL;
}

/* ---- appending ---- */

static const struct err *build_all(struct draft *d, const struct new_event *events, size_t n,
                                   const char **ret_ids)
{
    for (size_t i = 0; i < n; i++) {
        const struct event *e;
        TRY(draft_add(d, &events[i], &e));
        ret_ids[i] = e->event_id;
    }
    return NULL;
}

static bool has_state(const struct new_event *events, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (events[i].state_key)
            return true;
    return false;
}

/* A refusal, or a result without an event, that depends on queued state is returned only when that
 * is committed. */
static const struct err *append_answer(struct room *room, int64_t judged_by, const struct err *e)
{
    return writer_wait_for_state(room, judged_by) ? e : writer_conflict();
}

/* Has the author already set the same content? */
static const struct err *find_same(struct draft *d, const struct new_event *e, const char **ret_id)
{
    const struct event *current;
    TRY(draft_state(d, e->type, e->state_key, &current));
    if (!current || strcmp(current->sender, d->author->user_id) != 0)
        return NULL;
    buf_auto struct buf wanted = {0};
    TRY(canonical_json_add(&wanted, CANONICAL_STRICT, e->content));
    if (str_eq(buf_str(&wanted), current->content))
        *ret_id = arena_strdup(d->job->arena, current->event_id);
    return NULL;
}

/* on: the basis of the single event, which is not drafted if it changes nothing. */
static const struct err *build_upon(struct draft *d, const struct basis *on,
                                    const struct new_event *event, const char **ret_id)
{
    bool holds;
    const char *same = NULL;
    TRY(basis_holds(on, d, &holds));
    if (!holds)
        return writer_conflict();
    TRY(find_same(d, event, &same));
    if (!same)
        return build_all(d, event, 1, ret_id);
    *ret_id = same;
    return NULL;
}

/* A refused transaction may be a repeated one, refused because of its own first event: returns that
 * event. */
static const struct err *unless_earlier(struct job *job, const struct author *author,
                                        const struct new_event *event, const struct err *refusal,
                                        const char **ret_id)
{
    const char *earlier;
    TRY(find_earlier(job, author, event, &earlier));
    if (!earlier)
        return refusal;
    *ret_id = earlier;
    return NULL;
}

/* One attempt. on: NULL, the events do not depend on the state. ERR_CONFLICT: another writer was
 * first, the room must be reloaded. */
static const struct err *try_append(struct job *job, struct room *room, const struct author *author,
                                    const struct basis *on, const struct new_event *events,
                                    size_t n, const char **ret_ids)
{
    struct room_write w = {.job = job, .room = room, .author = author};
    TRY(room_write_begin(&w, has_state(events, n) ? WRITE_STATE_BEHIND : WRITE_BEHIND));
    int64_t judged_by = room->state_queued;
    const struct err *e =
        on ? build_upon(&w.draft, on, events, ret_ids) : build_all(&w.draft, events, n, ret_ids);
    if (!e && w.draft.newest)
        return room_write_commit(&w);
    room_write_abandon(&w);
    if (w.draft.awaited.p)
        annotation_await(room, w.draft.awaited);
    return e && e->code == ERR_CONFLICT ? e : append_answer(room, judged_by, e);
}

const struct err *room_append(struct job *job, struct room *room, const struct author *author,
                              const struct new_event *events, size_t n, const char **ret_ids)
{
    bool has_txn = n == 1 && events[0].client_txn && author->device;
    struct str key = has_txn ? txn_key(job->arena, &events[0]) : (struct str){0};
    if (has_txn && (ret_ids[0] = txn_recent(job, author->device, key)))
        return NULL;
    struct retry retry = {0};
    const struct err *e;
    do {
        uint64_t heads = room->foreign_heads;
        e = try_append(job, room, author, NULL, events, n, ret_ids);
        retry.was_outrun = e && e->code == ERR_CONFLICT && room->foreign_heads != heads;
        if (e && has_txn && !retry.was_outrun)
            e = unless_earlier(job, author, events, e, ret_ids);
    } while (writer_retry(&retry, job, &room, &e));
    if (!e && has_txn)
        txn_remember(job->rooms->txns, author->device, key, ret_ids[0]);
    return e;
}

/* ---- state that depends on state ---- */

/* Makes the decision and appends its event. ERR_CONFLICT: another writer was first. */
static const struct err *try_decide(struct job *job, struct room *room, const struct author *author,
                                    const struct decision *decision, bool *ret_again,
                                    const char **ret_id)
{
    struct basis on;
    struct new_event event = {0};
    const char *existing = NULL;
    basis_init(&on, job, room);
    const struct err *e = decision->decide(decision->ctx, &on, &event, &existing);
    if (!e && !existing) {
        e = try_append(job, room, author, &on, &event, 1, ret_id);
        *ret_again = e && e->code == ERR_CONFLICT;
        return e;
    }
    *ret_again = !basis_settle(&on);
    if (*ret_again)
        return writer_conflict();
    if (!e)
        *ret_id = existing;
    return e;
}

const struct err *room_decide_state(struct job *job, struct room *room, const struct author *author,
                                    const struct decision *decision, const char **ret_id)
{
    struct retry retry = {0};
    const struct err *e;
    bool again;
    do
        e = try_decide(job, room, author, decision, &again, ret_id);
    while (again && writer_retry(&retry, job, &room, &e));
    return e;
}

static const struct err *decide_as_given(void *ctx, struct basis *on, struct new_event *ret,
                                         const char **ret_existing)
{
    *ret = *(const struct new_event *)ctx;
    return NULL;
}

const struct err *room_set_state(struct job *job, struct room *room, const struct author *author,
                                 const struct new_event *event, const char **ret_id)
{
    const struct decision decision = {decide_as_given, (void *)event};
    return room_decide_state(job, room, author, &decision, ret_id);
}

/* ---- new rooms ---- */

/* In version 12 the room id is made from the create event, which is built before the room has an
 * id. */
static const struct err *build_new(struct draft *d, const struct new_event *events, size_t n,
                                   const char **ret_ids)
{
    for (size_t i = 0; i < n; i++) {
        const struct event *e;
        TRY(draft_add(d, &events[i], &e));
        ret_ids[i] = e->event_id;
        if (i == 0 && d->room->version->room_id_is_create_hash)
            room_rename_unlisted(d->room, e->room_id);
    }
    return NULL;
}

/* Adds the other rows of a new room to the write. */
static void write_new(struct write *w, const struct new_room *new_room, const struct author *author,
                      struct room_head *head)
{
    head->is_published = new_room->is_published;
    head->source = author->user;
    rooms_write_new(w, head);
    if (new_room->alias)
        aliases_write_new(w, new_room->alias, head->id, author->user);
}

/* Puts the room into the cache before it is committed, when its id is not known to anyone: so the
 * feed applies the changes to it, and the next request need not read it. */
static void append_list_new(struct draft *d)
{
    lock_take(&d->room->lock);
    draft_apply_head(d);
    draft_apply_state(d);
    lock_release(&d->room->lock);
    room_cache_list_new(d->job, d->room);
}

static const struct err *commit_new(struct draft *d)
{
    if (!d->is_alone)
        append_list_new(d);
    const struct err *e = write_commit(d->job, d->write, NULL);
    if (e && !d->is_alone)
        room_forget(d->job, d->room);
    if (d->is_alone)
        room_destroy_unlisted(d->room);
    return e;
}

static const struct err *build_new_locked(struct draft *d, const struct new_event *events, size_t n,
                                          const char **ret_ids)
{
    LOCKED(&d->room->lock);
    return build_new(d, events, n, ret_ids);
}

static const struct err *try_append_new(struct job *job, const struct new_room *new_room,
                                        const struct author *author, const struct new_event *events,
                                        size_t n, const char **ret_room_id, const char **ret_ids)
{
    int64_t id;
    TRY(room_cache_next_id(job, &id));
    const char *room_id = new_room->version->room_id_is_create_hash
                              ? "!"
                              : id_make(job->arena, '!', job->config->server_name);
    struct room *room = room_create_unlisted(id, room_id, new_room->version);
    struct draft d;
    struct room_head head;
    draft_init(&d, job, room, author, write_begin(job));
    room->rules_seen = d.rules_as_of;
    const struct err *e = build_new_locked(&d, events, n, ret_ids);
    if (e) {
        write_abandon(d.write);
        room_destroy_unlisted(room);
        return e;
    }
    draft_head(&d, &head);
    head.room_id = arena_strdup(job->arena, head.room_id);
    write_new(d.write, new_room, author, &head);
    TRY(commit_new(&d));
    intern_remember(job->storage->intern, INTERN_ROOM, head.room_id, id);
    *ret_room_id = head.room_id;
    return NULL;
}

/* In version 12 the room id is the hash of the create event: equal ones need different times. */
static const struct new_event *with_own_time(struct job *job, const struct new_event *events,
                                             size_t n)
{
    struct new_event *copy = arena_alloc_array(job->arena, n, sizeof *copy);
    memcpy(copy, events, n * sizeof *copy);
    copy[0].origin_server_ts = room_cache_creation_ms(job->rooms->cache);
    return copy;
}

const struct err *room_append_new(struct job *job, const struct new_room *new_room,
                                  const struct author *author, const struct new_event *events,
                                  size_t n, const char **ret_room_id, const char **ret_ids)
{
    bool is_hash = new_room->version->room_id_is_create_hash;
    struct retry retry = {0};
    const struct err *e;
    do {
        const struct new_event *list = is_hash && (retry.attempts || !events->origin_server_ts)
                                           ? with_own_time(job, events, n)
                                           : events;
        e = try_append_new(job, new_room, author, list, n, ret_room_id, ret_ids);
    } while (is_hash && retry_conflict(&retry, e)); /* another node has created an equal room */
    if (e && e->code == ERR_CONFLICT && new_room->alias)
        return err(ERR_ROOM_IN_USE, "The alias %s is taken", new_room->alias);
    return e;
}
