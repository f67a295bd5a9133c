#include "rooms/room_cache.h"
#include "rooms/room_internal.h"
#include "rooms/rooms.h"

#include "base/clock.h"
#include "base/mem.h"
#include "matrix/id.h"
#include "rooms/ahead.h"
#include "rooms/own_rules.h"
#include "rooms/recent_rules.h"
#include "storage/db/intern.h"
#include "storage/rooms/events.h"
#include "storage/rooms/rooms.h"

enum {
    IDS_AT_ONCE = 32,
    CLOCK_STEP_MS = 1000 /* a larger difference means that the clock was set back */
};

struct room_cache {
    struct cache cache; /* by rooms.id */
    struct node *node;
    struct recent_rules rules;
    int64_t ids[IDS_AT_ONCE]; /* reserved ids for new rooms */
    size_t ids_n;
    int64_t created_ms; /* the time of the newest room of this node */
};

static void room_cache_left(void *cache, struct cache_entry *r)
{
    ((struct room *)r)->stale = true;
}

static void room_cache_destroy_room(struct cache_entry *r)
{
    room_destroy_unlisted((struct room *)r);
}

static const struct cache_kind room_kind = {.name = "rooms",
                                            .rank = RANK_ROOM_CACHE,
                                            .by_id = true,
                                            .left = room_cache_left,
                                            .destroy = room_cache_destroy_room};

static struct room *find_cached(struct job *job, struct room_cache *c, int64_t id)
{
    CACHE_LOCKED(&c->cache);
    struct room *r = cache_find_locked(&c->cache, cache_key_int(&id));
    if (!r)
        return NULL;
    cache_resize_locked(&c->cache, &r->entry, r->bytes);
    cache_hold_locked(&c->cache, job->arena, &r->entry);
    return r;
}

static void room_cache_add_locked(struct job *job, struct room_cache *c, struct room *r)
{
    r->entry.key = cache_key_int(&r->id);
    r->entry.bytes = r->bytes;
    cache_add_locked(&c->cache, &r->entry);
    cache_hold_locked(&c->cache, job->arena, &r->entry);
}

/* Were changes published while the room was read? Changes of push rules are followed later. */
static bool is_outdated_locked(struct room_cache *c, struct room *r, int64_t before)
{
    return feed_room_position(c->node->storage->feed, r->id) > before ||
           !feed_covers(c->node->storage->feed, before);
}

static struct room *room_cache_insert_locked(struct job *job, struct room_cache *c, struct room *r,
                                             int64_t before)
{
    struct room *there = cache_peek_locked(&c->cache, cache_key_int(&r->id));
    if (there)
        cache_hold_locked(&c->cache, job->arena, &there->entry);
    if (there || is_outdated_locked(c, r, before))
        return there;
    room_cache_add_locked(job, c, r);
    return r;
}

/* Puts a loaded room into the cache, unless another thread has, or a change was published while it
 * was being read. Returns the room to use. */
static struct room *room_cache_insert(struct job *job, struct room_cache *c, struct room *r,
                                      int64_t before)
{
    cache_lock(&c->cache);
    struct room *used = room_cache_insert_locked(job, c, r, before);
    cache_unlock(&c->cache);
    if (used != r)
        room_destroy_unlisted(r);
    return used;
}

const struct err *room_get_by_id(struct job *job, int64_t id, struct room **ret)
{
    struct room_cache *c = job->rooms->cache;
    struct room *r = find_cached(job, c, id);
    while (!r) {
        int64_t before = feed_position(job->storage->feed);
        TRY(room_load(job, id, &r));
        if (!r)
            break;
        r = room_cache_insert(job, c, r, before);
    }
    *ret = r;
    return NULL;
}

const struct err *room_find(struct job *job, const char *room_id, struct room **ret)
{
    int64_t id = 0, known;
    if (id_is_room(str_of(room_id)))
        TRY(intern_find(job->storage->intern, INTERN_ROOM, room_id, &id));
    *ret = NULL;
    if (!id)
        return NULL;
    TRY(room_get_by_id(job, id, ret));
    if (*ret)
        return NULL;
    known = id;
    TRY(intern_find_again(job->storage->intern, INTERN_ROOM, room_id, &id));
    return id == known ? NULL : room_get_by_id(job, id, ret);
}

const struct err *room_get(struct job *job, const char *room_id, struct room **ret)
{
    struct room *r;
    TRY(room_find(job, room_id, &r));
    if (!r)
        return err(ERR_NOT_FOUND, "Unknown room");
    *ret = r;
    return NULL;
}

static void room_cache_forget(struct room_cache *c, struct room *r)
{
    CACHE_LOCKED(&c->cache);
    if (cache_peek_locked(&c->cache, cache_key_int(&r->id)) == r)
        cache_drop_locked(&c->cache, &r->entry);
}

void room_forget(struct job *job, struct room *r)
{
    room_cache_forget(job->rooms->cache, r);
}

/* ---- new rooms ---- */

void room_cache_list_new(struct job *job, struct room *r)
{
    struct room_cache *c = job->rooms->cache;
    CACHE_LOCKED(&c->cache);
    room_cache_add_locked(job, c, r);
}

static bool take_id(struct room_cache *c, int64_t *ret)
{
    CACHE_LOCKED(&c->cache);
    if (!c->ids_n)
        return false;
    *ret = c->ids[--c->ids_n];
    return true;
}

const struct err *room_cache_next_id(struct job *job, int64_t *ret)
{
    struct room_cache *c = job->rooms->cache;
    const int64_t *ids;
    if (take_id(c, ret))
        return NULL;
    TRY(rooms_reserve_ids(job_tx(job), IDS_AT_ONCE, &ids));
    *ret = ids[0];
    CACHE_LOCKED(&c->cache);
    if (!c->ids_n) {
        c->ids_n = IDS_AT_ONCE - 1;
        memcpy(c->ids, ids + 1, c->ids_n * sizeof *ids);
    }
    return NULL;
}

int64_t room_cache_creation_ms(struct room_cache *c)
{
    CACHE_LOCKED(&c->cache);
    int64_t now = now_ms();
    bool is_taken = now <= c->created_ms && c->created_ms - now < CLOCK_STEP_MS;
    c->created_ms = is_taken ? c->created_ms + 1 : now;
    return c->created_ms;
}

/* ---- keeping step with the log ---- */

struct room *room_take_cached(struct room_cache *c, int64_t id)
{
    CACHE_LOCKED(&c->cache);
    struct room *r = cache_peek_locked(&c->cache, cache_key_int(&id));
    if (r)
        cache_ref_locked(&r->entry);
    return r;
}

void room_give_back(struct room_cache *c, struct room *r)
{
    cache_lock(&c->cache);
    if (!r->stale)
        cache_resize_locked(&c->cache, &r->entry, r->bytes);
    cache_unlock(&c->cache);
    cache_unref(&r->entry);
}

/* The member event's user was interned when the event was written, so this finds it in memory. */
static void room_cache_apply_member_locked(struct room_cache *c, struct room *r,
                                           const struct change *change)
{
    const struct event *e = change_state_event(change);
    int64_t user = 0;
    if (intern_find(c->node->storage->intern, INTERN_USER, e->state_key, &user) || !user)
        return;
    const char *user_id;
    if (intern_name(c->node->storage->intern, INTERN_USER, user, &user_id))
        return;
    const json_t *content = event_content(e);
    bool is_end = change_ends_state(change);
    const struct room_member member = {
        .user = user,
        .user_id = user_id,
        .position = change->position,
        .event = change_state_position(change),
        .membership = is_end ? MEMBERSHIP_NONE : event_membership(e),
        .is_local = id_is_local(c->node, user_id),
        .has_own_rules = change->local.has_own_rules,
    };
    room_put_member_locked(r, &member);
    if (member.is_local && member.membership == MEMBERSHIP_JOIN)
        own_rules_go_back_locked(r, change->local.rules_as_of);
    ahead_settle_locked(r, e);
    const struct room_member *now = map_get_int(&r->members, user);
    if (ahead_member_locked(r, user) == now) /* else a newer name is already set */
        unread_member_changed_locked(r, now, is_end ? NULL : json_text(content, "displayname"));
}

/* Replaces a cached state event by its redacted form. */
static void apply_redaction_locked(struct room *r, const struct change *change)
{
    const struct event *left = change->local.redacted_event;
    int64_t at = change_as_event(change)->redacts_position;
    struct room_state_slot *slot = room_state_slot_locked(r, left->type, left->state_key);
    if (slot && slot->position == at)
        room_put_state_locked(r, left, at);
}

static void apply_state_locked(struct room_cache *c, struct room *r, const struct change *change)
{
    const struct event *e = change_state_event(change);
    if (change_ends_state(change))
        room_end_state_locked(r, e, change->position);
    else
        room_put_state_locked(r, e, change->position);
    if (strcmp(e->type, "m.room.member") == 0)
        room_cache_apply_member_locked(c, r, change);
    ahead_settle_locked(r, e);
}

/* Is a write of this node under way, which builds on what another node has replaced, and reads the
 * room without the lock, or has made more of it than a head? It will fail, and what it has made
 * must not be built on: so the room is left as it is, and reloaded for others. Writes of messages
 * that are queued fail, too, but all that they made of the room is the head, which is replaced. */
static bool is_overtaken_locked(const struct room *r, const struct change *change)
{
    return change->local.is_foreign && (r->busy || r->state_done < r->state_queued);
}

/* Another node has written to the room: its events are what the next one here builds on. */
static void apply_foreign_locked(struct room *r, const struct change_head *head)
{
    room_note_off_timeline(r); /* it may have moved events, too */
    if (!head)
        return;
    room_set_head_locked(r, head);
    r->foreign_heads++;
    r->foreign_ms = mono_unmoved_ms();
}

static void apply_event_locked(struct room_cache *c, struct room *r, const struct change *change)
{
    const struct event *redacted = change->local.redacted_event;
    if (redacted && redacted->state_key)
        apply_redaction_locked(r, change);
    if (change_state_event(change))
        apply_state_locked(c, r, change);
    if (change->kind == CHANGE_EVENT && change->event.follows_gap && r->gap < change->position)
        r->gap = change->position;
    if (change->local.is_foreign)
        apply_foreign_locked(r, change->local.head);
}

static void apply_event(struct room_cache *c, const struct change *change)
{
    const struct event *redacted = change->local.redacted_event;
    bool changes_room = (redacted && redacted->state_key) || change_state_event(change) ||
                        (change->kind == CHANGE_EVENT && change->event.follows_gap);
    bool resets_room = change->local.resets_room;
    if (!changes_room && !resets_room && !change->local.is_foreign)
        return;
    struct room *r = room_take_cached(c, change->room);
    if (!r)
        return;
    lock_take(&r->lock);
    if (is_overtaken_locked(r, change))
        resets_room = true;
    else
        apply_event_locked(c, r, change);
    lock_release(&r->lock);
    if (resets_room)
        room_cache_forget(c, r);
    room_give_back(c, r);
}

void room_cache_on_changes(void *ctx, const struct change *changes, size_t n)
{
    struct room_cache *c = ctx;
    if (n == 0) {
        cache_forget_all(&c->cache);
        recent_rules_miss(&c->rules, feed_newest(c->node->storage->feed));
    }
    for (size_t i = 0; i < n; i++) {
        if (changes[i].kind == CHANGE_EVENT || changes[i].kind == CHANGE_STATE ||
            changes[i].kind == CHANGE_UNKNOWN)
            apply_event(c, &changes[i]);
        else if (changes[i].kind == CHANGE_ACCOUNT_DATA && changes[i].account_data.is_push_rules)
            recent_rules_add(&c->rules, changes[i].user, changes[i].position);
    }
}

struct recent_rules *room_cache_recent_rules(struct room_cache *c)
{
    return &c->rules;
}

int64_t room_cache_rules_position(struct room_cache *c)
{
    return recent_rules_newest(&c->rules);
}

struct room_cache *room_cache_create(struct node *node)
{
    struct room_cache *c = mem_zalloc(sizeof *c);
    cache_init(&c->cache, node->caches, &room_kind, NULL);
    recent_rules_init(&c->rules, feed_position(node->storage->feed));
    c->node = node;
    return c;
}

void room_cache_destroy(struct room_cache *c)
{
    if (!c)
        return;
    cache_finish(&c->cache);
    recent_rules_finish(&c->rules);
    free(c);
}
