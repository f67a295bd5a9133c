/* `concorde user ...`: accounts from the command line, whether the server is running or not. */
#include "server/account/accounts.h"
#include "server/account/credentials.h"
#include "server/cli/cli.h"
#include "server/cli/prompt.h"
#include "storage/db/job.h"

#include <stdio.h>

/* The argument may be a localpart or the whole id of a user of this server. */
static const struct err *localpart_of(const struct cli *cli, const struct job *job,
                                      const char **ret)
{
    const char *own = job->config->server_name;
    const char *name = cli->words[2], *colon = strchr(name, ':');
    if (*name == '@' && (!colon || strcmp(colon + 1, own) != 0))
        return err(ERR_INVALID_PARAM, "%s is not a user of %s", name, own);
    *ret = *name == '@' ? arena_memdup(cli->arena, name + 1, (size_t)(colon - name - 1)) : name;
    return NULL;
}

/* Asks for an allowed password. */
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
    const char *id = arena_printf(job->arena, "@%s:%s", localpart, job->config->server_name);
    TRY(users_find(job_tx(job), id, &found, ret));
    return found ? NULL : err(ERR_NOT_FOUND, "There is no account %s", id);
}

static const struct err *user_commands_add(struct cli *cli, struct job *job)
{
    const char *localpart;
    const char *password, *hash, *user_id;
    int64_t user;
    TRY(localpart_of(cli, job, &localpart));
    TRY(users_check_available(job, localpart, &user_id));
    TRY(ask_password(job, &password));
    TRY(credentials_hash(job, password, &hash));
    const struct new_account account = {
        .localpart = localpart, .password_hash = hash, .flags = cli->admin ? USER_ADMIN : 0};
    TRY(users_create(job, &account, &user, &user_id));
    printf("added %s%s\n", user_id, cli->admin ? ", an administrator" : "");
    return NULL;
}

static const struct err *set_password(struct cli *cli, struct job *job)
{
    const char *localpart;
    struct account account;
    const char *password;
    TRY(localpart_of(cli, job, &localpart));
    TRY(find_account(job, localpart, &account));
    if (account.deactivated)
        return err(ERR_USER_DEACTIVATED, "%s is deactivated", account.user_id);
    TRY(ask_password(job, &password));
    TRY(accounts_set_password(job, account.user, account.user_id, password, true, 0));
    printf("%s has a new password and is logged out everywhere\n", account.user_id);
    return NULL;
}

static const struct err *deactivate(struct cli *cli, struct job *job)
{
    const char *localpart;
    struct account account;
    TRY(localpart_of(cli, job, &localpart));
    TRY(find_account(job, localpart, &account));
    TRY(accounts_deactivate(job, account.user, account.user_id, cli->erase));
    printf("%s is deactivated%s\n", account.user_id,
           cli->erase ? "; who joins a room from now on reads nothing of theirs" : "");
    return NULL;
}

int user_add_command(struct cli *cli)
{
    return cli_run_on_node(cli, user_commands_add);
}

int user_password_command(struct cli *cli)
{
    return cli_run_on_node(cli, set_password);
}

int user_deactivate_command(struct cli *cli)
{
    return cli_run_on_node(cli, deactivate);
}
