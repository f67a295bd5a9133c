#include "matrix/auth/auth_internal.h"

#include <assert.h>
#include <stdio.h>

enum { RULE_DEPTH_MAX = 6 }; /* of nested lists in auth_tables.c */

static const struct err *auth_rules_refuse(const struct auth_case *c, const char *const *path,
                                           size_t n, const struct rule *r)
{
    char number[32] = "";
    size_t used = 0;
    for (size_t i = 0; i < n && used < sizeof number; i++)
        used += (size_t)snprintf(number + used, sizeof number - used, "%s.", path[i]);
    if (used < sizeof number)
        snprintf(number + used, sizeof number - used, "%s", r->number);
    return err_with_cause(err(ERR_FORBIDDEN, "%s", c->why[0] ? c->why : r->text),
                          "v%s rule %s: %s from %s", c->v->id, number, c->e->type, c->e->sender);
}

/* NULL when no rule rejects. */
static const struct err *auth_rules_judge(struct auth_case *c, const struct rule *r)
{
    const char *path[RULE_DEPTH_MAX];
    size_t depth = 0;
    while (r->number) {
        bool holds = !r->when || r->when(c);
        if (r->then == RULE_ALLOW_ONLY_IF)
            return holds ? NULL : auth_rules_refuse(c, path, depth, r);
        if (!holds) {
            r++;
            continue;
        }
        if (r->then == RULE_ALLOW)
            return NULL;
        if (r->then == RULE_REJECT)
            return auth_rules_refuse(c, path, depth, r);
        assert(depth < RULE_DEPTH_MAX);
        path[depth++] = r->number;
        r = r->list;
    }
    return NULL;
}

bool auth_because(struct auth_case *c, const char *why, ...)
{
    va_list ap;
    va_start(ap, why);
    vsnprintf(c->why, sizeof c->why, why, ap);
    va_end(ap);
    return true;
}

static enum auth_kind kind_of(const char *type)
{
    static const struct {
        const char *type;
        enum auth_kind kind;
    } kinds[] = {
        {"create", KIND_CREATE},
        {"aliases", KIND_ALIASES},
        {"member", KIND_MEMBER},
        {"third_party_invite", KIND_THIRD_PARTY_INVITE},
        {"power_levels", KIND_POWER_LEVELS},
        {"redaction", KIND_REDACTION},
    };
    if (strncmp(type, "m.room.", 7) != 0)
        return KIND_OTHER;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(type + 7, kinds[i].type) == 0)
            return kinds[i].kind;
    return KIND_OTHER;
}

const struct err *auth_check(const struct event *e, const struct auth_state *s)
{
    struct auth_case c = {.e = e, .v = e->version, .s = s, .kind = kind_of(e->type)};
    c.create = c.kind == KIND_CREATE ? NULL : s->get(s, "m.room.create", "");
    if (c.kind == KIND_MEMBER)
        c.membership = auth_membership_in(e);
    return auth_rules_judge(&c, auth_rules_of(c.v));
}

const struct err *auth_check_auth_events(const struct event *e, const struct event *const *events,
                                         const bool *rejected)
{
    struct auth_case c = {.e = e, .v = e->version, .kind = kind_of(e->type)};
    c.auth_events = events;
    c.rejected = rejected;
    return auth_rules_judge(&c, auth_list_rules_of(c.v));
}

static const struct event *find_in_list(const struct auth_state *s, const char *type,
                                        const char *state_key)
{
    const struct auth_state_list *list = s->ctx;
    for (size_t i = 0; i <= list->n; i++) {
        const struct event *e = i < list->n ? list->events[i] : list->create;
        if (e && e->state_key && strcmp(e->type, type) == 0 && strcmp(e->state_key, state_key) == 0)
            return e;
    }
    return NULL;
}

void auth_state_list_init(struct auth_state_list *list, const struct event *const *events, size_t n,
                          const struct event *create)
{
    *list = (struct auth_state_list){
        .state = {.get = find_in_list, .ctx = list}, .events = events, .n = n, .create = create};
}
