/* The predefined rules, shared by the files of matrix/push_rules*.c. */
#ifndef MATRIX_PUSH_RULES_PREDEFINED_H
#define MATRIX_PUSH_RULES_PREDEFINED_H

#include "matrix/push_rules.h"

/* The rules that must not be applied to events with m.mentions. */
#define PUSH_RULE_CONTAINS_DISPLAY_NAME ".m.rule.contains_display_name"
#define PUSH_RULE_CONTAINS_USER_NAME ".m.rule.contains_user_name"
#define PUSH_RULE_ROOMNOTIF ".m.rule.roomnotif"

/* The original form of a predefined rule, a new reference (its user-specific conditions name no
 * user); NULL when there is none of that kind and id. */
json_t *push_rules_predefined(const char *kind, const char *rule_id);

#endif
