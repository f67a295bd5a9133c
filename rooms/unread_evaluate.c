#include "matrix/json_scan.h"
#include "matrix/push_rules.h"
#include "rooms/unread_internal.h"

/* An encrypted event without cleartext relations or mentions notifies whoever keeps the predefined
 * rules: known without parsing it, for that is most of what is sent. */
static bool is_plain_encrypted(const struct event *e)
{
    return strcmp(e->type, "m.room.encrypted") == 0 && !e->state_key &&
           !json_scan_get(e->content, "m.relates_to").p &&
           !json_scan_get(e->content, "m.mentions").p;
}

const struct err *unread_evaluate_locked(struct job *job, struct room *room, struct write *w,
                                         int at, const struct event *e, struct change *change)
{
    if (is_plain_encrypted(e)) {
        change->notify = 1;
        return NULL;
    }
    json_t *tree;
    TRY(json_read(job->arena, e->json, &tree));
    struct push_context context = {.member_count = room->joined_n};
    struct push_outcome base = push_rules_evaluate_base(tree, &context);
    change->notify = base.notify;
    change->highlight = base.highlight;
    return NULL;
}

void name_index_destroy(struct name_index *n)
{
    (void)n;
}
