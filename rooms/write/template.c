#include "rooms/write/template.h"

#include "rooms/write/draft.h"
#include "rooms/writer.h"

static const struct err *template_build(struct job *job, struct room *room,
                                        const struct author *author, const struct new_event *e,
                                        const struct event **ret, int64_t *ret_judged_by)
{
    struct draft d;
    struct write *w = write_begin(job);
    lock_take(&room->lock);
    draft_init(&d, job, room, author, w);
    *ret_judged_by = room->state_queued;
    const struct err *problem = draft_build(&d, e, ret);
    lock_release(&room->lock);
    write_abandon(w);
    return problem;
}

/* A refusal that depends on queued state is returned when that is committed. */
static const struct err *build_settled(struct job *job, struct room *room,
                                       const struct author *author, const struct new_event *e,
                                       const struct event **ret)
{
    struct retry retry = {0};
    const struct err *problem;
    do {
        int64_t judged_by;
        problem = template_build(job, room, author, e, ret, &judged_by);
        if (problem && !writer_wait_for_state(room, judged_by))
            problem = writer_conflict();
    } while (writer_retry(&retry, job, &room, &problem));
    return problem;
}

const struct err *room_template(struct job *job, struct room *room, const char *sender,
                                const struct new_event *e, json_t **ret)
{
    struct author author = {.user_id = sender};
    const struct event *built;
    json_t *tree;
    TRY(build_settled(job, room, &author, e, &built));
    TRY(json_read_own(job->arena, built->json, &tree));
    json_object_del(tree, "signatures");
    json_object_del(tree, "hashes");
    json_object_del(tree, "event_id"); /* versions 1 and 2: the signing server sets it */
    json_object_del(tree, "origin");
    *ret = tree;
    return NULL;
}
