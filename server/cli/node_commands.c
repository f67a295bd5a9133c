/* `concorde nodes` and `concorde drain`: the servers that use the database. */
#include "base/clock.h"
#include "server/cli/cli.h"
#include "server/cli/span.h"
#include "storage/db/job.h"
#include "storage/nodes/node_list.h"

#include <signal.h>
#include <stdio.h>

static void node_commands_print(const struct node_row *n)
{
    char up[SPAN_MAX], seen[SPAN_MAX];
    printf("%016llx  %-24s %-12s %-9lld %-12s %-12lld %-7lld %-7lld %-8lld %-12s %s\n",
           (unsigned long long)n->id, n->host, n->version, (long long)n->known_migration,
           span_print(up, n->started_ago), (long long)n->position, (long long)n->lag,
           (long long)n->leases, (long long)n->parked, span_print(seen, n->seen_ago),
           n->is_draining ? "draining" : "serving");
}

static const struct err *nodes(struct cli *cli, struct job *job)
{
    const struct node_row *list;
    size_t n;
    TRY(node_list(job_tx(job), &list, &n));
    printf("%-16s  %-24s %-12s %-9s %-12s %-12s %-7s %-7s %-8s %-12s %s\n", "NODE", "HOST",
           "VERSION", "MIGRATION", "RUNNING FOR", "POSITION", "BEHIND", "LEASES", "PARKED",
           "SEEN AGO", "STATE");
    for (size_t i = 0; i < n; i++)
        node_commands_print(&list[i]);
    return NULL;
}

int nodes_command(struct cli *cli)
{
    return cli_run_on_node(cli, nodes);
}

/* ---- drain ---- */

/* The node with this id, or the one that runs in the data directory. */
static const struct err *find_node(const struct node_row *list, size_t n, const char *id,
                                   const char *place, struct node_row *ret)
{
    for (size_t i = 0; i < n; i++) {
        char text[17];
        snprintf(text, sizeof text, "%016llx", (unsigned long long)list[i].id);
        if (strcmp(id ? id : place, id ? text : list[i].place) == 0) {
            *ret = list[i];
            return NULL;
        }
    }
    return id ? err(ERR_NOT_FOUND, "`concorde nodes` lists no node %.40s", id)
              : err(ERR_NOT_FOUND, "No server runs in this data directory; `concorde nodes` lists "
                                   "the nodes that do");
}

/* False: a signal came meanwhile. */
static bool node_commands_pause(void)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    return sigtimedwait(&signals, NULL, &(struct timespec){.tv_nsec = 200 * 1000000L}) < 0;
}

static const struct err *await_end(struct job *job, int64_t id)
{
    enum { SLACK_MS = 30 * 1000 };
    const struct config *c = job->config;
    int64_t until = mono_ms() + c->shutdown_delay_ms + c->shutdown_timeout_ms + SLACK_MS;
    while (mono_ms() < until && node_commands_pause()) {
        arena_auto struct arena *a = arena_create();
        const struct node_row *list;
        size_t n, i = 0;
        struct tx tx;
        tx_init(&tx, job->storage->db, a);
        const struct err *e = node_list(&tx, &list, &n);
        tx_finish(&tx);
        if (e && !c->database)
            return NULL; /* it ended together with its PostgreSQL */
        TRY(e);
        while (i < n && list[i].id != id)
            i++;
        if (i == n)
            return NULL;
    }
    return err(ERR_UNAVAILABLE, "The node has not stopped yet; it goes on with that");
}

static const struct err *node_commands_drain(struct cli *cli, struct job *job)
{
    const char *id = cli->words_n > 1 ? cli->words[1] : NULL;
    const struct node_row *list;
    struct node_row node;
    size_t n;
    TRY(node_list(job_tx(job), &list, &n));
    TRY(find_node(list, n, id, node_place(job->arena, job->config->data_dir), &node));
    TRY(node_drain(job_tx(job), node.id));
    TRY(await_end(job, node.id));
    printf("%016llx on %s has stopped\n", (unsigned long long)node.id, node.host);
    return NULL;
}

int drain_command(struct cli *cli)
{
    return cli_run_on_node(cli, node_commands_drain);
}
