/* `concorde nodes`: the servers that use the database. */
#include "server/cli/cli.h"
#include "server/cli/span.h"
#include "storage/db/job.h"
#include "storage/nodes/node_list.h"

#include <stdio.h>

static void node_commands_print(const struct node_row *n)
{
    char up[SPAN_MAX], seen[SPAN_MAX];
    printf("%016llx  %-24s %-12s %-9lld %-12s %-12lld %-7lld %-7lld %-8lld %s\n",
           (unsigned long long)n->id, n->host, n->version, (long long)n->known_migration,
           span_print(up, n->started_ago), (long long)n->position, (long long)n->lag,
           (long long)n->leases, (long long)n->parked, span_print(seen, n->seen_ago));
}

static const struct err *nodes(struct cli *cli, struct job *job)
{
    const struct node_row *list;
    size_t n;
    TRY(node_list(job_tx(job), &list, &n));
    printf("%-16s  %-24s %-12s %-9s %-12s %-12s %-7s %-7s %-8s %s\n", "NODE", "HOST", "VERSION",
           "MIGRATION", "RUNNING FOR", "POSITION", "BEHIND", "LEASES", "PARKED", "SEEN AGO");
    for (size_t i = 0; i < n; i++)
        node_commands_print(&list[i]);
    return NULL;
}

int nodes_command(struct cli *cli)
{
    return cli_run_on_node(cli, nodes);
}
