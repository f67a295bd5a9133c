#include "rooms/template.h"

#include "rooms/draft.h"

static const struct err *build(struct job *job, struct room *room, const struct author *author,
                               const struct new_event *e, const struct event **ret)
{
    struct draft d;
    struct write *w = write_begin(job);
    lock_take(&room->lock);
    draft_init(&d, job, room, author, w);
    const struct err *problem = draft_build(&d, e, ret);
    lock_release(&room->lock);
    write_abandon(w);
    return problem;
}

const struct err *room_template(struct job *job, struct room *room, const char *sender,
                                const struct new_event *e, json_t **ret)
{
    struct author author = {.user_id = sender};
    const struct event *built;
    json_t *tree;
    TRY(build(job, room, &author, e, &built));
    TRY(json_read_own(job->arena, built->json, &tree));
    json_object_del(tree, "signatures");
    json_object_del(tree, "hashes");
    json_object_del(tree, "event_id"); /* versions 1 and 2: its signer names it */
    json_object_del(tree, "origin");
    *ret = tree;
    return NULL;
}
