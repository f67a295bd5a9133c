#include "rooms/write/relations.h"

#include "matrix/json_scan.h"
#include "storage/rooms/relations.h"

/* ---- annotations ---- */

static struct str name_annotation(struct arena *a, const struct event *e, const struct relation *r)
{
    buf_auto struct buf b = {0};
    const char *const parts[] = {r->parent, e->sender, e->type, r->key};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        buf_add_text(&b, parts[i]);
        buf_add_char(&b, '\0');
    }
    return (struct str){arena_memdup(a, b.p, b.n), b.n};
}

void annotation_queued_locked(struct room *room, struct str once)
{
    map_put(&room->annotations, once, room);
}

void annotation_done(struct room *room, struct str once)
{
    LOCKED(&room->lock);
    map_remove(&room->annotations, once);
    pthread_cond_broadcast(&room->changed);
}

void annotation_await(struct room *room, struct str once)
{
    LOCKED(&room->lock);
    while (map_get(&room->annotations, once) && !room->stale)
        lock_wait(&room->lock, &room->changed);
}

static const struct err *check_annotation(struct job *job, struct room *room, const struct event *e,
                                          const struct relation *r, struct str *ret_once)
{
    bool exists;
    if (!r->key)
        return NULL;
    *ret_once = name_annotation(job->arena, e, r);
    if (map_get(&room->annotations, *ret_once))
        return err(ERR_CONFLICT, "The same annotation is being sent; try again");
    TRY(relations_has_annotation(job_tx(job), e->version, r, e->sender, e->type, &exists));
    if (exists)
        return err(ERR_DUPLICATE_ANNOTATION, "You have reacted to this event with this key before");
    return NULL;
}

/* ---- any relation ---- */

/* A thread's root must not relate to another event; a reply is allowed. */
static const struct err *relations_check_thread(const struct stored_event *root)
{
    struct str rel_type = json_scan_path(root->event->content, "m.relates_to", "rel_type", NULL);
    if (rel_type.n && rel_type.p[0] == '"')
        return err(ERR_UNKNOWN, "Cannot start a thread from an event that relates to another");
    return NULL;
}

const struct err *relation_of_new_event(struct job *job, struct room *room, const struct event *e,
                                        bool is_local, struct related *ret)
{
    struct str relates = json_scan_get(e->content, "m.relates_to");
    if (!relates.p || relates.p[0] != '{' || e->state_key)
        return NULL;
    struct related r = {
        .relation = {
            .parent = json_scan_string(job->arena, json_scan_get(relates, "event_id")),
            .rel_type = json_scan_string(job->arena, json_scan_get(relates, "rel_type")),
            .key = json_scan_string(job->arena, json_scan_get(relates, "key")),
        }};
    if (!r.relation.parent || !r.relation.rel_type || strlen(r.relation.parent) > EVENT_KEY_MAX ||
        strlen(r.relation.rel_type) > EVENT_KEY_MAX)
        return NULL; /* a malformed relation counts as none */
    const struct stored_event *parent;
    TRY(events_get_by_id(job_tx(job), r.relation.parent, &parent));
    if (parent && parent->room != room->id)
        return NULL;
    if (!parent && is_local)
        return NULL;
    r.parent = parent ? parent->position : 0;
    if (is_local && strcmp(r.relation.rel_type, "m.annotation") == 0)
        TRY(check_annotation(job, room, e, &r.relation, &ret->once));
    r.once = ret->once;
    if (parent && strcmp(r.relation.rel_type, "m.thread") == 0) {
        if (is_local)
            TRY(relations_check_thread(parent));
        r.thread = parent->position;
    }
    *ret = r;
    return NULL;
}
