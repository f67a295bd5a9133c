/* Runs commands on a server's data, whether it is running or not. */
#include "server/cli/cli.h"
#include "server/node.h"

#include <signal.h>
#include <stdlib.h>

static const struct err *run_on_node(struct cli *cli, const struct config *config,
                                     cli_node_command *command)
{
    struct running_node running;
    struct job job;
    TRY(node_start(&running, config, NODE_COMMAND));
    job_init(&job, &running.node, cli->arena);
    const struct err *e = command(cli, &job);
    job_finish(&job);
    node_stop(&running);
    return e;
}

/* Stopping the embedded PostgreSQL must not be interrupted. */
static void hold_signals(void)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);
}

int cli_run_on_node(struct cli *cli, cli_node_command *command)
{
    const struct config *config = cli_config(cli);
    if (!config)
        return EXIT_FAILURE;
    hold_signals();
    const struct err *e = run_on_node(cli, config, command);
    return e ? cli_fail(e) : EXIT_SUCCESS;
}
