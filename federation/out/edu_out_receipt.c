/* m.receipt: our users' receipts (server-server-api, "Receipts"). Private ones are not sent. */
#include "federation/out/edu_out.h"

#include "federation/federation.h"
#include "federation/out/sender_internal.h"
#include "matrix/id.h"
#include "rooms/room_cache.h"
#include "rooms/servers.h"
#include "storage/db/intern.h"
#include "storage/servers/server_rooms.h"
#include "users/receipts.h"

enum { RECEIPTS_AT_ONCE = 200, EDUS_MAX = 20 };

/* An EDU has each reader once in a room: receipts in several threads need one EDU each. */
struct layer {
    struct buf content;
    size_t n;         /* receipts */
    const char *room; /* the current one */
    const char *reader;
};

static void end_room(struct layer *l)
{
    if (l->room)
        BUF_LIT(&l->content, "}}");
    l->room = l->reader = NULL;
}

static void add_receipt(struct layer *l, const char *room_id, const struct receipt *r)
{
    struct buf *b = &l->content;
    if (l->room != room_id) {
        end_room(l);
        buf_add_char(b, b->n ? ',' : '{');
        buf_add_json_string(b, str_of(room_id));
        BUF_LIT(b, ":{\"m.read\":{");
        l->room = room_id;
    }
    buf_add_json_comma(b);
    buf_add_json_string(b, str_of(r->user_id));
    BUF_LIT(b, ":{\"data\":{");
    if (*r->thread) {
        BUF_LIT(b, "\"thread_id\":");
        buf_add_json_string(b, str_of(r->thread));
        buf_add_char(b, ',');
    }
    BUF_LIT(b, "\"ts\":");
    buf_add_int(b, r->ts);
    BUF_LIT(b, "},\"event_ids\":[");
    buf_add_json_string(b, str_of(r->event_id));
    BUF_LIT(b, "]}");
    l->reader = r->user_id;
    l->n++;
}

static void finish_layer(struct arena *a, struct edu_list *list, int64_t until, struct layer *l)
{
    if (l->n) {
        end_room(l);
        buf_add_char(&l->content, '}');
        edu_list_add(a, list, until, "m.receipt", buf_str(&l->content));
    }
    buf_finish(&l->content);
    *l = (struct layer){0};
}

/* Receipts are ordered by reader: a reader's second one goes into the second layer. Those that do
 * not fit are skipped, since newer ones will follow. */
static void edu_out_receipt_add_room(struct arena *a, struct edu_list *list, int64_t until,
                                     struct layer *layers, const char *room_id,
                                     const struct receipt *receipts, size_t n)
{
    size_t nth = 0;
    for (size_t i = 0; i < n; i++) {
        nth = i && receipts[i].user == receipts[i - 1].user ? nth + 1 : 0;
        if (nth == EDUS_MAX)
            continue;
        if (layers[nth].n == RECEIPTS_AT_ONCE && list->n < EDUS_MAX)
            finish_layer(a, list, until, &layers[nth]);
        if (layers[nth].n < RECEIPTS_AT_ONCE)
            add_receipt(&layers[nth], room_id, &receipts[i]);
    }
}

static int by_id(const void *x, const void *y)
{
    struct room *const *a = x, *const *b = y;
    return strcmp((*a)->room_id, (*b)->room_id);
}

/* Ordered by room id, as canonical JSON requires. Denied servers get none. */
static const struct err *edu_out_receipt_find_rooms(struct job *job, const char *server,
                                                    int64_t from, struct room ***ret, size_t *ret_n)
{
    const int64_t *ids;
    size_t ids_n, n = 0;
    if (!sender_receipt_rooms(job, job->federation->sender, server, from, &ids, &ids_n))
        TRY(server_rooms(job_tx(job), server, &ids, &ids_n));
    struct room **list = arena_alloc_array(job->arena, ids_n + 1, sizeof *list);
    for (size_t i = 0; i < ids_n; i++) {
        TRY(room_get_by_id(job, ids[i], &list[n]));
        if (!list[n] || !room_has_server(list[n], server))
            continue;
        const struct err *e = room_check_acl(job, list[n], server);
        if (e && e->code != ERR_FORBIDDEN)
            return e;
        n += !e;
    }
    qsort(list, n, sizeof *list, by_id);
    *ret = list;
    *ret_n = n;
    return NULL;
}

static int by_reader(const void *x, const void *y)
{
    const struct receipt *a = x, *b = y;
    int c = strcmp(a->user_id, b->user_id);
    return c ? c : strcmp(a->thread, b->thread);
}

const struct err *edu_out_receipts(struct job *job, const char *server, int64_t from,
                                   int64_t *until, struct edu_list *l)
{
    struct room **rooms;
    size_t rooms_n;
    const struct err *e = NULL;
    TRY(edu_out_receipt_find_rooms(job, server, from, &rooms, &rooms_n));
    struct layer *layers = arena_alloc_array(job->arena, EDUS_MAX, sizeof *layers);
    for (size_t i = 0; i < rooms_n && !e; i++) {
        const struct receipt *receipts;
        size_t n;
        e = receipts_list_own(job, rooms[i]->id, from, *until, &receipts, &n);
        if (e || !n)
            continue;
        qsort((struct receipt *)receipts, n, sizeof *receipts, by_reader);
        edu_out_receipt_add_room(job->arena, l, *until, layers, rooms[i]->room_id, receipts, n);
    }
    for (size_t i = 0; i < EDUS_MAX; i++)
        finish_layer(job->arena, l, *until, &layers[i]);
    return e;
}
