#include "bench/load.h"

#include "base/clock.h"

#include <stdio.h>

enum { SHOWN = 3 };

void load_send(struct engine *e, struct client *c, const char *room, const char *txn,
               client_reply *on_reply)
{
    char path[512], escaped[ID_SIZE * 3 / 2], body[512];
    path_escape(room, escaped, sizeof escaped);
    snprintf(path, sizeof path, "/_matrix/client/v3/rooms/%s/send/m.room.message/%s", escaped, txn);
    snprintf(body, sizeof body,
             "{\"msgtype\":\"m.text\",\"body\":\"Message %s of the benchmark, about as long as "
             "what people write to each other in a working day.\"}",
             txn);
    client_send(e, c, "PUT", path, body, on_reply);
}

static bool load_is_over(const struct load *l)
{
    return l->wanted ? l->sent == l->wanted : mono_us() >= l->until_us;
}

static void load_send_next(struct load *l, struct client *c);

static void load_on_sent(struct client *c, int status, struct str body)
{
    struct load *l = c->ctx;
    latencies_add(&l->latencies, mono_us() - c->sent_us);
    l->answered++;
    if (status != 200 && l->failed++ < SHOWN)
        fprintf(stderr, "send: %d %.*s\n", status, STR_FMT(body));
    load_send_next(l, c);
}

static void load_send_next(struct load *l, struct client *c)
{
    char txn[64];
    if (load_is_over(l))
        return;
    snprintf(txn, sizeof txn, "b%lld-%zu", (long long)l->until_us, l->sent++);
    c->ctx = l;
    load_send(l->engine, c, l->rooms[(size_t)c->index % l->rooms_n], txn, load_on_sent);
}

static bool load_all_answered(void *ctx)
{
    struct load *l = ctx;
    return l->answered == l->sent && load_is_over(l);
}

void load_run(struct load *l)
{
    int64_t from = mono_us();
    l->until_us = from + (int64_t)(l->seconds * 1e6);
    for (size_t i = 0; i < l->clients_n; i++)
        load_send_next(l, engine_client(l->engine, l->first + i));
    engine_run(l->engine, load_all_answered, l, 0);
    l->seconds = (double)(mono_us() - from) / 1e6;
}
