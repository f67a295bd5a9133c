/* The authorization rules of every room version (rooms/vN, "Authorization rules"), one table row a
 * numbered rule. Pure: the state to judge by comes through a callback. */
#ifndef MATRIX_AUTH_RULES_H
#define MATRIX_AUTH_RULES_H

#include "matrix/event.h"

/* The room state an event is judged by. `get` returns NULL when there is no such state event. */
struct auth_state {
    const struct event *(*get)(const struct auth_state *s, const char *type, const char *state_key);
    void *ctx;
};

/* NULL when the event is allowed; M_FORBIDDEN whose text says why and whose cause names the rule
 * ("v11 rule 5") when not. Does not check signatures. For rule "auth_events selection" see below.
 */
const struct err *auth_check(const struct event *e, const struct auth_state *s);

/* Rules on the event's own auth_events list (duplicates, entries that do not belong, rejected ones,
 * no create event / wrong room). `events` are the auth events in the order of e->auth_events. */
const struct err *auth_check_auth_events(const struct event *e, const struct event *const *events,
                                         const bool *rejected);

/* Which state an event must cite (server-server-api, "Auth events selection"): calls `each` for
 * every (type, state_key) that applies. content is the (parsed) content for member events. */
void auth_events_for(const struct room_version *v, const char *type, const char *sender,
                     const char *state_key, const json_t *content,
                     void (*each)(void *ctx, const char *type, const char *state_key), void *ctx);

/* Power levels. POWER_INFINITE for creators in v12. */
#define POWER_INFINITE INT64_MAX
int64_t auth_power_of_user(const struct auth_state *s, const struct room_version *v,
                           const char *user_id);
/* What sending an event of that type takes: events[type], else state_default / events_default. */
int64_t auth_power_to_send(const struct auth_state *s, const struct room_version *v,
                           const char *type, bool is_state);
/* "invite", "kick", "ban", "redact" and their defaults. */
int64_t auth_power_for(const struct auth_state *s, const struct room_version *v,
                       const char *action);
/* notifications.room, default 50. */
int64_t auth_power_to_notify_room(const struct auth_state *s, const struct room_version *v);

/* May this redaction be applied to that event (rooms/v3, "Handling redactions")? */
bool auth_redaction_applies(const struct event *redaction, const struct event *target,
                            const struct auth_state *s);

#endif
