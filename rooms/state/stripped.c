#include "rooms/state/stripped.h"

const char *const stripped_types[] = {
    "m.room.create",     "m.room.name",
    "m.room.avatar",     "m.room.topic",
    "m.room.join_rules", "m.room.canonical_alias",
    "m.room.encryption", NULL,
};

const struct err *stripped_state(struct draft *d, const struct event *member, struct str *ret)
{
    buf_auto struct buf b = {0};
    buf_add_char(&b, '[');
    for (const char *const *type = stripped_types; *type; type++) {
        const struct event *e;
        TRY(draft_state(d, *type, "", &e));
        if (!e)
            continue;
        buf_add_json_comma(&b);
        event_add_stripped(&b, e);
    }
    const struct event *sender;
    TRY(draft_state(d, "m.room.member", member->sender, &sender));
    if (sender && strcmp(member->sender, member->state_key) != 0) {
        buf_add_json_comma(&b);
        event_add_stripped(&b, sender);
    }
    buf_add_json_comma(&b);
    event_add_stripped(&b, member);
    buf_add_char(&b, ']');
    *ret = (struct str){arena_memdup(d->job->arena, b.p, b.n), b.n};
    return NULL;
}
