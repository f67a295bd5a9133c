/* The configuration file, through libyaml's documents (which know the line of every node). */
#include "base/config/config_forms.h"

#include <errno.h>
#include <stdio.h>

enum { NESTING_MAX = 4 };

struct yaml_reader {
    struct config_reader *r;
    const char *file;
    yaml_document_t *document;
    size_t *seen; /* by key: its line */
};

static const char *origin_of(const struct yaml_reader *y, size_t line)
{
    return arena_printf(y->r->arena, "%s:%zu", y->file, line);
}

static size_t line_of(const yaml_node_t *node)
{
    return node->start_mark.line + 1;
}

static bool is_null(const yaml_node_t *node)
{
    if (node->type != YAML_SCALAR_NODE || node->data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
        return false;
    const char *text = (const char *)node->data.scalar.value;
    return !*text || strcmp(text, "~") == 0 || strcasecmp(text, "null") == 0;
}

/* {address: ..., tls_certificate: ..., tls_key: ...} */
static bool read_listener(struct yaml_reader *y, const yaml_node_t *node,
                          struct config_listener *ret)
{
    for (yaml_node_pair_t *p = node->data.mapping.pairs.start; p < node->data.mapping.pairs.top;
         p++) {
        const char *key = config_scalar(yaml_document_get_node(y->document, p->key));
        const char *value =
            arena_strdup(y->r->arena, config_scalar(yaml_document_get_node(y->document, p->value)));
        if (!key || !value)
            return false;
        else if (strcmp(key, "address") == 0)
            ret->address = value;
        else if (strcmp(key, "tls_certificate") == 0)
            ret->tls_certificate = value;
        else if (strcmp(key, "tls_key") == 0)
            ret->tls_key = value;
        else
            return false;
    }
    return ret->address != NULL;
}

static bool read_item(struct yaml_reader *y, const struct config_key *key, const yaml_node_t *node,
                      struct config_listener *ret)
{
    if (node->type == YAML_MAPPING_NODE && key->type == CONFIG_LISTEN)
        return read_listener(y, node, ret);
    ret->address = arena_strdup(y->r->arena, config_scalar(node));
    return ret->address != NULL;
}

static bool read_items(struct yaml_reader *y, const struct config_key *key, const yaml_node_t *node,
                       struct config_value *v, struct config_listener *items)
{
    if (!v->is_list)
        return read_item(y, key, node, &items[v->n++]);
    for (yaml_node_item_t *i = node->data.sequence.items.start; i < node->data.sequence.items.top;
         i++)
        if (!read_item(y, key, yaml_document_get_node(y->document, *i), &items[v->n++]))
            return false;
    return true;
}

static void config_yaml_read_form(struct yaml_reader *y, struct config_value *v,
                                  const yaml_node_t *node)
{
    const char *expected = config_take_form(y->r->arena, y->document, v->key, node, v);
    if (expected)
        config_problem(y->r, "%s: `%s`: expected %s", v->origin, v->key->name, expected);
    else
        config_set(y->r, v);
}

static void config_yaml_read_value(struct yaml_reader *y, const struct config_key *key,
                                   const char *origin, const yaml_node_t *node)
{
    bool is_list = node->type == YAML_SEQUENCE_NODE;
    size_t n =
        is_list ? (size_t)(node->data.sequence.items.top - node->data.sequence.items.start) : 1;
    struct config_listener *items = arena_alloc_array(y->r->arena, n + 1, sizeof *items);
    struct config_value v = {.key = key, .origin = origin, .items = items, .is_list = is_list};
    if (config_has_form(key, node)) {
        config_yaml_read_form(y, &v, node);
        return;
    }
    if (read_items(y, key, node, &v, items))
        config_set(y->r, &v);
    else if (key->type == CONFIG_LISTEN)
        config_problem(y->r,
                       "%s: `%s`: expected an address, a list of them, or items {address, "
                       "tls_certificate, tls_key}",
                       origin, key->name);
    else
        config_problem(y->r, "%s: `%s`: expected %s", origin, key->name,
                       key->type == CONFIG_LIST ? "a list of texts" : "one value, not a mapping");
}

static bool first_time(struct yaml_reader *y, const struct config_key *key, const char *origin,
                       size_t line)
{
    size_t *seen = &y->seen[key - config_keys];
    if (*seen)
        config_problem(y->r, "%s: `%s` is set twice (first in line %zu)", origin, key->name, *seen);
    else
        *seen = line;
    return *seen == line;
}

static void read_mapping(struct yaml_reader *y, const char *group, const yaml_node_t *node,
                         int depth)
{
    for (yaml_node_pair_t *p = node->data.mapping.pairs.start; p < node->data.mapping.pairs.top;
         p++) {
        const yaml_node_t *key_node = yaml_document_get_node(y->document, p->key);
        const yaml_node_t *value = yaml_document_get_node(y->document, p->value);
        size_t line = line_of(key_node);
        const char *origin = origin_of(y, line), *text = config_scalar(key_node);
        if (!text) {
            config_problem(y->r, "%s: expected a key", origin);
            continue;
        }
        const char *name = arena_printf(y->r->arena, "%s%s%s", group, *group ? "." : "", text);
        bool is_group;
        const struct config_key *key = config_resolve(y->r, origin, name, &name, &is_group);
        if (is_null(value))
            continue; /* as if it were not there */
        if (key && first_time(y, key, origin, line))
            config_yaml_read_value(y, key, origin, value);
        else if (is_group && value->type == YAML_MAPPING_NODE && depth < NESTING_MAX)
            read_mapping(y, name, value, depth + 1);
        else if (is_group)
            config_problem(y->r, "%s: `%s`: expected a mapping", origin, name);
    }
}

static void read_document(struct yaml_reader *y)
{
    const yaml_node_t *root = yaml_document_get_root_node(y->document);
    if (!root || is_null(root))
        return; /* an empty file: all defaults */
    if (root->type == YAML_MAPPING_NODE)
        read_mapping(y, "", root, 0);
    else
        config_problem(y->r, "%s: expected `key: value`", origin_of(y, line_of(root)));
}

static size_t config_yaml_count_keys(void)
{
    size_t n = 0;
    while (config_keys[n].name)
        n++;
    return n;
}

void config_read_file(struct config_reader *r, const char *file)
{
    FILE *stream = fopen(file, "re");
    if (!stream) {
        config_problem(r, "%s: %s", file, strerror(errno));
        return;
    }
    yaml_parser_t parser;
    yaml_document_t document;
    if (!yaml_parser_initialize(&parser))
        abort(); /* out of memory */
    yaml_parser_set_input_file(&parser, stream);
    if (yaml_parser_load(&parser, &document)) {
        struct yaml_reader y = {
            r, file, &document,
            arena_alloc_array(r->arena, config_yaml_count_keys(), sizeof(size_t))};
        read_document(&y);
        yaml_document_delete(&document);
    } else {
        config_problem(r, "%s:%zu: %s", file, parser.problem_mark.line + 1,
                       parser.problem ? parser.problem : "not YAML");
    }
    yaml_parser_delete(&parser);
    fclose(stream);
}
