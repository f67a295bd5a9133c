/* `concorde federation ...`: what the operator can ask about other servers. */
#include "base/clock.h"
#include "server/cli/cli.h"
#include "server/cli/span.h"
#include "storage/db/log.h"
#include "storage/servers/destinations.h"
#include "storage/servers/outbound.h"
#include "storage/servers/refused_items.h"

#include <stdio.h>

enum { BEHIND_MAX = 10000, SERVER_WIDTH = 30 };

/* ---- status ---- */

static const char *state_of(const struct destination_row *d, int64_t behind)
{
    return d->failing_since_ts ? "backing off" : behind ? "behind" : "up to date";
}

static const struct err *count_behind(struct job *job, const struct destination_row *d,
                                      int64_t head, int64_t *ret)
{
    *ret = 0;
    if (!d->has_pending)
        return NULL;
    return outbound_count(job_tx(job),
                          &(struct outbound_range){.server = d->server,
                                                   .own = job->config->server_name,
                                                   .from = d->sent_position,
                                                   .to = head,
                                                   .limit = BEHIND_MAX},
                          ret);
}

static void print_row(const struct destination_row *d, int64_t behind)
{
    char failing[SPAN_MAX] = "-", next[SPAN_MAX] = "-", events[SPAN_MAX], last[SPAN_MAX] = "never";
    int64_t now = now_ms();
    if (d->failing_since_ts)
        span_print(failing, now - d->failing_since_ts);
    if (d->failing_since_ts && d->retry_at_ts > now)
        span_print(next, d->retry_at_ts - now);
    else if (d->failing_since_ts)
        snprintf(next, sizeof next, "now");
    if (d->last_success_ts)
        span_print(last, now - d->last_success_ts);
    snprintf(events, sizeof events, "%lld%s", (long long)behind, behind == BEHIND_MAX ? "+" : "");
    printf("%-*s %-12s %-8s %-10lld %-14s %-14s %-14s %s\n", SERVER_WIDTH, d->server,
           state_of(d, behind), events, (long long)d->refused_n, last, failing, next,
           d->last_error ? d->last_error : "");
}

static const struct err *print_refused_items(struct job *job, const char *server)
{
    const struct refused_item *list;
    size_t n;
    char since[SPAN_MAX];
    TRY(refused_items_list(job_tx(job), server, REFUSED_ITEMS_MAX, &list, &n));
    if (n)
        printf("\n%-14s %-30s %-48s %s\n", "REFUSED AGO", "TYPE", "EVENT", "ANSWER");
    for (size_t i = 0; i < n; i++)
        printf("%-14s %-30s %-48s %s\n", span_print(since, now_ms() - list[i].since_ts),
               list[i].type, *list[i].event_id ? list[i].event_id : "-", list[i].answer);
    return NULL;
}

static const struct err *status(struct cli *cli, struct job *job)
{
    const struct destination_row *list;
    size_t n;
    int64_t head;
    const char *server = cli->words_n > 2 ? cli->words[2] : NULL;
    TRY(log_position(job_tx(job), &head));
    TRY(destinations_list(job_tx(job), server, &list, &n));
    if (server && !n)
        return err(ERR_NOT_FOUND, "Nothing was ever sent to %s", server);
    printf("%-*s %-12s %-8s %-10s %-14s %-14s %-14s %s\n", SERVER_WIDTH, "SERVER", "STATE",
           "EVENTS", "REFUSED", "LAST SENT", "FAILING FOR", "NEXT TRY IN", "LAST ERROR");
    for (size_t i = 0; i < n; i++) {
        int64_t behind;
        TRY(count_behind(job, &list[i], head, &behind));
        print_row(&list[i], behind);
    }
    return server ? print_refused_items(job, server) : NULL;
}

/* ---- retry, reset ---- */

static const struct err *check_known(struct job *job, const char *server)
{
    const struct destination_row *list;
    size_t n;
    TRY(destinations_list(job_tx(job), server, &list, &n));
    return n ? NULL : err(ERR_NOT_FOUND, "Nothing was ever sent to %s", server);
}

static const struct err *federation_commands_ask(struct cli *cli, struct job *job,
                                                 enum destination_asked what)
{
    const char *server = cli->words[2];
    TRY(check_known(job, server));
    struct write *w = write_begin(job);
    destinations_write_asked(w, server, what);
    TRY(write_commit(job, w, NULL));
    printf("%s will be tried now\n", server);
    return NULL;
}

static const struct err *retry(struct cli *cli, struct job *job)
{
    return federation_commands_ask(cli, job, ASKED_RETRY);
}

static const struct err *reset(struct cli *cli, struct job *job)
{
    return federation_commands_ask(cli, job, ASKED_RESET);
}

/* ---- what was refused ---- */

static const struct err *federation_commands_resend(struct cli *cli, struct job *job)
{
    int64_t n;
    TRY(check_known(job, cli->words[2]));
    TRY(refused_items_ask(job_tx(job), cli->words[2], 0, &n));
    printf("%lld refused\n", (long long)n);
    return n ? federation_commands_ask(cli, job, ASKED_RESEND) : NULL;
}

static const struct err *discard(struct cli *cli, struct job *job)
{
    int64_t n;
    TRY(check_known(job, cli->words[2]));
    TRY(refused_items_discard(job_tx(job), cli->words[2], &n));
    printf("%lld discarded\n", (long long)n);
    return NULL;
}

int federation_status_command(struct cli *cli)
{
    return cli_run_on_node(cli, status);
}

int federation_retry_command(struct cli *cli)
{
    return cli_run_on_node(cli, retry);
}

int federation_reset_command(struct cli *cli)
{
    return cli_run_on_node(cli, reset);
}

int federation_resend_command(struct cli *cli)
{
    return cli_run_on_node(cli, federation_commands_resend);
}

int federation_discard_command(struct cli *cli)
{
    return cli_run_on_node(cli, discard);
}
