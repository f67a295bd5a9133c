#include "base/config/config_schema.h"

#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const struct {
    const char *text;
    bool value;
} bool_words[] = {{"true", true},   {"yes", true}, {"on", true},
                  {"false", false}, {"no", false}, {"off", false}};

struct unit {
    const char *name;
    int64_t factor;
};
static const struct unit size_units[] = {
    {"K", 1LL << 10}, {"M", 1LL << 20}, {"G", 1LL << 30}, {"T", 1LL << 40}, {NULL, 0}};
static const struct unit duration_units[] = {{"ms", 1},
                                             {"s", 1000},
                                             {"m", 60000},
                                             {"h", 3600000},
                                             {"d", 86400000},
                                             {"w", 7 * 86400000LL},
                                             {"y", 365 * 86400000LL},
                                             {NULL, 0}};

static bool parse_bool(const char *text, bool *ret)
{
    for (size_t i = 0; i < sizeof bool_words / sizeof *bool_words; i++)
        if (strcasecmp(text, bool_words[i].text) == 0) {
            *ret = bool_words[i].value;
            return true;
        }
    return false;
}

/* A decimal integer with an optional unit after it. */
static bool parse_units(const char *text, const struct unit *units, int64_t *ret)
{
    size_t digits = strspn(text, "0123456789");
    int64_t n, factor = 1;
    if (!str_to_int64((struct str){text, digits}, &n))
        return false;
    const char *unit = text + digits;
    if (*unit) {
        while (units->name && strcmp(units->name, unit) != 0)
            units++;
        if (!units->name)
            return false;
        factor = units->factor;
    }
    return !__builtin_mul_overflow(n, factor, ret);
}

static bool parse_number(const char *text, double *ret)
{
    char *end;
    errno = 0;
    double v = strtod(text, &end);
    if (end == text || *end || errno || !isfinite(v))
        return false;
    *ret = v;
    return true;
}

const char *config_check_filled(const char *text)
{
    return *text ? NULL : "a text that is not empty";
}

const char *config_check_url(const char *text)
{
    const char *rest = strncmp(text, "https://", 8) == 0  ? text + 8
                       : strncmp(text, "http://", 7) == 0 ? text + 7
                                                          : "";
    bool well = *rest && *rest != '/' && !strpbrk(rest, " \t\r\n\"<>?#\\");
    return well ? NULL : "an http:// or https:// URL without query";
}

const char *config_check_push_rewrite(const char *text)
{
    const char *url = strchr(text, '=');
    return url && url > text && !config_check_url(url + 1)
               ? NULL
               : "APP_ID=URL, an http:// or https:// URL";
}

/* The stemmers of PostgreSQL 13 and later. */
const char *config_check_language(const char *text)
{
    static const char *const known[] = {
        "arabic",  "danish",     "dutch",     "english",    "finnish",    "french",
        "german",  "greek",      "hungarian", "irish",      "indonesian", "italian",
        "nepali",  "lithuanian", "norwegian", "portuguese", "russian",    "romanian",
        "spanish", "swedish",    "tamil",     "turkish"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(text, known[i]) == 0)
            return NULL;
    return "a language of PostgreSQL's stemmers in lower case, such as french";
}

/* A URI, or libpq's `host=… dbname=…`. */
const char *config_check_database(const char *text)
{
    bool is_uri = strncmp(text, "postgresql://", 13) == 0 || strncmp(text, "postgres://", 11) == 0;
    size_t word = strspn(text, "abcdefghijklmnopqrstuvwxyz_");
    bool is_settings = word && text[word + strspn(text + word, " ")] == '=';
    return is_uri || is_settings ? NULL
                                 : "postgresql://USER@HOST/NAME: Concorde keeps everything in "
                                   "PostgreSQL, and runs its own without this setting";
}

const char *config_check_cidr(const char *text)
{
    static const char expected[] = "an IP address or a range such as 10.0.0.0/8 or fc00::/7";
    char host[INET6_ADDRSTRLEN];
    unsigned char bytes[16];
    const char *slash = strchr(text, '/');
    size_t n = slash ? (size_t)(slash - text) : strlen(text);
    if (n >= sizeof host)
        return expected;
    memcpy(host, text, n);
    host[n] = '\0';
    int bits_max = inet_pton(AF_INET, host, bytes) == 1    ? 32
                   : inet_pton(AF_INET6, host, bytes) == 1 ? 128
                                                           : -1;
    int64_t bits = 0;
    if (bits_max < 0 ||
        (slash && (!str_to_int64(str_of(slash + 1), &bits) || bits < 0 || bits > bits_max)))
        return expected;
    return NULL;
}

const char *config_check_dns_server(const char *text)
{
    static const char expected[] = "an IP address, with :PORT if need be";
    char host[INET6_ADDRSTRLEN];
    unsigned char bytes[16];
    bool bracket = *text == '[';
    const char *end = bracket ? strchr(text, ']') : strchr(text, '.') ? strchr(text, ':') : NULL;
    const char *port = end ? end + bracket : "";
    size_t n = end ? (size_t)(end - text) - bracket : strlen(text);
    int64_t number;
    if ((bracket && !end) || n >= sizeof host)
        return expected;
    memcpy(host, text + bracket, n);
    host[n] = '\0';
    if (inet_pton(AF_INET6, host, bytes) != 1 && (bracket || inet_pton(AF_INET, host, bytes) != 1))
        return expected;
    bool well = !*port || (*port == ':' && str_to_int64(str_of(port + 1), &number) && number > 0 &&
                           number < 65536);
    return well ? NULL : expected;
}

static bool address_is_valid(const char *text)
{
    if (strncmp(text, "unix:", 5) == 0)
        return text[5] == '/';
    const char *colon = strrchr(text, ':');
    int64_t port;
    if (!colon || !str_to_int64(str_of(colon + 1), &port) || port < 0 || port > 65535)
        return false;
    size_t n = (size_t)(colon - text);
    if (n == 0) /* ":8008": every address */
        return true;
    if (*text == '[')
        return n > 2 && text[n - 1] == ']';
    return strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-") == n;
}

static const char *set_listen(struct config_reader *r, const struct config_value *v)
{
    if (v->n == 0)
        return "at least one address";
    for (size_t i = 0; i < v->n; i++) {
        const struct config_listener *l = &v->items[i];
        if (!l->address || !address_is_valid(l->address))
            return "HOST:PORT, [IPV6]:PORT, :PORT or unix:/PATH";
        if (!l->tls_certificate != !l->tls_key)
            return "tls_certificate and tls_key together";
    }
    r->config->listen = v->items;
    r->config->listen_n = v->n;
    return NULL;
}

static const char *set_list(struct config_reader *r, const struct config_value *v,
                            struct config_list *into)
{
    const char **items = arena_alloc_array(r->arena, v->n + 1, sizeof *items);
    for (size_t i = 0; i < v->n; i++) {
        const char *expected = v->key->check ? v->key->check(v->items[i].address) : NULL;
        if (expected)
            return arena_printf(r->arena, "a list in which each item is %s", expected);
        items[i] = v->items[i].address;
    }
    *into = (struct config_list){items, v->n};
    return NULL;
}

static const char *set_choice(struct config_reader *r, const struct config_key *key,
                              const char *text, int *into)
{
    buf_auto struct buf expected = {0};
    BUF_LIT(&expected, "one of");
    for (int i = 0; key->choices[i]; i++) {
        if (strcmp(text, key->choices[i]) == 0) {
            *into = i;
            return NULL;
        }
        buf_printf(&expected, "%s %s", i ? "," : "", key->choices[i]);
    }
    return arena_strdup(r->arena, expected.p);
}

static const char *unit_help(enum config_type type)
{
    return type == CONFIG_SIZE       ? "a size such as 50M"
           : type == CONFIG_DURATION ? "a duration such as 30s, 5m, 1h or 7d"
           : type == CONFIG_NUMBER   ? "a number"
                                     : "a whole number";
}

static const char *out_of_range(struct config_reader *r, const struct config_key *key)
{
    return key->max ? arena_printf(r->arena, "%s between %lld and %lld", unit_help(key->type),
                                   (long long)key->min, (long long)key->max)
                    : arena_printf(r->arena, "%s, not negative", unit_help(key->type));
}

static bool in_range(const struct config_key *key, double v)
{
    return v >= (double)key->min && (!key->max || v <= (double)key->max);
}

static const char *set_int(struct config_reader *r, const struct config_key *key, const char *text,
                           int64_t *into)
{
    int64_t v;
    bool well = key->type == CONFIG_SIZE       ? parse_units(text, size_units, &v)
                : key->type == CONFIG_DURATION ? parse_units(text, duration_units, &v)
                                               : str_to_int64(str_of(text), &v);
    if (!well)
        return unit_help(key->type);
    if (!in_range(key, (double)v))
        return out_of_range(r, key);
    *into = v;
    return NULL;
}

static const char *set_number(struct config_reader *r, const struct config_key *key,
                              const char *text, double *into)
{
    double v;
    if (!parse_number(text, &v))
        return unit_help(key->type);
    if (!in_range(key, v))
        return out_of_range(r, key);
    *into = v;
    return NULL;
}

static const char *set_scalar(struct config_reader *r, const struct config_value *v, void *into)
{
    const struct config_key *key = v->key;
    if (v->is_list || v->n != 1)
        return "one value, not a list";
    const char *text = v->items[0].address, *expected;
    switch (key->type) {
    case CONFIG_TEXT:
        expected = key->check ? key->check(text) : NULL;
        if (!expected)
            *(const char **)into = text;
        return expected;
    case CONFIG_BOOL:
        return parse_bool(text, into) ? NULL : "true or false";
    case CONFIG_NUMBER:
        return set_number(r, key, text, into);
    case CONFIG_CHOICE:
        return set_choice(r, key, text, into);
    default:
        return set_int(r, key, text, into);
    }
}

void config_set(struct config_reader *r, const struct config_value *v)
{
    void *into = (char *)r->config + v->key->offset;
    const char *expected = v->key->type == CONFIG_LISTEN ? set_listen(r, v)
                           : v->key->type == CONFIG_LIST ? set_list(r, v, into)
                                                         : set_scalar(r, v, into);
    if (!expected) {
        r->origins[v->key - config_keys] = v->origin;
        return;
    }
    if (v->is_list || v->n != 1 || v->key->secret || !v->items[0].address)
        config_problem(r, "%s: `%s`: expected %s", v->origin, v->key->name, expected);
    else
        config_problem(r, "%s: `%s`: expected %s, got `%s`", v->origin, v->key->name, expected,
                       v->items[0].address);
}

void config_set_text(struct config_reader *r, const struct config_key *key, const char *origin,
                     const char *text)
{
    struct config_value v = {.key = key, .origin = origin};
    bool is_list = key->type == CONFIG_LIST || key->type == CONFIG_LISTEN;
    struct config_listener *items = arena_alloc_array(r->arena, strlen(text) + 1, sizeof *items);
    for (const char *at = text; is_list && *at;) {
        size_t n = strcspn(at, ",");
        struct str item = {at, n};
        while (item.n && *item.p == ' ')
            item.p++, item.n--;
        while (item.n && item.p[item.n - 1] == ' ')
            item.n--;
        items[v.n++].address = str_dup(r->arena, item);
        at += n + (at[n] == ',');
    }
    if (!is_list)
        items[v.n++].address = arena_strdup(r->arena, text);
    v.items = items;
    config_set(r, &v);
}
