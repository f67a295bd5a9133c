#include "rooms/read/serialize.h"

#include "matrix/json_scan.h"
#include "rooms/read/aggregate.h"
#include "rooms/room_cache.h"
#include "storage/rooms/room_state.h"

/* The parts of `unsigned` besides the event's own columns, looked up for a whole page at once. */
struct extras {
    struct visibility visibility;
    struct str *relations;                 /* m.relations of each event; p NULL: none */
    const struct stored_event *redactions; /* of events of the page */
    size_t redactions_n;
    const struct replaced_event *replaced; /* by state events of the page */
    size_t replaced_n;
};

static const struct stored_event *find_position(const struct stored_event *list, size_t n,
                                                int64_t position)
{
    for (size_t i = 0; i < n; i++)
        if (list[i].position == position)
            return &list[i];
    return NULL;
}

static const struct err *serialize_look_up_redactions(struct job *job, const struct viewer *v,
                                                      const struct stored_event *const *events,
                                                      size_t n, struct extras *x)
{
    int64_t *positions = arena_alloc_array(job->arena, n + 1, sizeof *positions);
    size_t wanted = 0;
    for (size_t i = 0; i < n; i++)
        if (events[i]->redacted_by)
            positions[wanted++] = events[i]->redacted_by;
    if (!wanted)
        return NULL;
    TRY(events_get_many(job_tx(job), positions, wanted, &x->redactions, &x->redactions_n));
    return onlooker_rows(job, v->onlooker, &x->redactions, x->redactions_n);
}

static const struct err *look_up_replaced(struct job *job, const struct viewer *v,
                                          const struct stored_event *const *events, size_t n,
                                          struct extras *x)
{
    const struct stored_event **state = arena_alloc_array(job->arena, n + 1, sizeof *state);
    const struct replaced_event *rows;
    size_t state_n = 0;
    for (size_t i = 0; i < n; i++)
        if (events[i]->event->state_key)
            state[state_n++] = events[i];
    if (!state_n)
        return NULL;
    TRY(room_state_replaced(job_tx(job), events[0]->room, state, state_n, &rows, &x->replaced_n));
    struct replaced_event *shown = arena_alloc_array(job->arena, x->replaced_n + 1, sizeof *shown);
    for (size_t i = 0; i < x->replaced_n; i++) {
        shown[i] = rows[i];
        TRY(onlooker_event(job, v->onlooker, &rows[i].event, &shown[i].event.event));
    }
    x->replaced = shown;
    return NULL;
}

static const struct stored_event *find_replaced(const struct extras *x,
                                                const struct stored_event *e)
{
    for (size_t i = 0; i < x->replaced_n; i++)
        if (x->replaced[i].by == e->position)
            return &x->replaced[i].event;
    return NULL;
}

/* event_format "federation": the PDU without its own `unsigned`. */
static void add_pdu(struct buf *out, const struct event *e)
{
    static const char key[] = ",\"unsigned\":"; /* never the first key of canonical JSON */
    struct str pdu = e->json, theirs = json_scan_get(pdu, "unsigned");
    if (theirs.p) {
        buf_add(out, pdu.p, (size_t)(theirs.p - pdu.p) - (sizeof key - 1));
        pdu.n -= (size_t)(theirs.p + theirs.n - pdu.p);
        pdu.p = theirs.p + theirs.n;
    }
    buf_add(out, pdu.p, pdu.n - 1);
}

/* Everything except `unsigned` and the closing brace. */
static void begin_event(struct buf *out, const struct viewer *v, const struct event *e)
{
    if (v->fields && v->fields->format_federation)
        add_pdu(out, e);
    else
        event_add_client_format(out, e, v->with_room_id);
}

static void add_age(struct buf *out, const struct viewer *v, const struct event *e)
{
    int64_t age = v->now_ms - e->origin_server_ts;
    BUF_LIT(out, ",\"unsigned\":{\"age\":");
    buf_add_int(out, age > 0 ? age : 0);
}

static void add_replaced(struct buf *out, const struct stored_event *before)
{
    BUF_LIT(out, ",\"replaces_state\":");
    buf_add_json_string(out, str_of(before->event->event_id));
    BUF_LIT(out, ",\"prev_sender\":");
    buf_add_json_string(out, str_of(before->event->sender));
    BUF_LIT(out, ",\"prev_content\":");
    buf_add_str(out, before->event->content);
}

static void add_redaction(struct buf *out, const struct viewer *v, const struct stored_event *r)
{
    BUF_LIT(out, ",\"redacted_because\":");
    event_add_client_format(out, r->event, v->with_room_id);
    add_age(out, v, r->event);
    BUF_LIT(out, "}}");
}

static void add_transaction_id(struct buf *out, const struct viewer *v,
                               const struct stored_event *e)
{
    if (!e->client_txn || !v->device || e->client_device != v->device)
        return;
    BUF_LIT(out, ",\"transaction_id\":");
    buf_add_json_string(out, str_of(e->client_txn));
}

static void serialize_add_membership(struct buf *out, const struct visibility *visibility,
                                     const struct stored_event *e)
{
    enum membership m = visibility_membership(visibility, e->position);
    buf_printf(out, ",\"membership\":\"%s\"", m == MEMBERSHIP_NONE ? "leave" : membership_text(m));
}

static void add_relations(struct buf *out, struct str relations)
{
    if (!relations.p)
        return;
    BUF_LIT(out, ",\"m.relations\":");
    buf_add_str(out, relations);
}

void serialize_related_event(const struct viewer *v, const struct visibility *visibility,
                             const struct stored_event *e, struct str relations, struct buf *out)
{
    begin_event(out, v, e->event);
    add_age(out, v, e->event);
    serialize_add_membership(out, visibility, e);
    add_transaction_id(out, v, e);
    add_relations(out, relations);
    BUF_LIT(out, "}}");
}

/* event_fields: rare enough for a tree. */
static const struct err *keep_fields(struct job *job, const struct viewer *v, struct buf *out,
                                     size_t from)
{
    json_t *whole;
    TRY(json_read_own(job->arena, (struct str){out->p + from, out->n - from}, &whole));
    json_auto_t *kept = filter_fields(v->fields, whole);
    out->n = from;
    buf_add_json(out, kept);
    return NULL;
}

static const struct err *serialize_one(struct job *job, const struct viewer *v,
                                       const struct stored_event *e, const struct extras *x,
                                       struct str relations, struct buf *out)
{
    size_t from = out->n;
    begin_event(out, v, e->event);
    add_age(out, v, e->event);
    serialize_add_membership(out, &x->visibility, e);
    add_transaction_id(out, v, e);
    const struct stored_event *replaced = e->event->state_key ? find_replaced(x, e) : NULL;
    if (replaced)
        add_replaced(out, replaced);
    const struct stored_event *redaction =
        e->redacted_by ? find_position(x->redactions, x->redactions_n, e->redacted_by) : NULL;
    if (redaction)
        add_redaction(out, v, redaction);
    add_relations(out, relations);
    BUF_LIT(out, "}}");
    return v->fields && v->fields->event_fields.present ? keep_fields(job, v, out, from) : NULL;
}

static const struct err *look_up_visibility(struct job *job, const struct viewer *v,
                                            const struct stored_event *const *events, size_t n,
                                            struct visibility *ret)
{
    struct room *room;
    TRY(room_get_by_id(job, events[0]->room, &room));
    if (!room)
        return err_internal("room %lld has events but no row", (long long)events[0]->room);
    int64_t oldest = events[0]->position;
    for (size_t i = 1; i < n; i++)
        if (events[i]->position < oldest)
            oldest = events[i]->position;
    return visibility_open(job, room, v->user, v->user_id, oldest, ret);
}

const struct err *serialize_events(struct job *job, const struct viewer *v,
                                   const struct stored_event *const *events, size_t n,
                                   enum relations_known known, struct buf *out)
{
    if (!n)
        return NULL;
    struct extras x = {.relations = arena_alloc_array(job->arena, n, sizeof *x.relations)};
    TRY(onlooker_list(job, v->onlooker, &events, n));
    TRY(look_up_visibility(job, v, events, n, &x.visibility));
    TRY(serialize_look_up_redactions(job, v, events, n, &x));
    TRY(look_up_replaced(job, v, events, n, &x));
    if (known == RELATIONS_UNKNOWN)
        TRY(aggregate_events(job, v, &x.visibility, events, n, x.relations));
    for (size_t i = 0; i < n; i++) {
        buf_add_json_comma(out);
        TRY(serialize_one(job, v, events[i], &x, x.relations[i], out));
    }
    return NULL;
}

const struct err *viewer_event(struct job *job, const struct viewer *v,
                               const struct stored_event *e, const struct event **ret)
{
    return onlooker_event(job, v->onlooker, e, ret);
}

const struct err *serialize_state_event(struct job *job, const struct viewer *v,
                                        const struct stored_event *e, struct buf *out)
{
    size_t from = out->n;
    const struct event *shown;
    TRY(viewer_event(job, v, e, &shown));
    begin_event(out, v, shown);
    add_age(out, v, shown);
    BUF_LIT(out, "}}");
    return v->fields && v->fields->event_fields.present ? keep_fields(job, v, out, from) : NULL;
}
