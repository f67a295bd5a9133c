/* The authorization rules of every room version (rooms/vN, "Authorization rules"), one table row a
 * numbered rule (matrix/auth/auth_tables.c). Pure: the state is read through a callback.
 *
 * Not checked here, because they need more than an event and a state: the signatures of events
 * (server-server-api, "Signing Events"). The rule on member events with
 * `join_authorised_via_users_server` (v8 to v11 rule 4.2, v12 rule 5.2) belongs to them: the check
 * of signatures also requires one of that user's server. */
#ifndef MATRIX_AUTH_AUTH_RULES_H
#define MATRIX_AUTH_AUTH_RULES_H

#include "matrix/event.h"

/* The room state that an event is checked against. `get` returns NULL when there is no such state
 * event; the returned event stays valid during the call. In room version 12 the state must have the
 * create event, although no event cites it. */
struct auth_state {
    const struct event *(*get)(const struct auth_state *s, const char *type, const char *state_key);
    void *ctx;
};

/* A state made of a few events, for instance the auth events of an event: `list.state` is what the
 * functions below take. NULLs among the events are skipped. Borrows everything. */
struct auth_state_list {
    struct auth_state state;
    const struct event *const *events;
    size_t n;
    const struct event *create; /* NULL, or one more event: v12's create event */
};
void auth_state_list_init(struct auth_state_list *list, const struct event *const *events, size_t n,
                          const struct event *create);

/* NULL when the event is allowed, else M_FORBIDDEN with the reason as text and the rule ("v11 rule
 * 5") as cause. Leaves out the rules about the event's own list of auth events. */
const struct err *auth_check(const struct event *e, const struct auth_state *s);

/* The rules on the event's own auth_events list (rule 2, in v12 rule 3: duplicates, entries that do
 * not belong, rejected ones, no create event, wrong room). `events` are the auth events in the
 * order of e->auth_events, none of them NULL; `rejected` NULL: none was. Create events have no
 * list, and are accepted. */
const struct err *auth_check_auth_events(const struct event *e, const struct event *const *events,
                                         const bool *rejected);

/* Which state an event must cite (server-server-api, "Auth events selection"): calls `each` once
 * for every (type, state_key) that applies. content is the (parsed) content for member events. */
void auth_events_for(const struct room_version *v, const char *type, const char *sender,
                     const char *state_key, const json_t *content,
                     void (*each)(void *ctx, const char *type, const char *state_key), void *ctx);

/* Power levels. POWER_INFINITE for creators in v12. */
#define POWER_INFINITE INT64_MAX
int64_t auth_power_of_user(const struct auth_state *s, const struct room_version *v,
                           const char *user_id);
/* The level required to send an event of that type: events[type], else state_default /
 * events_default. */
int64_t auth_power_to_send(const struct auth_state *s, const struct room_version *v,
                           const char *type, bool is_state);
/* "invite", "kick", "ban", "redact" and their defaults. */
int64_t auth_power_for(const struct auth_state *s, const struct room_version *v,
                       const char *action);
/* notifications.room, default 50. */
int64_t auth_power_to_notify_room(const struct auth_state *s, const struct room_version *v);

/* Whether this redaction may be applied to that event (rooms/v3, "Handling redactions"; in v1 and
 * v2 the conditions of rule 11). Both must be of one room. */
bool auth_redaction_applies(const struct event *redaction, const struct event *target,
                            const struct auth_state *s);

/* From version 12 on: whether the create event gives the user infinite power. */
bool auth_is_creator(const struct room_version *v, const struct event *create, const char *user_id);

#endif
