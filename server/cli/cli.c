#include "server/cli/cli.h"

#include "base/clock.h"
#include "server/cli/check.h"
#include "server/routes.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { EXIT_USAGE = 2 };

/* ---- commands ---- */

static void print(struct buf *b)
{
    fwrite(buf_str(b).p, 1, b->n, stdout);
}

static int check_config_command(struct cli *cli)
{
    if (cli->example) {
        buf_auto struct buf out = {0};
        config_add_example(&out);
        print(&out);
        return EXIT_SUCCESS;
    }
    if (!cli_config(cli))
        return EXIT_FAILURE;
    puts("OK");
    return EXIT_SUCCESS;
}

static int routes_command(struct cli *cli)
{
    buf_auto struct buf out = {0};
    routes_add_table(&out);
    print(&out);
    return EXIT_SUCCESS;
}

static int version_command(struct cli *cli)
{
    puts("Concorde " CONCORDE_VERSION);
    return EXIT_SUCCESS;
}

static int help_command(struct cli *cli);

static const struct command {
    const char *words[2]; /* the second NULL for commands of one word */
    size_t arguments;
    const char *usage, *help;
    int (*run)(struct cli *cli);
    size_t optional; /* further arguments */
} commands[] = {
    {{"serve"}, 0, "serve", "run the server", serve_command},
    {{"user", "add"}, 1, "user add NAME [--admin]", "make an account", user_add_command},
    {{"user", "password"}, 1, "user password NAME", "set a new password", user_password_command},
    {{"user", "deactivate"},
     1,
     "user deactivate NAME [--erase]",
     "close an account for good; --erase: redact its messages for new readers",
     user_deactivate_command},
    {{"nodes"}, 0, "nodes", "list the servers that use the database", nodes_command},
    {{"drain"},
     0,
     "drain [NODE]",
     "stop a server: the one of this data directory, or that node",
     drain_command,
     1},
    {{"federation", "status"},
     0,
     "federation status [SERVER]",
     "how other servers answer, and how much waits for them",
     federation_status_command,
     1},
    {{"federation", "retry"},
     1,
     "federation retry SERVER",
     "try a failing server again now",
     federation_retry_command},
    {{"federation", "reset"},
     1,
     "federation reset SERVER",
     "the same, and forget that it ever failed",
     federation_reset_command},
    {{"federation", "resend"},
     1,
     "federation resend SERVER",
     "send again the items that the server refused",
     federation_resend_command},
    {{"federation", "discard"},
     1,
     "federation discard SERVER",
     "forget the items that the server refused",
     federation_discard_command},
    {{"check-config"},
     0,
     "check-config [--example]",
     "check the settings, or show all of them",
     check_config_command},
    {{"routes"}, 0, "routes", "list the endpoints", routes_command},
    {{"version"}, 0, "version", "print the version", version_command},
    {{"help"}, 0, "help", "show this", help_command},
};
enum { COMMANDS_N = sizeof commands / sizeof *commands };

static void print_help(FILE *out)
{
    fputs("Concorde, a Matrix homeserver\n\nusage: concorde [OPTIONS] COMMAND\n\n", out);
    for (size_t i = 0; i < COMMANDS_N; i++)
        fprintf(out, "  %-30s %s\n", commands[i].usage, commands[i].help);
    fputs("\noptions:\n"
          "  --config FILE                  settings (default: $CONCORDE_CONFIG, else "
          "concorde.yaml in\n"
          "                                 the data directory if it exists)\n"
          "  --data DIR                     the data directory (default: data)\n"
          "  --set KEY=VALUE                one setting; dots descend: rc_message.per_second=5\n\n"
          "A password is asked for on the terminal, or read from standard input.\n",
          out);
}

static int help_command(struct cli *cli)
{
    print_help(stdout);
    return EXIT_SUCCESS;
}

static bool command_matches(const struct command *c, const struct cli *cli)
{
    for (size_t i = 0; i < 2 && c->words[i]; i++)
        if (i >= cli->words_n || strcmp(c->words[i], cli->words[i]) != 0)
            return false;
    return true;
}

static const struct command *find_command(const struct cli *cli)
{
    for (size_t i = 0; i < COMMANDS_N; i++)
        if (command_matches(&commands[i], cli))
            return &commands[i];
    return NULL;
}

/* ---- options ---- */

static bool add_override(struct cli *cli, const char *text)
{
    const char *equals = strchr(text, '=');
    if (!equals || equals == text)
        return false;
    cli->overrides[cli->overrides_n++] = (struct config_override){
        arena_memdup(cli->arena, text, (size_t)(equals - text)), equals + 1};
    return true;
}

/* Options may be anywhere; --name VALUE and --name=VALUE are the same. False: unknown. */
static bool take_option(struct cli *cli, const char *name, const char *value, bool *ret_used_value)
{
    const struct {
        const char *name;
        bool *flag;
    } flags[] = {{"admin", &cli->admin},
                 {"erase", &cli->erase},
                 {"example", &cli->example},
                 {"help", &cli->help},
                 {"version", &cli->version}};
    *ret_used_value = false;
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        if (strcmp(name, flags[i].name) == 0)
            return *flags[i].flag = true;
    *ret_used_value = true;
    if (!value)
        return false;
    const char **into = strcmp(name, "config") == 0 ? &cli->config_file
                        : strcmp(name, "data") == 0 ? &cli->data_dir
                                                    : NULL;
    if (into) {
        *into = value;
        return true;
    }
    return strcmp(name, "set") == 0 && add_override(cli, value);
}

static bool cli_parse(struct cli *cli, int argc, char **argv)
{
    cli->program = argv[0];
    cli->overrides = arena_alloc_array(cli->arena, (size_t)argc + 1, sizeof *cli->overrides);
    cli->words = arena_alloc_array(cli->arena, (size_t)argc + 1, sizeof *cli->words);
    for (int i = 1; i < argc; i++) {
        if (strncmp(argv[i], "--", 2) != 0) {
            cli->words[cli->words_n++] = argv[i];
            continue;
        }
        const char *equals = strchr(argv[i], '=');
        const char *name =
            equals ? arena_memdup(cli->arena, argv[i] + 2, (size_t)(equals - argv[i] - 2))
                   : argv[i] + 2;
        bool used_value;
        if (!take_option(cli, name, equals ? equals + 1 : argv[i + 1], &used_value) ||
            (equals && !used_value)) {
            fprintf(stderr, "concorde: cannot make sense of %s (see concorde help)\n", argv[i]);
            return false;
        }
        i += used_value && !equals;
    }
    return true;
}

static const char *config_file(struct cli *cli)
{
    if (cli->config_file)
        return cli->config_file;
    if (getenv("CONCORDE_CONFIG"))
        return getenv("CONCORDE_CONFIG");
    const char *dir = cli->data_dir ? cli->data_dir : getenv("CONCORDE_DATA_DIR");
    const char *path = arena_printf(cli->arena, "%s/concorde.yaml", dir ? dir : "data");
    return access(path, F_OK) == 0 ? path : NULL;
}

const struct config *cli_config(struct cli *cli)
{
    const struct config *config = NULL;
    buf_auto struct buf problems = {0};
    config_read(cli->arena, config_file(cli), cli->data_dir, cli->overrides, cli->overrides_n,
                &problems, &config);
    if (config)
        check_config(config, &problems);
    fputs(buf_str(&problems).p, stderr);
    if (problems.n)
        return NULL;
    for (size_t i = 0; i < config->warnings.n; i++)
        fprintf(stderr, "warning: %s\n", config->warnings.items[i]);
    log_setup(config->log_level, config->log_format, config->log_requests);
    return config;
}

static void add_option(struct buf *out, const char *name, const char *value)
{
    buf_printf(out, " --%s ", name);
    buf_add_shell_word(out, value);
}

void cli_add_command(const struct cli *cli, const char *command, struct buf *out)
{
    const char *file = getenv("CONCORDE_CONFIG");
    config_add_environment(cli->arena, out);
    buf_add_shell_word(out, cli->program);
    buf_printf(out, " %s", command);
    if (cli->config_file || file)
        add_option(out, "config", cli->config_file ? cli->config_file : file);
    if (cli->data_dir)
        add_option(out, "data", cli->data_dir);
    for (size_t i = 0; i < cli->overrides_n; i++) {
        const struct config_override *o = &cli->overrides[i];
        if (!config_is_secret(o->key))
            add_option(out, "set", arena_printf(cli->arena, "%s=%s", o->key, o->value));
    }
}

int cli_fail(const struct err *e)
{
    /* For an operator the cause is the message; "internal server error" does not help. */
    bool only_cause = e->code == ERR_INTERNAL && e->cause[0];
    fprintf(stderr, "concorde: %s%s%s\n", only_cause ? "" : e->text,
            e->cause[0] && !only_cause ? ": " : "", e->cause);
    return EXIT_FAILURE;
}

static int cli_run(struct cli *cli)
{
    if (cli->version)
        return version_command(cli);
    if (cli->help)
        return help_command(cli);
    const struct command *c = find_command(cli);
    size_t command_words = c && c->words[1] ? 2 : 1;
    size_t least = command_words + (c ? c->arguments : 0);
    if (!c || cli->words_n < least || cli->words_n > least + c->optional) {
        if (c)
            fprintf(stderr, "usage: concorde %s\n", c->usage);
        else
            print_help(stderr);
        return EXIT_USAGE;
    }
    return c->run(cli);
}

/* TEST_CLOCK: a file by which a test moves the clock. */
static const struct err *cli_follow_clock(void)
{
    const char *path = getenv("TEST_CLOCK");
    return path ? clock_follow_file(path) : NULL;
}

int cli_main(int argc, char **argv)
{
    const struct err *e = cli_follow_clock();
    if (e)
        return cli_fail(e);
    struct cli cli = {.arena = arena_create()};
    int status = cli_parse(&cli, argc, argv) ? cli_run(&cli) : EXIT_USAGE;
    arena_destroy(cli.arena);
    return status;
}
