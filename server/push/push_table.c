/* Users and their pushers in memory, as they are in the database. */
#include "server/push/push_internal.h"

#include "base/json.h"
#include "base/mem.h"

#include <stdlib.h>

/* ---- gateways ---- */

static struct push_gateway *push_gateway_get_locked(struct pushes *p, const char *url)
{
    const char *authority = strstr(url, "://");
    size_t scheme_n = authority ? (size_t)(authority - url) + 3 : 0;
    struct str name = {url, scheme_n + strcspn(url + scheme_n, "/?#")};
    struct push_gateway *g = map_get(&p->gateways, name);
    if (!g) {
        g = mem_zalloc(sizeof *g);
        g->name = mem_zalloc(name.n + 1);
        memcpy(g->name, name.p, name.n);
        map_put(&p->gateways, str_of(g->name), g);
    }
    g->pushers_n++;
    return g;
}

static void push_gateway_give_back_locked(struct pushes *p, struct push_gateway *g)
{
    if (--g->pushers_n)
        return;
    map_remove(&p->gateways, str_of(g->name));
    free(g->name);
    free(g);
}

/* ---- pushers ---- */

void push_pusher_destroy_locked(struct pushes *p, struct live_pusher *x)
{
    push_queue_clear_locked(p, x);
    push_gateway_give_back_locked(p, x->gateway);
    free(x->app_id);
    free(x->pushkey);
    free(x->url);
    free(x->data);
    free(x);
}

/* The operator's URL for the app, or the app's own. */
static const char *push_url(const struct pushes *p, const char *app_id, const json_t *data,
                            bool *ret_trusted)
{
    const struct config_list *rewrite = &p->node->config->push_rewrite;
    size_t n = strlen(app_id);
    for (size_t i = 0; i < rewrite->n; i++)
        if (strncmp(rewrite->items[i], app_id, n) == 0 && rewrite->items[i][n] == '=') {
            *ret_trusted = true;
            return rewrite->items[i] + n + 1;
        }
    *ret_trusted = false;
    return json_text(data, "url");
}

static bool push_flag(const json_t *o, const char *key, bool otherwise)
{
    const json_t *v = json_object_get(o, key);
    return json_is_boolean(v) ? json_is_true(v) : otherwise;
}

/* `data` minus the URL. */
static char *push_data(const json_t *data)
{
    buf_auto struct buf b = {0};
    size_t n;
    json_t *copy = json_copy((json_t *)data);
    json_object_del(copy, "url");
    buf_add_json(&b, copy);
    json_decref(copy);
    return buf_steal(&b, &n);
}

/* NULL: a pusher of another kind. */
static struct live_pusher *push_pusher_create_locked(struct pushes *p, const struct pusher_row *row)
{
    static const char disable[] = "org.matrix.msc4076.disable_badge_count";
    arena_auto struct arena *a = arena_create();
    json_t *o;
    bool is_trusted;
    const char *kind = json_read_own(a, row->json, &o) ? NULL : json_text(o, "kind");
    const json_t *data = kind ? json_object_get(o, "data") : NULL;
    const char *url = data ? push_url(p, row->app_id, data, &is_trusted) : NULL;
    if (!url || strcmp(kind, "http") != 0)
        return NULL;
    const char *format = json_text(data, "format");
    struct live_pusher *x = mem_zalloc(sizeof *x);
    *x = (struct live_pusher){.id = row->id,
                              .user = row->user,
                              .since = row->is_behind ? 0 : row->sent_position,
                              .behind = row->is_behind ? row->sent_position : 0,
                              .sent = row->sent_position,
                              .app_id = mem_strdup(row->app_id),
                              .pushkey = mem_strdup(row->pushkey),
                              .url = mem_strdup(url),
                              .data = push_data(data),
                              .gateway = push_gateway_get_locked(p, url),
                              .set_ts = row->set_ts,
                              .by_id_only = format && strcmp(format, "event_id_only") == 0,
                              .has_counts = !push_flag(data, disable, push_flag(o, disable, false)),
                              .is_enabled = push_flag(o, "org.matrix.msc3881.enabled", true),
                              .is_trusted = is_trusted,
                              .badge = -1};
    return x;
}

/* The one that is replaced has sent, or is sending, a part of its queue. */
static void push_pusher_inherit_locked(struct pushes *p, struct live_pusher *x,
                                       struct live_pusher *old)
{
    x->since = old->since;
    x->sent = old->sent;
    x->badge = old->badge;
    x->badge_due_mono = old->badge_due_mono;
    x->behind = old->catching_up;
    for (size_t i = old->is_busy ? 1 : 0; i < old->n && !old->catching_up; i++) {
        struct push_item *one = &old->queue[(old->first + i) % PUSH_QUEUE_MAX];
        push_queue_add_locked(p, x, one->notice, one->tweaks, one->is_loud);
    }
    if (!old->catching_up)
        x->behind = old->behind;
}

/* ---- users ---- */

static void push_table_drop_pusher_locked(struct pushes *p, struct live_pusher *x)
{
    if (map_get_int(&p->pushers, x->id) == x)
        map_remove_int(&p->pushers, x->id);
    x->is_dropped = true;
    if (!x->is_busy)
        push_pusher_destroy_locked(p, x);
}

void push_table_drop_user_locked(struct pushes *p, struct push_user *u)
{
    map_remove_int(&p->users, u->user);
    for (size_t i = 0; i < u->pushers_n; i++)
        push_table_drop_pusher_locked(p, u->pushers[i]);
    push_counts_destroy(u);
    free(u->pushers);
    free(u->user_id);
    free(u);
}

static struct push_user *push_table_user_locked(struct pushes *p, const struct pusher_row *row)
{
    struct push_user *u = map_get_int(&p->users, row->user);
    if (!u) {
        u = mem_zalloc(sizeof *u);
        u->user = row->user;
        u->user_id = mem_strdup(row->user_id);
        u->slice = lease_slice_of_id(row->user);
        map_put_int(&p->users, row->user, u);
    }
    u->may_ignore |= row->may_ignore;
    return u;
}

void push_table_put_locked(struct pushes *p, int64_t user, const struct pusher_row *rows, size_t n)
{
    struct push_user *u = map_get_int(&p->users, user);
    struct live_pusher **list = mem_alloc((n + 1) * sizeof *list);
    size_t list_n = 0;
    for (size_t i = 0; i < n; i++) {
        struct live_pusher *x = push_pusher_create_locked(p, &rows[i]);
        struct live_pusher *old = map_get_int(&p->pushers, rows[i].id);
        if (x && old)
            push_pusher_inherit_locked(p, x, old);
        if (x)
            list[list_n++] = x;
    }
    for (size_t i = 0; u && i < u->pushers_n; i++)
        push_table_drop_pusher_locked(p, u->pushers[i]);
    if (u) {
        free(u->pushers);
        u->pushers = NULL;
        u->pushers_n = 0;
    }
    if (list_n) {
        u = push_table_user_locked(p, &rows[0]);
        u->pushers = list;
        u->pushers_n = list_n;
    } else {
        free(list);
        if (u)
            push_table_drop_user_locked(p, u);
    }
    for (size_t i = 0; i < list_n; i++) {
        map_put_int(&p->pushers, list[i]->id, list[i]);
        push_consider_locked(p, list[i]);
    }
}

void push_table_drop_slices_locked(struct pushes *p, uint32_t slices)
{
    struct push_user **list = mem_alloc((p->users.n + 1) * sizeof *list);
    size_t n = 0;
    for (struct map_slot *slot = NULL; (slot = map_next(&p->users, slot));) {
        struct push_user *u = slot->value;
        if (slices & UINT32_C(1) << u->slice)
            list[n++] = u;
    }
    for (size_t i = 0; i < n; i++)
        push_table_drop_user_locked(p, list[i]);
    free(list);
}
