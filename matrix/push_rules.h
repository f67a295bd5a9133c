/* Push rules (client-server-api, "Push notifications"): the predefined rules of v1.19, rule sets as
 * JSON, and their evaluation. Pure. */
#ifndef MATRIX_PUSH_RULES_H
#define MATRIX_PUSH_RULES_H

#include "base/json.h"

/* The predefined ruleset ({"override":[…],"content":[…],"room":[],"sender":[],"underride":[…]}) for
 * one user, a new reference. It differs between users only in their id and localpart. */
json_t *push_rules_default(const char *user_id);

/* The user's stored changes ({"rules": their own and overridden ones, …}, exactly as
 * push_rules_put and its siblings keep them; NULL: none) laid over the predefined rules: the
 * complete ruleset as GET /pushrules/global/ shows it, a new reference. */
json_t *push_rules_merge(const char *user_id, const json_t *stored);

/* The changes behind the /pushrules routes, on the stored form (NULL or object in, new reference
 * out). kind is one of override, content, room, sender, underride. Errors as the spec says:
 * M_NOT_FOUND, M_INVALID_PARAM, M_UNKNOWN for before/after that do not exist. */
const struct err *push_rules_put(const char *user_id, const json_t *stored, const char *kind,
                                 const char *rule_id, const json_t *body, const char *before,
                                 const char *after, json_t **ret);
const struct err *push_rules_delete(const char *user_id, const json_t *stored, const char *kind,
                                    const char *rule_id, json_t **ret);
const struct err *push_rules_set_enabled(const char *user_id, const json_t *stored,
                                         const char *kind, const char *rule_id, bool enabled,
                                         json_t **ret);
const struct err *push_rules_set_actions(const char *user_id, const json_t *stored,
                                         const char *kind, const char *rule_id,
                                         const json_t *actions, json_t **ret);
/* The rule in a merged ruleset, borrowed; NULL when there is none. */
const json_t *push_rules_find(const json_t *ruleset, const char *kind, const char *rule_id);

/* What evaluation may look at besides the event. */
struct push_context {
    const char *user_id, *display_name; /* of the recipient; display_name may be NULL */
    int64_t member_count;
    int64_t sender_power, room_notify_power; /* for sender_notification_permission "room" */
};

struct push_outcome {
    bool notify, highlight;
    const json_t *actions; /* borrowed from the ruleset; NULL when no rule matched */
    const char *sound;     /* tweak, NULL if none */
};

/* Evaluates a merged ruleset on an event in client format (a tree with content, type, sender,
 * room_id, state_key …). A user's own events never notify: the caller skips them. */
void push_rules_evaluate(const json_t *ruleset, const json_t *event, const struct push_context *c,
                         struct push_outcome *ret);

/* The outcome under the predefined rules that is the SAME for every member of a room who is not
 * mentioned by the event: computed once per event. */
struct push_outcome push_rules_evaluate_base(const json_t *event, const struct push_context *c);

/* Glob matching as push conditions want it: * and ?, case-insensitive. `word`: the pattern must
 * match at word boundaries somewhere in the text (content.body), else the whole text. */
bool push_glob(struct str pattern, struct str text, bool word);

#endif
