#include "base/config/config_schema.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

/* A file for one test. */
static char file_name[] = "/tmp/concorde-test-config-XXXXXX";

static void write_file(const char *text)
{
    strcpy(file_name + sizeof file_name - 7, "XXXXXX");
    int fd = mkstemp(file_name);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

/* Reads text as a file; the error message without the file's name. */
static const struct config *read_text(struct arena *a, const char *text, const char **ret_problems)
{
    const struct config *c = NULL;
    buf_auto struct buf problems = {0};
    write_file(text);
    config_read(a, file_name, NULL, NULL, 0, &problems, &c);
    unlink(file_name);
    assert_true((c != NULL) == (problems.n == 0));
    char *out = arena_strdup(a, buf_str(&problems).p), *at;
    while ((at = strstr(out, file_name)))
        memmove(at, at + strlen(file_name), strlen(at + strlen(file_name)) + 1);
    *ret_problems = out;
    return c;
}

/* The first problem as an error; NULL when there is none. */
static const struct err *load(struct arena *a, const char *file, const char *data_dir,
                              const struct config_override *overrides, size_t n,
                              const struct config **ret)
{
    buf_auto struct buf problems = {0};
    config_read(a, file, data_dir, overrides, n, &problems, ret);
    if (!problems.n)
        return NULL;
    return err(ERR_INVALID_PARAM, "%.*s", (int)strcspn(problems.p, "\n"), problems.p);
}

static void test_defaults(void **state)
{
    arena_auto struct arena *a = arena_create();
    const struct config *c;
    assert_null(load(a, NULL, NULL, NULL, 0, &c));
    assert_string_equal(c->server_name, "localhost");
    assert_int_equal(c->listen_n, 1);
    assert_string_equal(c->listen[0].address, "127.0.0.1:8008");
    assert_false(c->enable_registration);
    assert_true(c->rate_limits);
    assert_non_null(c->federation_domain_whitelist.items); /* closed */
    assert_int_equal(c->federation_domain_whitelist.n, 0);
    assert_int_equal(c->max_upload_size, 50 << 20);
    assert_int_equal(c->access_token_lifetime_ms, 300000);
    assert_string_equal(c->media_store_path, "data/media");
    assert_string_equal(c->signing_key_path, "data/signing.key");
    assert_int_equal(c->log_level, LOG_INFO);
    assert_true(c->ip_range_denylist.n > 10);
    assert_int_equal(c->warnings.n, 0);
}

#define DATABASE_FORM                                                                              \
    "expected postgresql://USER@HOST/NAME, or Synapse's `name: psycopg2` with `args` (user, "      \
    "password, database, host, port); without `database` Concorde runs its own PostgreSQL\n"

static const struct {
    const char *text, *problem;
} refused[] = {
    {"server_nam: x\n", ":1: unknown key `server_nam` (did you mean `server_name`?)\n"},
    {"\n\nzebra: 1\n", ":3: unknown key `zebra`\n"},
    {"server_name: [a]\n", ":1: `server_name`: expected one value, not a list\n"},
    {"server_name: {a: b}\n", ":1: `server_name`: expected one value, not a mapping\n"},
    {"server_name: ''\n", ":1: `server_name`: expected a text that is not empty, got ``\n"},
    {"server_name: \"a\\0b\"\n", ":1: `server_name`: expected one value, not a mapping\n"},
    {"server_name: a\nserver_name: b\n", ":2: `server_name` is set twice (first in line 1)\n"},
    {"enable_metrics: maybe\n", ":1: `enable_metrics`: expected true or false, got `maybe`\n"},
    {"password_hash_cost: 11\n",
     ":1: `password_hash_cost`: expected a whole number between 1 and 10, got `11`\n"},
    {"password_hash_cost: 2.5\n", ":1: `password_hash_cost`: expected a whole number, got `2.5`\n"},
    {"max_upload_size: 5X\n", ":1: `max_upload_size`: expected a size such as 50M, got `5X`\n"},
    {"max_upload_size: 9999999999T\n",
     ":1: `max_upload_size`: expected a size such as 50M, got `9999999999T`\n"},
    {"media_quota_per_user: -1\n",
     ":1: `media_quota_per_user`: expected a size such as 50M, got `-1`\n"},
    {"turn_user_lifetime: soon\n", ":1: `turn_user_lifetime`: expected a duration such as 30s, 5m, "
                                   "1h or 7d, got `soon`\n"},
    {"log_level: loud\n",
     ":1: `log_level`: expected one of debug, info, warn, error, got `loud`\n"},
    {"rc_message:\n  per_second: fast\n",
     ":2: `rc_message.per_second`: expected a number, got `fast`\n"},
    {"rc_message:\n  per_second: -1\n",
     ":2: `rc_message.per_second`: expected a number, not negative, got `-1`\n"},
    {"rc_message: 5\n", ":1: `rc_message`: expected a mapping\n"},
    {"rc_message:\n  per_secnd: 1\n",
     ":2: unknown key `rc_message.per_secnd` (did you mean `rc_message.per_second`?)\n"},
    {"rc_login:\n  per_second: 1\n  address:\n    per_second: 2\n",
     ":4: `rc_login.per_second` is set twice (first in line 2)\n"},
    {"rc_login: &a\n  address: *a\n", ":2: `rc_login`: expected a mapping\n"},
    {"ip_range_denylist: [10.0.0.0/33]\n",
     ":1: `ip_range_denylist`: expected a list in which each item is an IP address or a range such "
     "as 10.0.0.0/8 or fc00::/7\n"},
    {"ip_range_denylist: [[a]]\n", ":1: `ip_range_denylist`: expected a list of texts\n"},
    {"trusted_proxies: nginx\n",
     ":1: `trusted_proxies`: expected a list in which each item is an IP address or a range such "
     "as 10.0.0.0/8 or fc00::/7, got `nginx`\n"},
    {"dns_servers: dns.example.org\n",
     ":1: `dns_servers`: expected a list in which each item is an IP address, with :PORT if need "
     "be, got `dns.example.org`\n"},
    {"dns_servers: ['192.0.2.1:']\n",
     ":1: `dns_servers`: expected a list in which each item is an IP address, with :PORT if need "
     "be\n"},
    {"dns_servers: ['192.0.2.1:65536']\n",
     ":1: `dns_servers`: expected a list in which each item is an IP address, with :PORT if need "
     "be\n"},
    {"dns_servers: ['[192.0.2.1]:53']\n",
     ":1: `dns_servers`: expected a list in which each item is an IP address, with :PORT if need "
     "be\n"},
    {"federation_client_minimum_tls_version: 1.1\n",
     ":1: `federation_client_minimum_tls_version`: expected one of 1.2, 1.3, got `1.1`\n"},
    {"public_baseurl: matrix.example.org\n",
     ":1: `public_baseurl`: expected an http:// or https:// URL without query, got "
     "`matrix.example.org`\n"},
    {"listen: '8008'\n", ":1: `listen`: expected HOST:PORT, [IPV6]:PORT, :PORT or unix:/PATH, got "
                         "`8008`\n"},
    {"listen: []\n", ":1: `listen`: expected at least one address\n"},
    {"listen:\n - address: :8448\n   tls_key: k\n",
     ":1: `listen`: expected tls_certificate and tls_key together\n"},
    {"listen:\n - adress: :8448\n",
     ":1: `listen`: expected an address, a list of them, or items {address, tls_certificate, "
     "tls_key}\n"},
    {"listeners:\n - port: 8008\n", ":1: `listeners`: write `listen: HOST:PORT` instead\n"},
    {"database:\n  name: psycopg2\n", ":1: `database`: " DATABASE_FORM},
    {"database:\n  name: sqlite3\n  args: {database: /x.db}\n", ":1: `database`: " DATABASE_FORM},
    {"database: mysql://u@h/d\n",
     ":1: `database`: expected postgresql://USER@HOST/NAME: Concorde keeps everything in "
     "PostgreSQL, and runs its own without this setting\n"},
    {"old_signing_keys:\n  'ed25519:a': {key: AAAA}\n",
     ":1: `old_signing_keys`: expected a list of ed25519:ID:BASE64:EXPIRED_TS, or Synapse's "
     "\"ed25519:ID\": {key: BASE64, expired_ts: MILLISECONDS}\n"},
    {"trusted_key_servers:\n  - {verify_keys: {'ed25519:a': AAAA}}\n",
     ":1: `trusted_key_servers`: expected a list of SERVER or SERVER=ed25519:ID:BASE64, or "
     "Synapse's {server_name: SERVER, verify_keys: {\"ed25519:ID\": BASE64}}\n"},
    {"\nturn_uris: ['turn:a']\n",
     ":2: `turn_uris`: needs `turn_shared_secret`, or `turn_username` and `turn_password`\n"},
    {"enable_registration: yes\n",
     ":1: `enable_registration`: needs `registration_requires_token: true`, or "
     "`enable_registration_without_verification: true` to let anybody in\n"},
    {"turn_username: u\n", ":1: `turn_username`: needs its other half: `turn_username` and "
                           "`turn_password` belong together\n"},
    {"a: b: c\n", ":1: mapping values are not allowed in this context\n"},
    {"server_name: a\n\tb: c\n", ":2: found a tab character that violates indentation\n"},
    {"- server_name\n", ":1: expected `key: value`\n"},
    {"zebra: 1\nlog_level: loud\n", ":1: unknown key `zebra`\n:2: `log_level`: expected one of "
                                    "debug, info, warn, error, got `loud`\n"},
};

static void test_refused(void **state)
{
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        arena_auto struct arena *a = arena_create();
        const char *problems;
        read_text(a, refused[i].text, &problems);
        assert_string_equal(problems, refused[i].problem);
    }
}

/* For every key, a value of a wrong type is refused with its line. */
static void test_each_key_refuses(void **state)
{
    for (const struct config_key *k = config_keys; k->name; k++) {
        if (strchr(k->name, '.'))
            continue;
        arena_auto struct arena *a = arena_create();
        const char *problems;
        assert_null(read_text(a, arena_printf(a, "# first\n%s: {a: 1}\n", k->name), &problems));
        assert_memory_equal(problems, ":2: `", 5);
        assert_non_null(strstr(problems, k->name));
    }
}

/* Every default reads back from a file, so that the example is a valid file. */
static void test_example_is_valid(void **state)
{
    arena_auto struct arena *a = arena_create();
    buf_auto struct buf example = {0}, active = {0};
    config_add_example(&example);
    for (const char *at = example.p; *at;) { /* uncomment what is `#key:` or below a group */
        size_t n = strcspn(at, "\n") + 1;
        bool is_comment = strncmp(at, "# ", 2) == 0 || strncmp(at, "#  #", 4) == 0;
        if (*at == '#' && !is_comment)
            buf_add(&active, at + 1, n - 1);
        else if (strncmp(at, "#  -", 4) == 0)
            buf_add(&active, at + 1, n - 1);
        at += n;
    }
    const char *problems;
    const struct config *c = read_text(a, active.p, &problems);
    assert_string_equal(problems, "");
    assert_int_equal(c->ip_range_denylist.n, 21);
    assert_string_equal(c->ip_range_denylist.items[20], "fec0::/10");
}

/* As Synapse writes them. */
static void test_other_forms(void **state)
{
    arena_auto struct arena *a = arena_create();
    const char *problems;
    const struct config *c =
        read_text(a,
                  "database:\n"
                  "  name: psycopg2\n"
                  "  txn_limit: 10000\n"
                  "  args: {user: u, password: \"it's \\\\ me\", database: d, host: h, port: 5433, "
                  "cp_max: 10}\n"
                  "old_signing_keys:\n"
                  "  \"ed25519:auto\": {key: AAAA, expired_ts: 1576922508411}\n"
                  "trusted_key_servers:\n"
                  "  - server_name: one.example\n"
                  "    verify_keys: {\"ed25519:auto\": BBBB, \"ed25519:b\": CCCC}\n"
                  "  - server_name: two.example\n"
                  "  - three.example\n",
                  &problems);
    assert_string_equal(problems, "");
    assert_string_equal(c->database, "user='u' password='it\\'s \\\\ me' dbname='d' host='h' "
                                     "port='5433'");
    assert_int_equal(c->old_signing_keys.n, 1);
    assert_string_equal(c->old_signing_keys.items[0], "ed25519:auto:AAAA:1576922508411");
    static const char *const notaries[] = {"one.example=ed25519:auto:BBBB",
                                           "one.example=ed25519:b:CCCC", "two.example",
                                           "three.example"};
    assert_int_equal(c->trusted_key_servers.n, 4);
    for (size_t i = 0; i < 4; i++)
        assert_string_equal(c->trusted_key_servers.items[i], notaries[i]);
}

static void test_unknown_variables(void **state)
{
    arena_auto struct arena *a = arena_create();
    const char *problems;
    setenv("CONCORDE_SERVR_NAME", "x", 1);
    setenv("CONCORDE_PORT_8008_TCP", "tcp://10.0.0.1:8008", 1); /* by Kubernetes */
    const struct config *c = read_text(a, "server_name: a\n", &problems);
    unsetenv("CONCORDE_SERVR_NAME");
    unsetenv("CONCORDE_PORT_8008_TCP");
    assert_int_equal(c->warnings.n, 1);
    assert_string_equal(c->warnings.items[0], "the environment variable CONCORDE_SERVR_NAME has no "
                                              "meaning (did you mean CONCORDE_SERVER_NAME?)");
}

static void test_values(void **state)
{
    arena_auto struct arena *a = arena_create();
    const char *problems;
    const struct config *c = read_text(
        a,
        "server_name: gov.example\n"
        "listen:\n"
        "  - unix:/run/concorde.sock\n"
        "  - {address: '[::]:8448', tls_certificate: c.pem, tls_key: k.pem}\n"
        "public_baseurl: https://matrix.gov.example/\n"
        "max_upload_size: 2G\n"
        "turn_user_lifetime: 2d\n"
        "refreshable_access_token_lifetime: 1500\n"
        "rate_limits: off\n"
        "log_level: debug\n"
        "log_format: json\n"
        "presence: {enabled: no}\n"
        "rc_login: {address: {per_second: 0.5, burst_count: 7}, account: {per_second: 1}}\n"
        "ip_range_blacklist: [10.0.0.1, 'fc00::/7']\n"
        "trusted_ca_file: /etc/ca.pem\n"
        "dns_servers: [192.0.2.1, '192.0.2.1:5353', '2001:db8::1', '[2001:db8::1]:53']\n"
        "federation_client_minimum_tls_version: 1.3\n"
        "federation_domain_whitelist: [a.example, b.example]\n"
        "turn_uris: turn:a\n"
        "turn_shared_secret: hush\n"
        "database: null\n"
        "media_store_path:\n",
        &problems);
    assert_string_equal(problems, "");
    assert_string_equal(c->server_name, "gov.example");
    assert_int_equal(c->listen_n, 2);
    assert_string_equal(c->listen[1].address, "[::]:8448");
    assert_string_equal(c->listen[1].tls_key, "k.pem");
    assert_string_equal(c->public_baseurl, "https://matrix.gov.example");
    assert_int_equal(c->max_upload_size, 2LL << 30);
    assert_int_equal(c->turn_user_lifetime_ms, 2 * 86400000);
    assert_int_equal(c->access_token_lifetime_ms, 1500);
    assert_false(c->rate_limits);
    assert_int_equal(c->log_level, LOG_DEBUG);
    assert_int_equal(c->log_format, LOG_JSON);
    assert_false(c->presence_enabled);
    assert_true(c->rc_login.per_second == 0.5);
    assert_int_equal(c->rc_login.burst, 7);
    assert_int_equal(c->ip_range_denylist.n, 2);
    assert_int_equal(c->federation_custom_ca_list.n, 1);
    assert_int_equal(c->dns_servers.n, 4);
    assert_int_equal(c->federation_client_minimum_tls, 1);
    assert_int_equal(c->federation_domain_whitelist.n, 2);
    assert_string_equal(c->federation_domain_whitelist.items[1], "b.example");
    assert_int_equal(c->turn_uris.n, 1);
    assert_null(c->database);
    assert_string_equal(c->media_store_path, "data/media");
    assert_int_equal(c->warnings.n, 1);
    assert_non_null(strstr(c->warnings.items[0], "`rc_login.account`: has no effect"));
}

static void test_open_federation(void **state)
{
    arena_auto struct arena *a = arena_create();
    const char *problems;
    const struct config *c = read_text(a, "federation_domain_whitelist: '*'\n", &problems);
    assert_null(c->federation_domain_whitelist.items);
}

static void test_precedence(void **state)
{
    arena_auto struct arena *a = arena_create();
    const struct config *c;
    write_file("server_name: file\nlog_level: warn\ndata_dir: /a\nlisten: ':1'\n");
    setenv("CONCORDE_SERVER_NAME", "environment", 1);
    setenv("CONCORDE_RC_MESSAGE_PER_SECOND", "7", 1);
    const struct config_override set[] = {{"rc_message.burst_count", "3"},
                                          {"listen", "127.0.0.1:2, :3"},
                                          {"listen", "unix:/x"},
                                          {"turn_uris", ""}};
    const struct err *e = load(a, file_name, "/b", set, 4, &c);
    unlink(file_name);
    unsetenv("CONCORDE_SERVER_NAME");
    unsetenv("CONCORDE_RC_MESSAGE_PER_SECOND");
    assert_null(e);
    assert_string_equal(c->server_name, "environment");
    assert_int_equal(c->log_level, LOG_WARN);
    assert_string_equal(c->data_dir, "/b");
    assert_string_equal(c->signing_key_path, "/b/signing.key");
    assert_true(c->rc_message.per_second == 7);
    assert_int_equal(c->rc_message.burst, 3);
    assert_int_equal(c->listen_n, 3);
    assert_string_equal(c->listen[1].address, ":3");
    assert_string_equal(c->listen[2].address, "unix:/x");
    assert_int_equal(c->turn_uris.n, 0);
}

static void test_origins_are_named(void **state)
{
    arena_auto struct arena *a = arena_create();
    const struct config *c;
    setenv("CONCORDE_LOG_LEVEL", "x", 1);
    const struct err *e = load(a, NULL, NULL, NULL, 0, &c);
    unsetenv("CONCORDE_LOG_LEVEL");
    assert_memory_equal(e->text, "CONCORDE_LOG_LEVEL: `log_level`", 31);
    e = load(a, NULL, NULL, &(struct config_override){"loops", "many"}, 1, &c);
    assert_string_equal(e->text, "--set: `loops`: expected a whole number, got `many`");
    e = load(a, NULL, NULL, &(struct config_override){"rc_message", "1"}, 1, &c);
    assert_string_equal(e->text, "--set: `rc_message` is a group of keys: name one, with a dot");
    e = load(a, "/nonexistent/x.yaml", NULL, NULL, 0, &c);
    assert_string_equal(e->text, "/nonexistent/x.yaml: No such file or directory");
}

static void test_secrets_are_not_printed(void **state)
{
    arena_auto struct arena *a = arena_create();
    const char *problems;
    read_text(a, "turn_password: [hunter2]\n", &problems);
    assert_null(strstr(problems, "hunter2"));
    assert_non_null(strstr(problems, ":1: `turn_password`"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_each_key_refuses),
        cmocka_unit_test(test_example_is_valid),
        cmocka_unit_test(test_other_forms),
        cmocka_unit_test(test_unknown_variables),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_open_federation),
        cmocka_unit_test(test_precedence),
        cmocka_unit_test(test_origins_are_named),
        cmocka_unit_test(test_secrets_are_not_printed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
