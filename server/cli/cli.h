/* The command line: the command, and the options of every command. */
#ifndef SERVER_CLI_CLI_H
#define SERVER_CLI_CLI_H

#include "base/config/config.h"

struct cli {
    struct arena *arena;
    const char *program;                /* argv[0] */
    const char *config_file, *data_dir; /* NULL: not given */
    struct config_override *overrides;
    size_t overrides_n;
    const char **words; /* the command and its arguments */
    size_t words_n;
    bool admin, erase, example, help, version;
};

/* Reads and checks the configuration that the command line names, prints errors and warnings to
 * standard error, and sets up the log. NULL: there were errors. */
const struct config *cli_config(struct cli *cli);

/* Appends a shell command line that runs a command with the settings of this one: its options and
 * environment variables. Secrets are left out: a running server publishes where its database is. */
void cli_add_command(const struct cli *cli, const char *command, struct buf *out);

/* Prints an error and returns the exit status for it. */
int cli_fail(const struct err *e);

struct job;
/* Runs a command on the data; a running server is notified of its changes. The exit status. */
typedef const struct err *cli_node_command(struct cli *cli, struct job *job);
int cli_run_on_node(struct cli *cli, cli_node_command *command);

/* Runs a whole command line; the exit status. */
int cli_main(int argc, char **argv);

/* ---- the commands, each in a file of its own ---- */

int serve_command(struct cli *cli);    /* serve.c */
int user_add_command(struct cli *cli); /* user_commands.c */
int user_password_command(struct cli *cli);
int user_deactivate_command(struct cli *cli);
int federation_status_command(struct cli *cli); /* federation_commands.c */
int federation_retry_command(struct cli *cli);
int federation_reset_command(struct cli *cli);
int federation_resend_command(struct cli *cli);
int federation_discard_command(struct cli *cli);
int nodes_command(struct cli *cli); /* node_commands.c */
int drain_command(struct cli *cli);

#endif
