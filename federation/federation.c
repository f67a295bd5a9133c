#include "federation/federation.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/worker/worker.h"
#include "federation/helpers.h"
#include "federation/in/inbound.h"
#include "federation/in/late_receipts.h"
#include "federation/in/pdu.h"
#include "federation/keyed_lock.h"
#include "federation/keys/keyring.h"
#include "federation/out/sender.h"
#include "federation/peer/answers.h"
#include "federation/peer/discovery.h"
#include "federation/peer/pauses.h"
#include "federation/room_tasks.h"
#include "federation/rooms/guests.h"
#include "federation/rooms/join.h"
#include "federation/rooms/leave.h"
#include "federation/rooms/resync.h"
#include "federation/tasks.h"
#include "federation/users/device_watch.h"
#include "http/client/client.h"
#include "storage/job_pool.h"

enum { KEY_ASKERS = 16, TASK_THREADS = 4, RECEIPTS_MS = 1000 };

static const struct err *create_http(const struct node *node, struct http_client **ret)
{
    const struct config *c = node->config;
    const struct http_client_config settings = {
        .ca_files = c->federation_custom_ca_list.items,
        .ca_files_n = c->federation_custom_ca_list.n,
        .verify = c->federation_verify_certificates,
        .only_tls13 = c->federation_client_minimum_tls > 0,
        .proxy = c->outbound_proxy,
        .denied = c->ip_range_denylist.items,
        .denied_n = c->ip_range_denylist.n,
        .allowed = c->ip_range_allowlist.items,
        .allowed_n = c->ip_range_allowlist.n,
        .dns_servers = c->dns_servers.items,
        .dns_servers_n = c->dns_servers.n,
        .caches = node->caches,
    };
    return http_client_create(&settings, ret);
}

/* Called when a server that was unreachable is back. */
static void hurry_tasks(void *tasks)
{
    worker_pool_hurry(tasks);
}

static enum worker_outcome retry_receipts(void *of, void *thread, struct worker_item *item)
{
    const struct federation *f = of;
    const struct err *e = late_receipts_retry(f->late_receipts, thread);
    if (e)
        log_err(LOG_WARN, "setting receipts that arrived early", e);
    item->wait_ms = RECEIPTS_MS;
    return WORKER_WAIT;
}

static void start_receipts(struct federation *f)
{
    worker_kind_start(f->receipts);
    worker_add(f->receipts, (struct worker_key){0});
}

static void on_room_slice_taken(void *of, int slice)
{
    struct federation *f = of;
    room_tasks_look(f);
    guest_watch_look(f->guest_watch);
}

static void add_room_lease(struct federation *f)
{
    f->room_lease = leases_add(
        f->node->storage->leases,
        &(struct lease_job_settings){
            .name = "fed_rooms", .slices = LEASE_SLICES, .of = f, .on_taken = on_room_slice_taken});
}

static void create_tasks(struct federation *f)
{
    struct lease_job *lease = f->room_lease;
    const struct task_kind kinds[] = {
        {"completing a room's state", resync_task, .lease = lease},
        {"sending a leave to other servers", leave_task, .lease = lease},
        {"looking for events that wait for their parents", inbound_find_task, .lease = lease},
        {"processing events that arrived during a join", join_rest_task},
    };
    f->task_kinds = mem_alloc(sizeof kinds);
    memcpy(f->task_kinds, kinds, sizeof kinds);
    f->tasks = job_pool_create(f->node, "fed-tasks", TASK_THREADS);
    f->resyncs = task_kind_create(f->tasks, &f->task_kinds[0]);
    f->leaves = task_kind_create(f->tasks, &f->task_kinds[1]);
    f->old_gaps = task_kind_create(f->tasks, &f->task_kinds[2]);
    f->early = task_kind_create(f->tasks, &f->task_kinds[3]);
    sender_on_return(f->sender, hurry_tasks, f->tasks);
}

static void destroy_tasks(struct federation *f)
{
    worker_kind_destroy(f->resyncs);
    worker_kind_destroy(f->leaves);
    worker_kind_destroy(f->old_gaps);
    worker_kind_destroy(f->early);
    worker_pool_destroy(f->tasks);
    free(f->task_kinds);
}

/* In the order of their dependencies. */
static const struct err *create_all(struct federation *f)
{
    struct node *s = f->node;
    TRY(create_http(s, &f->http));
    f->discovery = discovery_create(f->http, s->caches);
    f->pauses = pauses_create();
    f->keyring = keyring_create(s);
    f->answers = answers_create(s->caches);
    f->sender = sender_create(s);
    f->watch = sender_watch(f->sender);
    f->inbound = inbound_create(s);
    f->device_watch = device_watch_create(s);
    f->joins = keyed_lock_create();
    add_room_lease(f);
    create_tasks(f);
    f->late_receipts = late_receipts_create();
    f->receipts = worker_kind_create(
        s->storage->background,
        &(struct worker_settings){.name = "early receipts", .of = f, .run = retry_receipts});
    f->guest_watch = guest_watch_create(s, f->room_lease);
    return NULL;
}

const struct err *federation_create(struct node *node)
{
    struct federation *f = mem_zalloc(sizeof *f);
    f->node = node;
    const struct err *e = create_all(f);
    if (e)
        federation_destroy(f);
    else
        node->federation = f;
    return e;
}

void federation_start(struct federation *f)
{
    f->key_askers = helpers_create(f->node, "keys of remote devices", KEY_ASKERS);
    f->judges = pdu_judges_create(f->node);
    inbound_start(f->inbound);
    device_watch_start(f->device_watch);
    sender_start(f->sender);
    start_receipts(f);
    room_tasks_look(f);
    worker_pool_start(f->tasks);
    guest_watch_start(f->guest_watch);
}

void federation_drain(struct federation *f, int within_ms)
{
    if (!f)
        return;
    atomic_store(&f->is_draining, true);
    sender_halt(f->sender);
    http_client_drain(f->http, within_ms);
    sender_hand_over(f->sender, within_ms);
}

void federation_stop(struct federation *f)
{
    if (!f)
        return;
    sender_halt(f->sender);
    http_client_stop(f->http); /* first, so that no request waits for other servers any longer */
    keyring_stop(f->keyring);
    sender_stop(f->sender);
    device_watch_stop(f->device_watch);
    inbound_stop(f->inbound);
    worker_kind_stop(f->receipts);
    worker_pool_stop(f->tasks);
    guest_watch_stop(f->guest_watch);
}

void federation_destroy(struct federation *f)
{
    if (!f)
        return;
    helpers_destroy(f->key_askers);
    helpers_destroy(f->judges);
    guest_watch_destroy(f->guest_watch);
    worker_kind_destroy(f->receipts);
    destroy_tasks(f);
    keyed_lock_destroy(f->joins);
    late_receipts_destroy(f->late_receipts);
    device_watch_destroy(f->device_watch);
    inbound_destroy(f->inbound);
    sender_destroy(f->sender);
    answers_destroy(f->answers);
    keyring_destroy(f->keyring);
    discovery_destroy(f->discovery);
    pauses_destroy(f->pauses);
    http_client_destroy(f->http);
    f->node->federation = NULL;
    free(f);
}

void federation_add_metrics(struct federation *f, struct buf *out)
{
    http_client_add_metrics(f->http, out);
    discovery_add_metrics(f->discovery, out);
    keyring_add_metrics(f->keyring, out);
    sender_add_metrics(f->sender, out);
    inbound_add_metrics(f->inbound, out);
    device_watch_add_metrics(f->device_watch, out);
}
