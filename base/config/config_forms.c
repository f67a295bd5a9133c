#include "base/config/config_forms.h"

enum { FORM_ITEMS_MAX = 1000 };

struct taker {
    struct arena *arena;
    yaml_document_t *document;
    struct config_listener *items;
    size_t n;
};

const char *config_scalar(const yaml_node_t *node)
{
    if (!node || node->type != YAML_SCALAR_NODE)
        return NULL;
    const char *text = (const char *)node->data.scalar.value;
    return strlen(text) == node->data.scalar.length ? text : NULL;
}

static bool add_item(struct taker *t, const char *text)
{
    if (t->n == FORM_ITEMS_MAX)
        return false;
    t->items[t->n++].address = text;
    return true;
}

/* Calls `take` for each `key: value` of a mapping, until it returns false. */
static bool each_pair(struct taker *t, const yaml_node_t *node, void *into,
                      bool (*take)(struct taker *t, void *into, const char *key,
                                   const yaml_node_t *value))
{
    if (!node || node->type != YAML_MAPPING_NODE)
        return false;
    for (yaml_node_pair_t *p = node->data.mapping.pairs.start; p < node->data.mapping.pairs.top;
         p++) {
        const char *key = config_scalar(yaml_document_get_node(t->document, p->key));
        const yaml_node_t *value = yaml_document_get_node(t->document, p->value);
        if (!key || !value || !take(t, into, key, value))
            return false;
    }
    return true;
}

/* ---- database: {name: psycopg2, args: {user: …, database: …, host: …, cp_max: …}} ---- */

struct database {
    const char *name;
    struct buf settings; /* libpq's `key='value' …` */
};

static bool take_argument(struct taker *t, void *into, const char *key, const yaml_node_t *value)
{
    struct database *d = into;
    const char *text = config_scalar(value);
    if (!text || key[strspn(key, "abcdefghijklmnopqrstuvwxyz_")])
        return false;
    if (strncmp(key, "cp_", 3) == 0)
        return true; /* Synapse's own pool of connections: database_connections */
    buf_printf(&d->settings, "%s%s='", d->settings.n ? " " : "",
               strcmp(key, "database") == 0 ? "dbname" : key);
    for (; *text; text++) {
        if (*text == '\'' || *text == '\\')
            buf_add_char(&d->settings, '\\');
        buf_add_char(&d->settings, *text);
    }
    buf_add_char(&d->settings, '\'');
    return true;
}

static bool take_database_key(struct taker *t, void *into, const char *key,
                              const yaml_node_t *value)
{
    struct database *d = into;
    if (strcmp(key, "name") == 0)
        d->name = config_scalar(value);
    if (strcmp(key, "args") == 0)
        return each_pair(t, value, d, take_argument);
    return true; /* settings of Synapse's own use: txn_limit and the like */
}

static bool take_database(struct taker *t, const yaml_node_t *node)
{
    struct database d = {0};
    bool well = each_pair(t, node, &d, take_database_key) && d.name &&
                strcmp(d.name, "psycopg2") == 0 && d.settings.n;
    if (well)
        well = add_item(t, arena_strdup(t->arena, buf_str(&d.settings).p));
    buf_finish(&d.settings);
    return well;
}

/* ---- old_signing_keys: {"ed25519:ID": {key: BASE64, expired_ts: MS}} ---- */

struct old_key {
    const char *key, *expired;
};

static bool take_old_key_part(struct taker *t, void *into, const char *key,
                              const yaml_node_t *value)
{
    struct old_key *k = into;
    const char *text = config_scalar(value);
    if (strcmp(key, "key") == 0)
        k->key = text;
    else if (strcmp(key, "expired_ts") == 0)
        k->expired = text;
    return text != NULL;
}

static bool take_old_key(struct taker *t, void *into, const char *id, const yaml_node_t *value)
{
    struct old_key k = {0};
    return each_pair(t, value, &k, take_old_key_part) && k.key && k.expired &&
           add_item(t, arena_printf(t->arena, "%s:%s:%s", id, k.key, k.expired));
}

static bool take_old_keys(struct taker *t, const yaml_node_t *node)
{
    return each_pair(t, node, NULL, take_old_key);
}

/* ---- trusted_key_servers: [{server_name: NAME, verify_keys: {"ed25519:ID": BASE64}}] ---- */

struct notary {
    const char *name;
    const yaml_node_t *keys;
};

static bool take_notary_part(struct taker *t, void *into, const char *key, const yaml_node_t *value)
{
    struct notary *n = into;
    if (strcmp(key, "server_name") == 0)
        n->name = config_scalar(value);
    else if (strcmp(key, "verify_keys") == 0)
        n->keys = value;
    return true;
}

static bool take_notary_key(struct taker *t, void *into, const char *id, const yaml_node_t *value)
{
    const struct notary *n = into;
    const char *key = config_scalar(value);
    return key && add_item(t, arena_printf(t->arena, "%s=%s:%s", n->name, id, key));
}

static bool take_notary(struct taker *t, const yaml_node_t *node)
{
    const char *text = config_scalar(node);
    struct notary n = {0};
    if (text)
        return add_item(t, arena_strdup(t->arena, text));
    if (!each_pair(t, node, &n, take_notary_part) || !n.name)
        return false;
    return n.keys ? each_pair(t, n.keys, &n, take_notary_key)
                  : add_item(t, arena_strdup(t->arena, n.name));
}

static bool take_notaries(struct taker *t, const yaml_node_t *node)
{
    for (yaml_node_item_t *i = node->data.sequence.items.start; i < node->data.sequence.items.top;
         i++)
        if (!take_notary(t, yaml_document_get_node(t->document, *i)))
            return false;
    return true;
}

/* ---- all of them ---- */

static const struct form {
    const char *key;
    yaml_node_type_t type;
    bool (*take)(struct taker *t, const yaml_node_t *node);
    const char *expected;
} forms[] = {
    {"database", YAML_MAPPING_NODE, take_database,
     "postgresql://USER@HOST/NAME, or Synapse's `name: psycopg2` with `args` (user, password, "
     "database, host, port); without `database` Concorde runs its own PostgreSQL"},
    {"old_signing_keys", YAML_MAPPING_NODE, take_old_keys,
     "a list of ed25519:ID:BASE64:EXPIRED_TS, or Synapse's \"ed25519:ID\": {key: BASE64, "
     "expired_ts: MILLISECONDS}"},
    {"trusted_key_servers", YAML_SEQUENCE_NODE, take_notaries,
     "a list of SERVER or SERVER=ed25519:ID:BASE64, or Synapse's {server_name: SERVER, "
     "verify_keys: {\"ed25519:ID\": BASE64}}"},
};

static const struct form *find_form(const struct config_key *key, const yaml_node_t *node)
{
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        if (strcmp(forms[i].key, key->name) == 0 && forms[i].type == node->type)
            return &forms[i];
    return NULL;
}

bool config_has_form(const struct config_key *key, const yaml_node_t *node)
{
    return find_form(key, node) != NULL;
}

const char *config_take_form(struct arena *a, yaml_document_t *document,
                             const struct config_key *key, const yaml_node_t *node,
                             struct config_value *ret)
{
    const struct form *form = find_form(key, node);
    struct taker t = {.arena = a, .document = document};
    t.items = arena_alloc_array(a, FORM_ITEMS_MAX, sizeof *t.items);
    if (!form->take(&t, node))
        return form->expected;
    ret->items = t.items;
    ret->n = t.n;
    ret->is_list = node->type == YAML_SEQUENCE_NODE;
    return NULL;
}
