#include "rooms/read/outlines.h"
#include "rooms/rooms.h"

#include "base/mem.h"
#include "matrix/json_scan.h"
#include "storage/db/feed.h"
#include "storage/rooms/events.h"
#include "storage/rooms/outlines.h"

struct outline_entry {
    struct cache_entry entry; /* by `now.room` */
    struct room_outline now;  /* texts are malloc'd */
    unsigned parts;           /* that are known */
};

struct outlines {
    struct cache cache;
};

/* "m.room.create", ...: MSC4186. Polls and beacons also under the names that are deployed. */
static const char *const bump_types[] = {
    "m.room.create",
    "m.room.message",
    "m.room.encrypted",
    "m.sticker",
    "m.call.invite",
    "m.poll.start",
    "m.beacon_info",
    "org.matrix.msc3381.poll.start",
    "org.matrix.msc3672.beacon_info",
};
enum { BUMP_TYPES_N = sizeof bump_types / sizeof *bump_types };

static void outline_destroy(struct cache_entry *entry)
{
    struct outline_entry *e = (struct outline_entry *)entry;
    free((char *)e->now.type);
    free((char *)e->now.name);
    free(e);
}

static const struct cache_kind outlines_kind = {
    .name = "outlines", .rank = RANK_CACHE, .share = 16, .by_id = true, .destroy = outline_destroy};

struct outlines *outlines_create(struct cache_budget *b)
{
    struct outlines *o = mem_zalloc(sizeof *o);
    cache_init(&o->cache, b, &outlines_kind, NULL);
    return o;
}

void outlines_destroy(struct outlines *o)
{
    if (!o)
        return;
    cache_finish(&o->cache);
    free(o);
}

/* ---- following the log ---- */

static bool outline_is_bump(const char *type)
{
    for (size_t i = 0; i < BUMP_TYPES_N; i++)
        if (strcmp(type, bump_types[i]) == 0)
            return true;
    return false;
}

static bool outline_has_key(const struct event *e)
{
    return e && e->state_key && !*e->state_key &&
           (strcmp(e->type, "m.room.name") == 0 || strcmp(e->type, "m.room.encryption") == 0);
}

/* Forgets what the change makes unknown; a name is read again when it is needed. */
static void outline_apply_locked(struct outlines *o, const struct change *c)
{
    struct outline_entry *e = cache_peek_locked(&o->cache, cache_key_int(&c->room));
    if (!e)
        return;
    if (c->local.resets_room || (c->kind == CHANGE_EVENT && c->event.redacts_position)) {
        cache_drop_locked(&o->cache, &e->entry);
        return;
    }
    if (c->kind == CHANGE_EVENT) {
        e->now.newest = c->position;
        if (outline_is_bump(c->event.event->type))
            e->now.bump = c->position;
    }
    if (outline_has_key(change_state_event(c))) {
        e->parts &= ~(unsigned)OUTLINE_STATE;
        e->now.state_moved = c->position;
    }
}

void outlines_on_changes(void *ctx, const struct change *changes, size_t n)
{
    struct outlines *o = ctx;
    CACHE_LOCKED(&o->cache);
    if (n == 0)
        cache_forget_all_locked(&o->cache);
    for (size_t i = 0; i < n; i++)
        if (changes[i].kind == CHANGE_EVENT || changes[i].kind == CHANGE_STATE)
            outline_apply_locked(o, &changes[i]);
}

/* ---- reading ---- */

struct outlines_reading {
    struct job *job;
    unsigned parts, read; /* wanted; and to be read of the missing ones */
    int64_t as_of;
    uint64_t epoch;
    struct room_outline **missing;
    int64_t *ids; /* of these */
    size_t n;
};

/* Copies those that are known; the others are listed as missing. */
static void outlines_look_up(struct outlines_reading *r, struct room_outline *rooms, size_t n)
{
    struct cache *c = &r->job->rooms->outlines->cache;
    CACHE_LOCKED(c);
    r->epoch = cache_epoch_locked(c);
    for (size_t i = 0; i < n; i++) {
        struct outline_entry *e = cache_find_locked(c, cache_key_int(&rooms[i].room));
        if (!e || (e->parts & r->parts) != r->parts) {
            r->missing[r->n++] = &rooms[i];
            r->read |= e ? e->parts : 0;
            continue;
        }
        rooms[i] = e->now;
        rooms[i].type = rooms[i].name = NULL;
        if (r->parts & OUTLINE_STATE) {
            rooms[i].type = arena_strdup(r->job->arena, e->now.type);
            rooms[i].name = arena_strdup(r->job->arena, e->now.name);
        }
    }
    for (size_t i = 0; i < r->n; i++)
        r->ids[i] = r->missing[i]->room;
}

static const struct err *outlines_read_positions(struct outlines_reading *r)
{
    int64_t *positions = arena_alloc_array(r->job->arena, r->n, sizeof *positions);
    TRY(outlines_newest(job_tx(r->job), r->ids, r->n, positions));
    for (size_t i = 0; i < r->n; i++)
        r->missing[i]->newest = positions[i];
    if (!(r->read & OUTLINE_BUMP))
        return NULL;
    TRY(outlines_newest_of(job_tx(r->job), r->ids, r->n, bump_types, BUMP_TYPES_N, positions));
    for (size_t i = 0; i < r->n; i++)
        r->missing[i]->bump = positions[i];
    return NULL;
}

static const struct err *outlines_read_state(struct outlines_reading *r)
{
    struct map by_id = {0};
    const struct outline_state *list;
    size_t n;
    TRY(outlines_state(job_tx(r->job), r->ids, r->n, &list, &n));
    for (size_t i = 0; i < r->n; i++) {
        map_put_int(&by_id, r->ids[i], r->missing[i]);
        r->missing[i]->state_moved = r->as_of;
    }
    for (size_t i = 0; i < n; i++) {
        struct room_outline *o = map_get_int(&by_id, list[i].room);
        struct str value = {0};
        if (list[i].type == TYPE_ENCRYPTION)
            o->is_encrypted = true;
        else
            value = json_scan_path(list[i].json, "content",
                                   list[i].type == TYPE_CREATE ? "type" : "name", NULL);
        const char *text = value.p ? json_scan_string(r->job->arena, value) : NULL;
        if (list[i].type == TYPE_CREATE)
            o->type = text;
        else if (list[i].type == TYPE_NAME)
            o->name = text;
    }
    map_finish(&by_id);
    return NULL;
}

/* Keeps what was read, unless a change came that the reading may have missed. */
static void outline_keep_locked(const struct outlines_reading *r, struct cache *c,
                                const struct room_outline *o)
{
    if (feed_room_position(r->job->storage->feed, o->room) > r->as_of)
        return;
    struct outline_entry *e = mem_zalloc(sizeof *e);
    e->now = *o;
    e->parts = r->read;
    e->now.type = mem_strdup(o->type);
    e->now.name = mem_strdup(o->name);
    e->entry.key = cache_key_int(&e->now.room);
    e->entry.bytes = sizeof *e + (o->type ? strlen(o->type) : 0) + (o->name ? strlen(o->name) : 0);
    cache_replace_locked(c, &e->entry);
}

const struct err *outlines_get(struct job *job, unsigned parts, struct room_outline *rooms,
                               size_t n)
{
    struct outlines_reading r = {
        .job = job, .parts = parts, .read = parts, .as_of = feed_newest(job->storage->feed)};
    if (!n)
        return NULL;
    r.missing = arena_alloc_array(job->arena, n, sizeof *r.missing);
    r.ids = arena_alloc_array(job->arena, n, sizeof *r.ids);
    outlines_look_up(&r, rooms, n);
    if (!r.n)
        return NULL;
    TRY(outlines_read_positions(&r));
    if (r.read & OUTLINE_STATE)
        TRY(outlines_read_state(&r));
    struct cache *c = &job->rooms->outlines->cache;
    CACHE_LOCKED(c);
    if (cache_epoch_locked(c) == r.epoch)
        for (size_t i = 0; i < r.n; i++)
            outline_keep_locked(&r, c, r.missing[i]);
    return NULL;
}
