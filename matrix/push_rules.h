/* Push rules (client-server-api, "Push notifications"): the predefined rules, rule sets as JSON,
 * edits to them, and their evaluation. Pure; given JSON is never changed, results share parts with
 * it.
 *
 * The predefined rules are those of v1.19 and the three that v1.17 removed
 * (.m.rule.contains_display_name, .m.rule.contains_user_name, .m.rule.roomnotif): deployed clients
 * still edit them, and bots still mention people by name only. As in v1.7 to v1.16, those three
 * apply only to events without m.mentions.
 *
 * Only a user's differences from the predefined rules are stored:
 *     {"rules": {KIND: [whole rules, most important first]},
 *      "predefined": {RULE_ID: {"enabled": bool, "actions": [...]}}}
 * where every part may be missing. */
#ifndef MATRIX_PUSH_RULES_H
#define MATRIX_PUSH_RULES_H

#include "base/json.h"

enum {
    PUSH_RULES_MAX = 2000,          /* rules of one user's own */
    PUSH_RULE_ID_MAX = 255,         /* bytes */
    PUSH_PATTERN_MAX = 255,         /* bytes; the limit of matrix/glob.h */
    PUSH_CONDITIONS_MAX = 64,       /* of one rule */
    PUSH_ACTIONS_MAX = 32,          /* of one rule */
    PUSH_RULE_BYTES_MAX = 8 * 1024, /* conditions and actions of one rule as JSON, each */
    PUSH_STEPS_MAX = 256 * 1024,    /* of one evaluation: each character read is one */
    PUSH_CONDITION_STEPS = 32       /* of each condition, in addition */
};

/* The kinds, in the order in which they are checked. */
enum push_kind { PUSH_OVERRIDE, PUSH_CONTENT, PUSH_ROOM, PUSH_SENDER, PUSH_UNDERRIDE, PUSH_KINDS };
extern const char *const push_kind_names[PUSH_KINDS];

/* The user's stored changes (NULL: none) laid over the predefined rules: the complete ruleset as
 * GET /pushrules/global/ shows it ({"override":[…],"content":[…],"room":[…],"sender":[…],
 * "underride":[…]}), a new reference. The predefined rules differ between users only in their id
 * and localpart. The master rule comes first, then the user's
 * own, then the other predefined ones. */
json_t *push_rules_merge(const char *user_id, const json_t *stored);

/* Whether there are stored changes. If not, push_rules_evaluate_base is enough for this user. */
bool push_rules_changed(const json_t *stored);

/* The changes behind the /pushrules routes, on the stored form (NULL or object in, new reference
 * out). kind is one of push_kind_names. Errors: M_NOT_FOUND for rules that do not exist (and for
 * deleting predefined ones), M_UNKNOWN for a before/after that is not a rule of the user's own,
 * M_MISSING_PARAM, M_BAD_JSON or M_INVALID_PARAM for an unusable kind, id or body, M_TOO_LARGE
 * beyond the limits. A rule that is put again keeps its place and its enabled flag. */
const struct err *push_rules_put(const json_t *stored, const char *kind, const char *rule_id,
                                 const json_t *body, const char *before, const char *after,
                                 json_t **ret);
const struct err *push_rules_delete(const json_t *stored, const char *kind, const char *rule_id,
                                    json_t **ret);
const struct err *push_rules_set_enabled(const json_t *stored, const char *kind,
                                         const char *rule_id, bool enabled, json_t **ret);
const struct err *push_rules_set_actions(const json_t *stored, const char *kind,
                                         const char *rule_id, const json_t *actions, json_t **ret);
/* The rule in a merged ruleset, borrowed; NULL when there is none. */
const json_t *push_rules_find(const json_t *ruleset, const char *kind, const char *rule_id);

/* The input of an evaluation besides the event. */
struct push_context {
    const char *user_id;      /* of the recipient */
    const char *display_name; /* folded by text_fold_unless_ascii(); may be NULL */
    int64_t member_count;
    int64_t sender_power, room_notify_power; /* for sender_notification_permission "room" */
    const json_t *notify_powers; /* "notifications" of m.room.power_levels, for other keys; or NULL
                                  */
    struct str folded_body; /* content.body, in the form of display_name; p NULL: it is in that form
                               already */
    size_t steps_max;       /* at most PUSH_STEPS_MAX; 0: that many */
};

struct push_outcome {
    bool notify, highlight;
    const json_t *actions; /* borrowed from the ruleset; NULL when no rule matched */
    const char *sound;     /* tweak, NULL if none */
    size_t steps;          /* taken by the user's own rules */
};

/* Evaluates a merged ruleset on an event in client format (a tree with content, type, sender,
 * room_id, state_key …). A user's own events never notify: the caller skips them. Allocates
 * nothing. Once the user's own rules have taken all steps, their further ones match nothing; the
 * predefined rules still apply. */
void push_rules_evaluate(const json_t *ruleset, const json_t *event, const struct push_context *c,
                         struct push_outcome *ret);

/* The outcome under the predefined rules that is the SAME for every member of a room that the event
 * does not single out: computed once per event. user_id and display_name are ignored. The actions
 * belong to a constant ruleset that lives as long as the process. */
struct push_outcome push_rules_evaluate_base(const json_t *event, const struct push_context *c);

/* The users that the event singles out: the outcome for them may differ from the base even without
 * rules of their own: the users in m.mentions, and the invited user. Calls each() for them, for
 * some perhaps twice, whether or not they are users or members. */
void push_rules_mentioned(const json_t *event, void (*each)(void *ctx, const char *user_id),
                          void *ctx);

/* Besides those, an event without m.mentions singles out users whose display name is in its body,
 * folded, or localpart as it is. Returns that body, or p == NULL when names do not matter. */
struct str push_rules_names_body(const json_t *event);

/* The words of a body, prepared for cheap checks of very many names. The body is borrowed. */
struct push_words {
    struct str body;
    uint64_t seen[512]; /* a filter of the hashes of its words */
};
void push_words_init(struct push_words *w, struct str body);
/* Whether the name occurs between word boundaries, case-insensitive, without wildcards. The caller
 * folds accents and Unicode forms (base/text.h). */
bool push_words_contain(const struct push_words *w, struct str name);

#endif
