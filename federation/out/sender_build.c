#include "federation/out/sender_internal.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "federation/in/pdu.h"
#include "matrix/id.h"
#include "rooms/read/erasure.h"
#include "rooms/room_cache.h"
#include "rooms/servers.h"
#include "storage/db/epochs.h"
#include "storage/rooms/events.h"

#include <stdio.h>

/* The contents of the transaction, as they were when the lock was held. */
struct plan {
    struct sender *s;
    struct destination *d;
    int64_t from, until;
    struct outgoing pdus[TRANSACTION_PDUS];
    size_t pdus_n;
    bool ask[PENDING_KINDS];
    int64_t presence_from, presence_to;
    struct typing_notice *typing; /* its user_ids in the arena */
    size_t typing_n;
    struct edu_list edus; /* all of them */
    size_t durable_n;     /* of them are from the log; they come first */
};

/* ---- taking ---- */

static void sender_build_drop_event(void *event)
{
    event_unref(event);
}

static void take_events_locked(struct job *job, struct plan *p)
{
    const struct destination *d = p->d;
    const struct outgoing *queue = d->queue + d->first;
    size_t n = 0;
    int64_t known = d->is_live ? p->until : d->n ? queue[d->n - 1].position : p->from;
    if (p->until > known)
        p->until = known;
    for (; n < d->n && n < TRANSACTION_PDUS && queue[n].position <= p->until; n++) {
        p->pdus[n] = queue[n];
        if (queue[n].event)
            arena_defer(job->arena, sender_build_drop_event, (void *)event_ref(queue[n].event));
    }
    p->pdus_n = n;
    if (n < d->n && n == TRANSACTION_PDUS && queue[n].position <= p->until)
        p->until = queue[n - 1].position;
}

static void take_typing_locked(struct job *job, struct plan *p)
{
    struct destination *d = p->d;
    typing_expire_locked(d);
    p->typing = arena_alloc_array(job->arena, d->typing_n + 1, sizeof *p->typing);
    for (size_t i = 0; i < d->typing_n; i++) {
        p->typing[i] = d->typing[i];
        p->typing[i].user_id = arena_strdup(job->arena, d->typing[i].user_id);
    }
    p->typing_n = d->typing_n;
}

static void sender_build_take(struct sender *s, struct job *job, struct plan *p)
{
    LOCKED(&s->lock);
    struct destination *d = p->d;
    p->from = d->sent;
    p->until = sender_clear_position_locked(s);
    if (d->attempted > d->sent && d->attempted < p->until)
        p->until = d->attempted;
    if (p->until < p->from || !s->slices[d->slice].has_scanned)
        p->until = p->from;
    take_events_locked(job, p);
    for (int i = 0; i < PENDING_KINDS; i++)
        p->ask[i] = d->pending[i] > d->sent && p->until > p->from;
    if (d->divide_until) /* only what is in the log is divided */
        return;
    p->presence_from = d->presence_from;
    p->presence_to = d->presence_to;
    take_typing_locked(job, p);
}

/* ---- events ---- */

static void keep_until(struct plan *p)
{
    while (p->pdus_n && p->pdus[p->pdus_n - 1].position > p->until)
        p->pdus_n--;
}

static const struct err *sender_build_read_events(struct job *job, struct plan *p)
{
    int64_t positions[TRANSACTION_PDUS];
    const struct stored_event *rows;
    size_t n = 0, rows_n, k = 0;
    for (size_t i = 0; i < p->pdus_n; i++)
        if (!p->pdus[i].event)
            positions[n++] = p->pdus[i].position;
    if (!n)
        return NULL;
    TRY(events_get_many(job_tx(job), positions, n, &rows, &rows_n));
    for (size_t i = 0; i < p->pdus_n; i++) {
        while (k < rows_n && rows[k].position < p->pdus[i].position)
            k++;
        if (!p->pdus[i].event && k < rows_n && rows[k].position == p->pdus[i].position) {
            p->pdus[i].event = rows[k].event;
            p->pdus[i].room = rows[k].room;
        }
    }
    return NULL;
}

/* At least one event is sent, however large it is. */
static void bound_bytes(struct plan *p)
{
    size_t bytes = 0;
    for (size_t i = 0; i < p->pdus_n; i++) {
        bytes += p->pdus[i].event ? p->pdus[i].event->json.n : 0;
        if (i && bytes > TRANSACTION_BYTES) {
            p->until = p->pdus[i - 1].position;
            p->pdus_n = i;
        }
    }
}

/* Servers that the room denies are only sent the ACL. */
static const struct err *drop_denied(struct job *job, struct plan *p)
{
    size_t kept = 0;
    struct room *room = NULL;
    bool is_allowed = true;
    for (size_t i = 0; i < p->pdus_n; i++) {
        struct outgoing *o = &p->pdus[i];
        if (!o->event)
            continue;
        if (!room || room->id != o->room) {
            TRY(room_get_by_id(job, o->room, &room));
            const struct err *e = room ? room_check_acl(job, room, p->d->server) : NULL;
            if (e && e->code != ERR_FORBIDDEN)
                return e;
            is_allowed = !e;
        }
        if (is_allowed || strcmp(o->event->type, "m.room.server_acl") == 0)
            p->pdus[kept++] = *o;
    }
    p->pdus_n = kept;
    return NULL;
}

/* A server that was unreachable may have joined a room after the events that it is sent now. */
static const struct err *sender_build_look_at(struct job *job, struct plan *p)
{
    struct onlooker *onlooker = onlooker_server(job->arena, p->d->server);
    for (size_t i = 0; i < p->pdus_n; i++) {
        struct outgoing *o = &p->pdus[i];
        const struct stored_event e = {.position = o->position, .room = o->room, .event = o->event};
        TRY(onlooker_event(job, onlooker, &e, &o->event));
    }
    return NULL;
}

/* Drops events of old rooms, made by other servers or accepted by older versions of this server,
 * that a server which parses and re-encodes the request could not verify as part of its signature.
 */
static void drop_unwritable(struct plan *p)
{
    buf_auto struct buf b = {0};
    size_t kept = 0;
    for (size_t i = 0; i < p->pdus_n; i++) {
        const struct event *e = p->pdus[i].event;
        buf_clear(&b);
        if (e->version->canonical == CANONICAL_STRICT ||
            !canonical_json_add(&b, CANONICAL_SHORTEST, e->json))
            p->pdus[kept++] = p->pdus[i];
    }
    p->pdus_n = kept;
}

/* ---- EDUs ---- */

static edu_source *const sources[PENDING_KINDS] = {
    [PENDING_TO_DEVICE] = edu_out_to_device,
    [PENDING_DEVICE_LISTS] = edu_out_device_lists,
    [PENDING_RECEIPTS] = edu_out_receipts,
};

/* Adds as many as fit. */
static void add_edus(struct edu_list *to, const struct edu_list *from)
{
    for (size_t i = 0; i < from->n && to->n < TRANSACTION_EDUS; i++) {
        to->edus[to->n] = from->edus[i];
        to->positions[to->n] = from->positions[i];
        to->types[to->n++] = from->types[i];
    }
}

/* Each source gets an empty list; false if all together are too many. */
static const struct err *try_sources(struct job *job, struct plan *p, bool *ret_fit)
{
    struct edu_list *one = arena_alloc(job->arena, sizeof *one);
    p->edus.n = 0;
    for (int i = 0; i < PENDING_KINDS; i++) {
        one->n = 0;
        if (p->ask[i])
            TRY(sources[i](job, p->d->server, p->from, &p->until, one));
        *ret_fit = p->edus.n + one->n <= TRANSACTION_EDUS;
        if (!*ret_fit)
            return NULL;
        add_edus(&p->edus, one);
    }
    return NULL;
}

/* If the pending EDUs of all kinds are too many for one transaction, it ends earlier. */
static const struct err *add_durable(struct job *job, struct plan *p)
{
    bool fit;
    for (;;) {
        int64_t tried = p->until;
        TRY(try_sources(job, p, &fit));
        if (fit && p->until == tried)
            break;
        if (!fit && p->until == tried && p->until > p->from + 1)
            p->until = p->from + (p->until - p->from) / 2;
        else if (!fit && p->until == tried)
            return err_internal("the EDUs at %lld do not fit into a transaction",
                                (long long)p->until);
        if (p->until <= p->from && tried > p->from)
            return err_internal("no EDU after %lld fits into a transaction", (long long)p->from);
    }
    p->durable_n = p->edus.n;
    return NULL;
}

static bool has_room(const struct plan *p)
{
    return p->edus.n < TRANSACTION_EDUS;
}

static const struct err *sender_build_add_presence(struct job *job, struct plan *p)
{
    if (p->presence_to <= p->presence_from || !has_room(p))
        return NULL;
    struct edu_list *one = arena_alloc(job->arena, sizeof *one);
    TRY(edu_out_presence(job, p->d->server, p->presence_from, &p->presence_to, one));
    add_edus(&p->edus, one);
    return NULL;
}

static const struct err *add_typing(struct job *job, struct plan *p)
{
    for (size_t i = 0; i < p->typing_n && has_room(p); i++) {
        const struct typing_notice *t = &p->typing[i];
        struct room *room;
        TRY(room_get_by_id(job, t->room, &room));
        const struct err *e = room ? room_check_acl(job, room, p->d->server) : NULL;
        if (e && e->code != ERR_FORBIDDEN)
            return e;
        if (room && !e)
            edu_out_typing(job->arena, &p->edus, room->room_id, t->user_id, t->typing);
    }
    return NULL;
}

/* ---- writing ---- */

/* The same content has the same id, also after a restart, so that a server that received it
 * recognises it. The epoch keeps an id from being reused after the database was set back. What is
 * not in the log does not count: a transaction with nothing else gets an id of its own. */
static void name_transaction(struct plan *p, struct job *job, char ret[static 32])
{
    struct str parts[1 + TRANSACTION_PDUS + TRANSACTION_EDUS];
    size_t n = 0;
    unsigned char hash[SHA256_BYTES];
    if (!p->pdus_n && !p->durable_n) {
        LOCKED(&p->s->lock);
        snprintf(ret, 32, "t%llx.%llx", (long long)now_ms(), (unsigned long long)++p->s->serial);
        return;
    }
    parts[n++] =
        str_of(arena_printf(job->arena, "%lld %lld %llx", (long long)p->from, (long long)p->until,
                            (long long)epochs_at(job->storage->epochs, p->until)));
    for (size_t i = 0; i < p->pdus_n; i++)
        parts[n++] = str_of(p->pdus[i].event->event_id);
    for (size_t i = 0; i < p->durable_n; i++)
        parts[n++] = p->edus.edus[i];
    sha256_parts(parts, n, hash);
    snprintf(ret, 32, "%s", base64_encode(job->arena, BASE64_URL, hash, 18));
}

static void add_list(struct buf *out, const struct str *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        buf_add_json_comma(out);
        buf_add_str(out, list[i]);
    }
}

void sender_write_body(const struct sender *s, const struct str *edus, size_t edus_n,
                       const struct str *pdus, size_t pdus_n, struct buf *out)
{
    size_t bytes = 256;
    for (size_t i = 0; i < pdus_n; i++)
        bytes += pdus[i].n + 1;
    for (size_t i = 0; i < edus_n; i++)
        bytes += edus[i].n + 1;
    buf_reserve(out, bytes);
    BUF_LIT(out, "{\"edus\":[");
    add_list(out, edus, edus_n);
    BUF_LIT(out, "],\"origin\":");
    buf_add_json_string(out, str_of(s->node->config->server_name));
    BUF_LIT(out, ",\"origin_server_ts\":");
    buf_add_int(out, now_ms());
    BUF_LIT(out, ",\"pdus\":[");
    add_list(out, pdus, pdus_n);
    BUF_LIT(out, "]}");
}

static void write_body(const struct plan *p, struct buf *out)
{
    struct str pdus[TRANSACTION_PDUS];
    for (size_t i = 0; i < p->pdus_n; i++)
        pdus[i] = pdu_bytes(p->pdus[i].event);
    sender_write_body(p->s, p->edus.edus, p->edus.n, pdus, p->pdus_n, out);
}

/* The items from the log, to be divided if they are refused. */
static void list_items(const struct plan *p, struct arena *a, struct transaction *ret)
{
    struct transaction_item *items =
        arena_alloc_array(a, p->pdus_n + p->durable_n + 1, sizeof *items);
    size_t n = 0;
    for (size_t i = 0; i < p->pdus_n; i++) {
        const struct event *e = p->pdus[i].event;
        items[n++] =
            (struct transaction_item){p->pdus[i].position, e->type, e->event_id, pdu_bytes(e)};
    }
    for (size_t i = 0; i < p->durable_n; i++)
        items[n++] =
            (struct transaction_item){p->edus.positions[i], p->edus.types[i], "", p->edus.edus[i]};
    ret->items = items;
    ret->items_n = n;
}

static const struct err *sender_build_gather(struct job *job, struct plan *p)
{
    TRY(sender_build_read_events(job, p));
    bound_bytes(p);
    TRY(add_durable(job, p));
    keep_until(p);
    TRY(drop_denied(job, p));
    TRY(sender_build_look_at(job, p));
    drop_unwritable(p);
    TRY(sender_build_add_presence(job, p));
    return add_typing(job, p);
}

const struct err *sender_build(struct sender *s, struct job *job, struct destination *d,
                               struct transaction *ret)
{
    struct plan *p = arena_alloc(job->arena, sizeof *p);
    *p = (struct plan){.s = s, .d = d};
    sender_build_take(s, job, p);
    TRY(sender_build_gather(job, p));
    ret->from = p->from;
    ret->until = p->until;
    ret->pdus_n = p->pdus_n;
    ret->edus_n = p->edus.n;
    ret->presence_to = p->presence_to;
    ret->has_to_device = p->ask[PENDING_TO_DEVICE];
    ret->typing = p->typing;
    ret->typing_n = p->typing_n;
    if (!p->pdus_n && !p->edus.n)
        return NULL;
    name_transaction(p, job, ret->id);
    list_items(p, job->arena, ret);
    write_body(p, &ret->body);
    return NULL;
}
