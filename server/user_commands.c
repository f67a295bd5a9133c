/* `concorde user ...`: accounts from the command line, on the data of a server that runs or not. */
#include "server/accounts.h"
#include "server/cli.h"
#include "server/credentials.h"
#include "server/node.h"
#include "server/prompt.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

/* The argument may be a localpart or the whole id of a user of this server; NULL: of another. */
static const char *localpart_of(const struct cli *cli, const struct config *config)
{
    const char *name = cli->words[2], *colon = strchr(name, ':');
    if (*name != '@')
        return name;
    if (!colon || strcmp(colon + 1, config->server_name) != 0)
        return NULL;
    return arena_memdup(cli->arena, name + 1, (size_t)(colon - name - 1));
}

/* A password that may become somebody's. */
static const struct err *ask_password(struct job *job, const char **ret)
{
    const char *password;
    TRY(prompt_password(job->arena, &password));
    if (!utf8_valid(str_of(password)))
        return err(ERR_INVALID_PARAM, "A password must be UTF-8");
    TRY(credentials_check_new(job, password));
    *ret = password;
    return NULL;
}

static const struct err *find_account(struct job *job, const char *localpart, struct account *ret)
{
    bool found;
    const char *id = arena_printf(job->arena, "@%s:%s", localpart, job->store->config->server_name);
    TRY(users_find(job_tx(job), id, &found, ret));
    return found ? NULL : err(ERR_NOT_FOUND, "There is no account %s", id);
}

static const struct err *add(struct cli *cli, struct job *job, const char *localpart)
{
    const char *password, *hash, *user_id;
    int64_t user;
    TRY(users_check_available(job, localpart, &user_id));
    TRY(ask_password(job, &password));
    TRY(credentials_hash(job, password, &hash));
    const struct new_account account = {
        .localpart = localpart, .password_hash = hash, .flags = cli->admin ? USER_ADMIN : 0};
    TRY(users_create(job, &account, &user, &user_id));
    printf("%s is there%s\n", user_id, cli->admin ? ", an administrator" : "");
    return NULL;
}

static const struct err *set_password(struct cli *cli, struct job *job, const char *localpart)
{
    struct account account;
    const char *password;
    TRY(find_account(job, localpart, &account));
    if (account.deactivated)
        return err(ERR_USER_DEACTIVATED, "%s is deactivated", account.user_id);
    TRY(ask_password(job, &password));
    TRY(accounts_set_password(job, account.user, account.user_id, password, true, 0));
    printf("%s has a new password and is logged out everywhere\n", account.user_id);
    return NULL;
}

static const struct err *deactivate(struct cli *cli, struct job *job, const char *localpart)
{
    struct account account;
    TRY(find_account(job, localpart, &account));
    TRY(accounts_deactivate(job, account.user, account.user_id, false));
    printf("%s is deactivated\n", account.user_id);
    return NULL;
}

typedef const struct err *user_command(struct cli *cli, struct job *job, const char *localpart);

static const struct err *run_on_node(struct cli *cli, const struct config *config,
                                     user_command *command)
{
    const char *localpart = localpart_of(cli, config);
    struct node node;
    struct job job;
    if (!localpart)
        return err(ERR_INVALID_PARAM, "%s is no user of %s", cli->words[2], config->server_name);
    TRY(node_start(&node, config, NODE_COMMAND));
    job_init(&job, &node.store, cli->arena);
    const struct err *e = command(cli, &job, localpart);
    if (node.server_pid)
        kill(node.server_pid, SIGUSR1); /* it looks at what was written */
    job_finish(&job);
    node_stop(&node);
    return e;
}

/* Stopping the embedded PostgreSQL must not be cut short. */
static void hold_signals(void)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);
}

static int run(struct cli *cli, user_command *command)
{
    const struct config *config = cli_config(cli);
    if (!config)
        return EXIT_FAILURE;
    hold_signals();
    const struct err *e = run_on_node(cli, config, command);
    return e ? cli_fail(e) : EXIT_SUCCESS;
}

int user_add_command(struct cli *cli)
{
    return run(cli, add);
}

int user_password_command(struct cli *cli)
{
    return run(cli, set_password);
}

int user_deactivate_command(struct cli *cli)
{
    return run(cli, deactivate);
}
