#include "rooms/accept/remote_join.h"
#include "rooms/rooms.h"

#include "matrix/id.h"
#include "rooms/accept/accept_internal.h"
#include "rooms/accept/remote_state.h"
#include "rooms/room_cache.h"
#include "rooms/room_internal.h"
#include "rooms/room_quota.h"
#include "rooms/state/auth_index.h"
#include "rooms/writer.h"
#include "storage/db/intern.h"
#include "storage/rooms/event_lookup.h"
#include "storage/rooms/noted_rooms.h"
#include "storage/rooms/partial_rooms.h"
#include "storage/rooms/state_refs.h"
#include "storage/servers/joins.h"

#include <stdatomic.h>

/* ---- the room's row ---- */

/* Adds the row of an unknown room, without a head. */
static const struct err *remote_join_make_row(struct job *job, const struct room_version *version,
                                              const char *room_id, int64_t source)
{
    struct room_head head = {.room_id = room_id, .room_version = version, .source = source};
    TRY(room_quota_check_new(job, source));
    struct write *w = write_begin(job);
    const struct err *e = rooms_next_id(job_tx(job), &head.id);
    if (e) {
        write_abandon(w);
        return e;
    }
    rooms_write_new(w, &head);
    noted_room_write(w, head.id);
    e = write_commit(job, w, NULL);
    if (!e)
        intern_remember(job->storage->intern, INTERN_ROOM, arena_strdup(job->arena, room_id),
                        head.id);
    return e;
}

/* The source of an event: a user of ours, or another server. */
static const struct err *source_of(struct job *job, const struct event *e, int64_t *ret)
{
    if (id_is_local(job->node, e->sender))
        return intern_id(job->storage->intern, INTERN_USER, e->sender, ret);
    *ret = quota_source_of_server(str_dup(job->arena, id_server(str_of(e->sender))));
    return NULL;
}

/* Finds the room. A noted room is kept for as long again, since it is used. */
static const struct err *find_and_touch(struct job *job, const char *room_id, struct room **ret)
{
    bool is_there;
    TRY(room_find(job, room_id, ret));
    if (!*ret || !(*ret)->is_noted)
        return NULL;
    TRY(noted_room_touch(job_tx(job), (*ret)->id, &is_there));
    if (is_there)
        return NULL;
    room_forget(job, *ret); /* it was deleted, or joined */
    return room_find(job, room_id, ret);
}

/* event: the reason for adding the room. */
static const struct err *find_or_make(struct job *job, const struct room_version *version,
                                      const struct event *event, const char *room_id,
                                      struct room **ret)
{
    const struct err *made = NULL;
    int64_t source;
    TRY(find_and_touch(job, room_id, ret));
    if (!*ret) {
        TRY(source_of(job, event, &source));
        made = remote_join_make_row(job, version, room_id, source);
        TRY(room_find(job, room_id, ret)); /* another request may have been first */
    }
    if (!*ret)
        return made ? made : err_internal("the new room %s is missing", room_id);
    return NULL;
}

/* A version that was noted by an invite may be wrong; the state received from a server of the room
 * has the right one. */
static const struct err *correct_version(struct job *job, struct room **room,
                                         const struct room_version *version)
{
    const struct event *create;
    int64_t id = (*room)->id;
    if ((*room)->version == version)
        return NULL;
    TRY(room_state(job, *room, "m.room.create", "", &create));
    if (create)
        return err(ERR_FORBIDDEN, "Room %s is of version %s, not %s", (*room)->room_id,
                   (*room)->version->id, version->id);
    struct write *w = write_begin(job);
    rooms_write_reset(w, id, version->id);
    TRY(write_commit(job, w, NULL));
    auth_indexes_forget(job->rooms->auth_indexes, id);
    room_forget(job, *room);
    return room_get_by_id(job, id, room);
}

bool room_is_resident(struct room *room)
{
    LOCKED(&room->lock);
    return room->joined_local_n > 0;
}

/* ---- joining ---- */

struct joining {
    struct job *job;
    const struct remote_join *entry;
    struct room *room;
    struct remote_state remote;
    bool is_partial;            /* state was left out, by the other server or by us, ... */
    const char *const *servers; /* ... and these servers are in the room */
    size_t servers_n;
    uint64_t off_timeline_version; /* the room's, before the look-up */
    struct room_write w;
};

/* Checks the join by the received state. */
static const struct err *judge_join(const struct joining *en)
{
    struct auth_state_list list;
    const struct event **events =
        arena_alloc_array(en->job->arena, en->remote.n + 1, sizeof *events);
    for (size_t i = 0; i < en->remote.n; i++)
        events[i] = en->remote.events[i]->event;
    auth_state_list_init(&list, events, en->remote.n, NULL);
    return auth_check(en->entry->join, &list.state);
}

/* Writes the received state as the state before the join. */
static const struct err *write_join_state(struct joining *en, int at)
{
    const struct event *join = en->entry->join;
    const struct stored_event *before = remote_state_find(&en->remote, join->type, join->state_key);
    struct state_ref_entry entry = {
        .type = TYPE_MEMBER, .state_key = join->state_key, .event = before ? before->position : 0};
    const int64_t *ref;
    TRY(state_refs_reserve(job_tx(en->job), 1, &ref));
    state_ref_write_at(en->w.write, *ref, en->room->id, at, &entry, 1);
    event_state_write(en->w.write, at, 0, *ref);
    return NULL;
}

static const struct err *remote_join_build(struct joining *en)
{
    const struct remote_join *entry = en->entry;
    const struct stored_event *stored;
    struct draft_event *d = arena_alloc(en->job->arena, sizeof *d);
    TRY(events_get_by_id(job_tx(en->job), entry->join->event_id, &stored));
    if (stored && !event_is_off_timeline(stored->position))
        return err(ERR_FORBIDDEN, "The join event has been used before");
    *d = (struct draft_event){
        .event = entry->join, .moved_from = stored ? stored->position : 0, .resets_room = true};
    en->w.draft.extremities_n = 0; /* new events do not extend those of a former membership */
    TRY(draft_put(&en->w.draft, d));
    TRY(write_join_state(en, d->at));
    TRY(remote_state_write(en->job, en->room, &en->remote, entry->join, en->is_partial, en->w.write,
                           d->at));
    rooms_write_joined_remotely(en->w.write, en->room->id, d->at);
    struct lookup *lookup = lookup_create(en->job, en->room->version, en->room->id);
    TRY(history_ends_note(lookup, en->w.write, entry->join, d->at, 0));
    if (en->is_partial)
        partial_room_write(en->w.write,
                           &(struct partial_room){.room = en->room->id,
                                                  .join_event_id = entry->join->event_id,
                                                  .resident = entry->resident,
                                                  .servers = en->servers,
                                                  .servers_n = en->servers_n},
                           d->at);
    else
        partial_room_end(en->w.write, en->room->id);
    if (entry->node)
        joins_check_write(en->w.write, entry->room_id, entry->node);
    return NULL;
}

static const struct err *try_join(struct joining *en)
{
    en->w = (struct room_write){.job = en->job,
                                .room = en->room,
                                .looked_up = &en->off_timeline_version,
                                .resets_room = true};
    TRY(room_write_begin(&en->w, WRITE_ALONE));
    const struct err *e = remote_join_build(en);
    if (!e)
        return room_write_commit(&en->w);
    room_write_abandon(&en->w);
    return e;
}

/* ---- a state that is too large for one write ---- */

static bool has_much_state(const struct room *room)
{
    return room->members.n + room->state_but_members_n > REMOTE_STATE_AT_ONCE;
}

/* ret_n: how many state events; 0: the rest can end with the join. */
static const struct err *end_some(struct joining *en, size_t *ret_n)
{
    struct room_write w = {
        .job = en->job, .room = en->room, .renews_head = true, .resets_room = true};
    *ret_n = 0;
    TRY(room_write_begin(&w, WRITE_ALONE));
    if (!has_much_state(en->room)) {
        room_write_abandon(&w);
        return NULL;
    }
    room_write_keep_alone(&w);
    int at = write_change(
        w.write,
        &(struct change){.kind = CHANGE_STATE, .room = en->room->id, .local.resets_room = true});
    const struct err *e = remote_state_end_former(en->job, en->room, &en->remote, en->entry->join,
                                                  en->is_partial, w.write, at, ret_n);
    if (!e && *ret_n)
        return room_write_commit(&w);
    room_write_abandon(&w);
    return e;
}

/* The state of a former membership ends with the join; if it is too large, a part ends in earlier
 * writes. None of our users is in the room, so none sees an incomplete state. */
static const struct err *end_former(struct joining *en)
{
    size_t n;
    TRY(end_some(en, &n));
    bool ended = n;
    while (n) {
        TRY(room_get_by_id(en->job, en->room->id, &en->room));
        if (!en->room)
            break;
        TRY(end_some(en, &n));
    }
    return ended ? writer_conflict() : NULL;
}

static bool remote_join_is_joined(const struct event *e)
{
    return strcmp(e->type, "m.room.member") == 0 && event_membership(e) == MEMBERSHIP_JOIN;
}

/* The servers of all received members, also of those left out. */
static void find_servers(struct joining *en)
{
    struct arena *a = en->job->arena;
    const char **servers = arena_alloc_array(a, en->remote.n + 1, sizeof *servers);
    struct map seen = {0};
    en->servers_n = 0;
    for (size_t i = 0; i < en->remote.n; i++) {
        const struct event *e = en->remote.events[i]->event;
        struct str server = remote_join_is_joined(e) ? id_server(str_of(e->state_key)) : STR("");
        if (server.n && !map_get(&seen, server)) {
            map_put(&seen, server, (void *)e);
            servers[en->servers_n++] = str_dup(a, server);
        }
    }
    map_finish(&seen);
    en->servers = servers;
}

static const struct err *divide(struct joining *en)
{
    const struct remote_join *entry = en->entry;
    bool divided;
    en->servers = entry->servers;
    en->servers_n = entry->servers_n;
    if (!entry->is_partial)
        find_servers(en);
    TRY(remote_state_divide(en->job, &en->remote, entry->join, &divided));
    en->is_partial = entry->is_partial || divided;
    return NULL;
}

static const struct err *need_create(const struct remote_join *entry,
                                     const struct remote_state *remote)
{
    const struct stored_event *create = remote_state_find(remote, "m.room.create", "");
    if (!create)
        return err(ERR_FORBIDDEN, "The other server sent no valid m.room.create of the room");
    const char *version = json_text(event_content(create->event), "room_version");
    if (strcmp(version ? version : "1", entry->version->id) != 0)
        return err(ERR_FORBIDDEN, "The room is not of version %s, as the other server said",
                   entry->version->id);
    return NULL;
}

const struct err *room_join_remote(struct job *job, const struct remote_join *entry,
                                   struct room **ret)
{
    struct joining en = {.job = job, .entry = entry};
    struct retry retry = {0};
    const struct err *e;
    do {
        TRY(find_or_make(job, entry->version, entry->join, entry->room_id, &en.room));
        TRY(correct_version(job, &en.room, entry->version));
        en.off_timeline_version = atomic_load(&en.room->off_timeline_version);
        TRY(remote_state_store(job, en.room, &entry->remote, &en.remote));
        TRY(need_create(entry, &en.remote));
        TRY(judge_join(&en));
        TRY(divide(&en));
        e = end_former(&en);
        if (!e)
            e = try_join(&en);
    } while (retry_conflict(&retry, e));
    return e ? e : room_get(job, entry->room_id, ret);
}

/* ---- memberships of our users in rooms that we are not in ---- */

static bool remote_join_cites(const struct event *e, const char *event_id)
{
    for (size_t i = 0; i < e->auth_n; i++)
        if (strcmp(e->auth_events[i], event_id) == 0)
            return true;
    return false;
}

/* Does the event cite an earlier stored member event of its user? */
static const struct err *cites_earlier(struct draft *d, const struct event *e, bool *ret)
{
    const struct stored_event *found;
    size_t n;
    TRY(events_find_many(job_tx(d->job), d->room->id, d->room->version, e->auth_events, e->auth_n,
                         &found, &n));
    *ret = false;
    for (size_t i = 0; i < n; i++)
        *ret |= found[i].type == TYPE_MEMBER && found[i].event->state_key &&
                strcmp(found[i].event->state_key, e->state_key) == 0;
    return NULL;
}

static const struct err *too_late(const struct event *e)
{
    return err(ERR_FORBIDDEN, "The event of %s answers an earlier membership of %s", e->sender,
               e->state_key);
}

/* Other servers may only end a membership that they began, namely the one that the event cites
 * among its auth events: a delayed answer must not end a newer one. This does not apply to invites,
 * which may cite an older membership (if a rejection did not reach their server), unless the user
 * has knocked since. */
static const struct err *check_note(struct draft *d, const struct event *e)
{
    const struct event *before;
    bool earlier;
    TRY(draft_state(d, "m.room.member", e->state_key, &before));
    enum membership now = event_membership(e), then = event_membership(before);
    if (strcmp(e->sender, e->state_key) == 0)
        return NULL;
    bool answers = before && remote_join_cites(e, before->event_id);
    if (now == MEMBERSHIP_INVITE) {
        if (then != MEMBERSHIP_KNOCK || answers)
            return NULL;
        TRY(cites_earlier(d, e, &earlier));
        return earlier ? too_late(e) : NULL;
    }
    /* Any server of the room may answer a knock; only the room's state would show whether users
     * other than the inviter may retract an invite. */
    bool may_end = then == MEMBERSHIP_KNOCK ||
                   (then == MEMBERSHIP_INVITE && strcmp(e->sender, before->sender) == 0);
    if (!may_end)
        return err(ERR_FORBIDDEN, "%s has no invite that %s could retract", e->state_key,
                   e->sender);
    return answers ? NULL : too_late(e);
}

static const struct err *try_note(struct job *job, struct room *room, const struct room_note *note)
{
    struct room_write w = {.job = job, .room = room};
    struct draft_event e = {.event = note->event, .stripped = note->stripped};
    TRY(room_write_begin(&w, WRITE_ALONE));
    const char **extremities = w.draft.extremities;
    size_t extremities_n = w.draft.extremities_n;
    const struct err *problem = check_note(&w.draft, note->event);
    if (!problem)
        problem = draft_put(&w.draft, &e);
    if (problem) {
        room_write_abandon(&w);
        return problem;
    }
    w.draft.extremities = extremities; /* we are not in the room: no event will extend it */
    w.draft.extremities_n = extremities_n;
    return room_write_commit(&w);
}

const struct err *room_note_membership(struct job *job, const struct room_note *note)
{
    struct retry retry = {0};
    const struct err *e;
    do {
        struct room *room;
        const struct stored_event *stored;
        TRY(find_or_make(job, note->version, note->event, note->room_id, &room));
        if (room->version != note->version && note->proves_version)
            TRY(correct_version(job, &room, note->version));
        if (room->version != note->version)
            return err(ERR_FORBIDDEN, "Room %s is of version %s, not %s", note->room_id,
                       room->version->id, note->version->id);
        TRY(events_get_by_id(job_tx(job), note->event->event_id, &stored));
        if (stored)
            return NULL; /* already stored */
        e = try_note(job, room, note);
    } while (retry_conflict(&retry, e));
    return e;
}
