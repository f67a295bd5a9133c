#include "base/config/config.h"

#include "base/config/config_schema.h"

#include <assert.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- messages ---- */

void config_problem(struct config_reader *r, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    buf_add_text(r->problems, arena_vprintf(r->arena, fmt, ap));
    va_end(ap);
    buf_add_char(r->problems, '\n');
}

static void PRINTF_LIKE(2, 3) add_warning(struct config_reader *r, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    const char *text = arena_vprintf(r->arena, fmt, ap);
    va_end(ap);
    buf_add(&r->warnings, text, strlen(text) + 1);
    r->warnings_n++;
}

bool config_is_set(const struct config *c, const char *key)
{
    return c->origins[config_find_key(key) - config_keys] != NULL;
}

static void add_origin(const struct config *c, const char *key, struct buf *out)
{
    const char *origin = c->origins[config_find_key(key) - config_keys];
    buf_printf(out, "%s%s`%s`: ", origin ? origin : "", origin ? ": " : "", key);
}

void config_complain(const struct config *c, const char *key, struct buf *ret_problems,
                     const char *fmt, ...)
{
    arena_auto struct arena *a = arena_create();
    va_list ap;
    va_start(ap, fmt);
    add_origin(c, key, ret_problems);
    buf_add_text(ret_problems, arena_vprintf(a, fmt, ap));
    buf_add_char(ret_problems, '\n');
    va_end(ap);
}

/* ---- names ---- */

const struct config_key *config_find_key(const char *name)
{
    for (const struct config_key *k = config_keys; k->name; k++)
        if (strcmp(k->name, name) == 0)
            return k;
    return NULL;
}

/* If `name` is `group` or a key below it, returns the rest of the name, else NULL. */
static const char *below(const char *name, const char *group)
{
    size_t n = strlen(group);
    return strncmp(name, group, n) == 0 && (name[n] == '.' || !name[n]) ? name + n : NULL;
}

/* Whether it is the beginning of a dotted key. */
static bool is_group(const char *name)
{
    for (const struct config_key *k = config_keys; k->name; k++) {
        const char *rest = below(k->name, name);
        if (rest && *rest)
            return true;
    }
    return false;
}

/* Edit distance of short names. */
static size_t config_distance(const char *a, const char *b)
{
    enum { NAME_MAX_ = 64 };
    size_t n = strlen(a), m = strlen(b), row[NAME_MAX_ + 1];
    if (n > NAME_MAX_ || m > NAME_MAX_)
        return NAME_MAX_;
    for (size_t j = 0; j <= m; j++)
        row[j] = j;
    for (size_t i = 1; i <= n; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= m; j++) {
            size_t best = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            best = best < row[j] + 1 ? best : row[j] + 1;
            row[j] = best < row[j - 1] + 1 ? best : row[j - 1] + 1;
        }
    }
    return row[m];
}

static const char *nearest(const char *name)
{
    const char *best = NULL;
    size_t least = strlen(name) / 3 + 1;
    for (const struct config_key *k = config_keys; k->name; k++) {
        size_t d = config_distance(name, k->name);
        if (d <= least && (!best || d < least)) {
            least = d;
            best = k->name;
        }
    }
    return best;
}

static const struct config_note *find_note(const char *name)
{
    for (const struct config_note *n = config_notes; n->name; n++)
        if (below(name, n->name))
            return n;
    return NULL;
}

static const char *config_without_alias(struct arena *a, const char *name)
{
    for (const struct config_alias *alias = config_aliases; alias->name; alias++) {
        const char *rest = below(name, alias->name);
        if (rest)
            return arena_printf(a, "%s%s", alias->key, rest);
    }
    return name;
}

const struct config_key *config_resolve(struct config_reader *r, const char *origin,
                                        const char *name, const char **ret_name, bool *ret_is_group)
{
    *ret_is_group = false;
    *ret_name = name;
    const struct config_note *note = find_note(name);
    if (note) {
        (note->refused ? config_problem : add_warning)(r, "%s: `%s`: %s", origin, name, note->text);
        return NULL;
    }
    *ret_name = config_without_alias(r->arena, name);
    const struct config_key *key = config_find_key(*ret_name);
    if (key || (*ret_is_group = is_group(*ret_name)))
        return key;
    const char *meant = nearest(*ret_name);
    if (meant)
        config_problem(r, "%s: unknown key `%s` (did you mean `%s`?)", origin, name, meant);
    else
        config_problem(r, "%s: unknown key `%s`", origin, name);
    return NULL;
}

static void keep_warnings(struct config_reader *r)
{
    const char **items = arena_alloc_array(r->arena, r->warnings_n + 1, sizeof *items);
    const char *at = arena_memdup(r->arena, buf_str(&r->warnings).p, r->warnings.n);
    for (size_t i = 0; i < r->warnings_n; i++, at += strlen(at) + 1)
        items[i] = at;
    r->config->warnings = (struct config_list){items, r->warnings_n};
}

/* ---- sources ---- */

static size_t config_count_keys(void)
{
    size_t n = 0;
    while (config_keys[n].name)
        n++;
    return n;
}

static void set_defaults(struct config_reader *r)
{
    for (const struct config_key *k = config_keys; k->name; k++)
        if (k->initial)
            config_set_text(r, k, NULL, k->initial);
        else if (k->type == CONFIG_LIST)
            config_set_text(r, k, NULL, "");
}

/* rc_message.per_second is CONCORDE_RC_MESSAGE_PER_SECOND. */
static const char *environment_name(struct arena *a, const char *key)
{
    char *name = arena_printf(a, "CONCORDE_%s", key);
    for (char *c = name; *c; c++)
        *c = *c == '.' ? '_' : *c >= 'a' && *c <= 'z' ? (char)(*c - 'a' + 'A') : *c;
    return name;
}

/* Variables that are not settings: the program's own, and those that Kubernetes makes for a service
 * called "concorde". */
static bool is_no_setting(struct str name)
{
    return str_is(name, "CONCORDE_CONFIG") || str_starts_with(name, "CONCORDE_SERVICE_") ||
           str_starts_with(name, "CONCORDE_PORT");
}

static void warn_of_unknown_variable(struct config_reader *r, struct str name)
{
    const char *best = NULL;
    size_t least = name.n / 3;
    const char *text = str_dup(r->arena, name);
    for (const struct config_key *k = config_keys; k->name; k++) {
        const char *known = environment_name(r->arena, k->name);
        size_t d = config_distance(text, known);
        if (d == 0)
            return;
        if (d < least) {
            least = d;
            best = known;
        }
    }
    add_warning(r, "the environment variable %s has no meaning%s%s%s", text,
                best ? " (did you mean " : "", best ? best : "", best ? "?)" : "");
}

static void read_environment(struct config_reader *r)
{
    for (const struct config_key *k = config_keys; k->name; k++) {
        const char *name = environment_name(r->arena, k->name), *text = getenv(name);
        if (text)
            config_set_text(r, k, name, text);
    }
    for (char **e = environ; *e; e++) {
        struct str name = {*e, strcspn(*e, "=")};
        if (str_starts_with(name, "CONCORDE_") && !is_no_setting(name))
            warn_of_unknown_variable(r, name);
    }
}

void config_add_environment(struct arena *a, struct buf *out)
{
    for (const struct config_key *k = config_keys; k->name; k++) {
        const char *name = environment_name(a, k->name), *text = getenv(name);
        if (!text || k->secret)
            continue;
        buf_printf(out, "%s=", name);
        buf_add_shell_word(out, text);
        buf_add_char(out, ' ');
    }
}

bool config_is_secret(const char *key)
{
    buf_auto struct buf name = {0};
    for (const struct config_alias *alias = config_aliases; alias->name; alias++) {
        const char *rest = below(key, alias->name);
        if (rest && !name.n)
            buf_printf(&name, "%s%s", alias->key, rest);
    }
    const struct config_key *k = config_find_key(name.n ? name.p : key);
    return k && k->secret;
}

static bool is_list(const struct config_key *key)
{
    return key->type == CONFIG_LIST || key->type == CONFIG_LISTEN;
}

/* Later --set options replace earlier ones; those of a list are added. */
static void read_overrides(struct config_reader *r, const struct config_override *overrides,
                           size_t n)
{
    const struct config_key **keys = arena_alloc_array(r->arena, n + 1, sizeof *keys);
    for (size_t i = 0; i < n; i++) {
        const char *name;
        bool is_group;
        keys[i] = config_resolve(r, "--set", overrides[i].key, &name, &is_group);
        if (is_group)
            config_problem(r, "--set: `%s` is a group of keys: name one, with a dot", name);
        if (!keys[i])
            continue;
        const char *text = overrides[i].value;
        for (size_t before = i; is_list(keys[i]) && before-- > 0;)
            if (keys[before] == keys[i])
                text = arena_printf(r->arena, "%s,%s", overrides[before].value, text);
        config_set_text(r, keys[i], "--set", text);
    }
}

/* ---- settings that depend on others ---- */

static void check_together(struct config_reader *r)
{
    const struct config *c = r->config;
    if (c->enable_registration && !c->enable_registration_without_verification &&
        !c->registration_requires_token)
        config_complain(c, "enable_registration", r->problems,
                        "needs `registration_requires_token: true`, or "
                        "`enable_registration_without_verification: true` to let anybody in");
    if (!c->turn_username != !c->turn_password)
        config_complain(
            c, c->turn_username ? "turn_username" : "turn_password", r->problems,
            "needs its other half: `turn_username` and `turn_password` belong together");
    if (c->turn_uris.n && !c->turn_shared_secret && !c->turn_username)
        config_complain(c, "turn_uris", r->problems,
                        "needs `turn_shared_secret`, or `turn_username` and `turn_password`");
}

static void fill_in(struct config_reader *r)
{
    struct config *c = r->config;
    if (!c->media_store_path)
        c->media_store_path = arena_printf(r->arena, "%s/media", c->data_dir);
    if (!c->signing_key_path)
        c->signing_key_path = arena_printf(r->arena, "%s/signing.key", c->data_dir);
    if (c->public_baseurl) {
        size_t n = strlen(c->public_baseurl);
        while (c->public_baseurl[n - 1] == '/')
            n--;
        c->public_baseurl = arena_memdup(r->arena, c->public_baseurl, n);
    }
    const struct config_list *whitelist = &c->federation_domain_whitelist;
    for (size_t i = 0; i < whitelist->n; i++)
        if (strcmp(whitelist->items[i], "*") == 0) {
            c->federation_domain_whitelist = (struct config_list){NULL, 0};
            break;
        }
    keep_warnings(r);
}

void config_read(struct arena *a, const char *file, const char *data_dir,
                 const struct config_override *overrides, size_t overrides_n,
                 struct buf *ret_problems, const struct config **ret)
{
    struct config *config = arena_alloc(a, sizeof *config);
    struct config_reader r = {.arena = a, .config = config, .problems = ret_problems};
    size_t before = ret_problems->n;
    config->file = file;
    config->origins = r.origins = arena_alloc_array(a, config_count_keys(), sizeof *r.origins);
    set_defaults(&r);
    assert(ret_problems->n == before); /* the table's own defaults are well-formed */
    if (file)
        config_read_file(&r, file);
    read_environment(&r);
    if (data_dir)
        config_set_text(&r, config_find_key("data_dir"), "--data", data_dir);
    read_overrides(&r, overrides, overrides_n);
    check_together(&r);
    if (ret_problems->n == before) {
        fill_in(&r);
        *ret = config;
    }
    buf_finish(&r.warnings);
}
