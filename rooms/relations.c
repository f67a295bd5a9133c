#include "rooms/relations.h"

#include "matrix/json_scan.h"
#include "storage/relations.h"

static const struct err *check_annotation(struct job *job, const struct event *e,
                                          const struct relation *r)
{
    bool exists;
    TRY(relations_has_annotation(job_tx(job), e->version, r, e->sender, e->type, &exists));
    if (exists)
        return err(ERR_DUPLICATE_ANNOTATION, "You have reacted to this event with this key before");
    return NULL;
}

/* The root must be an event of this room that is not itself part of a thread. */
static const struct err *find_thread(struct job *job, struct room *room, const char *root,
                                     int64_t *ret_thread)
{
    const struct stored_event *stored;
    TRY(events_get_by_id(job_tx(job), root, &stored));
    if (!stored || stored->room != room->id)
        return NULL;
    if (stored->thread)
        return err(ERR_UNKNOWN, "Cannot start a thread from an event that is in a thread");
    *ret_thread = stored->position;
    return NULL;
}

const struct err *relation_of_new_event(struct job *job, struct room *room, const struct event *e,
                                        struct relation *ret, int64_t *ret_thread)
{
    struct str relates = json_scan_get(e->content, "m.relates_to");
    if (!relates.p || relates.p[0] != '{' || e->state_key)
        return NULL;
    struct relation r = {
        .parent = json_scan_string(job->arena, json_scan_get(relates, "event_id")),
        .rel_type = json_scan_string(job->arena, json_scan_get(relates, "rel_type")),
        .key = json_scan_string(job->arena, json_scan_get(relates, "key")),
    };
    if (!r.parent || !r.rel_type || strlen(r.rel_type) > EVENT_KEY_MAX ||
        !event_id_to_bytes(job->arena, e->version, r.parent).p)
        return NULL; /* an ill-formed relation is no relation */
    if (strcmp(r.rel_type, "m.annotation") == 0)
        TRY(check_annotation(job, e, &r));
    if (strcmp(r.rel_type, "m.thread") == 0)
        TRY(find_thread(job, room, r.parent, ret_thread));
    *ret = r;
    return NULL;
}
