/* Private to base/config*.c: values in Synapse's forms, where they mean the same as ours. */
#ifndef BASE_CONFIG_FORMS_H
#define BASE_CONFIG_FORMS_H

#include "base/config/config_schema.h"

#include <yaml.h>

/* Whether the key has another form, which this node may be. */
bool config_has_form(const struct config_key *key, const yaml_node_t *node);

/* Converts the value to our form; returns NULL, or what was expected. */
const char *config_take_form(struct arena *a, yaml_document_t *document,
                             const struct config_key *key, const yaml_node_t *node,
                             struct config_value *ret);

/* A scalar's text; NULL for other nodes and for text with NUL in it. */
const char *config_scalar(const yaml_node_t *node);

#endif
