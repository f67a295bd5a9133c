/* End-to-end encryption, "Server-side key backups": the keys in a backup. Versions of backups are
 * in room_keys_version.c. */
#include "server/client/room_keys.h"
#include "matrix/canonical_json.h"
#include "server/caller.h"
#include "server/routes.h"

enum {
    BODY_BYTES_MAX = 16 << 20,
    SESSIONS_MAX = 50000, /* in one request */
    PAGE = 500,
    SESSION_ID_MAX = 255,
    SESSION_DATA_MAX = 65536
};

bool backup_version_parse(const char *text, int64_t *ret)
{
    return text && str_to_int64(str_of(text), ret) && *ret > 0;
}

static const struct err *unknown_version(void)
{
    return err(ERR_NOT_FOUND, "There is no such backup version");
}

/* The version that the request names. */
static const struct err *need_version(struct request *rq, int64_t *ret)
{
    const char *text = request_query(rq, "version");
    if (!text)
        return err(ERR_MISSING_PARAM, "`version` is missing");
    return backup_version_parse(text, ret) ? NULL : unknown_version();
}

static const struct err *reply_counts(struct reply *rp, const struct key_backup *b)
{
    char etag[32];
    snprintf(etag, sizeof etag, "%lld", (long long)b->etag);
    return reply_json(rp, 200, "{s:s, s:I}", "etag", etag, "count", (json_int_t)b->count);
}

/* ---- storing ---- */

struct sessions {
    struct arena *arena;
    struct backup_session *items;
    size_t n, room;
};

static struct backup_session *new_session(struct sessions *s)
{
    if (s->n == s->room) {
        size_t room = s->room ? s->room * 2 : 64;
        struct backup_session *grown = arena_alloc_array(s->arena, room, sizeof *grown);
        if (s->n)
            memcpy(grown, s->items, s->n * sizeof *grown);
        s->items = grown;
        s->room = room;
    }
    return &s->items[s->n++];
}

static const struct err *add_session(struct sessions *s, const char *room_id,
                                     const char *session_id, const json_t *o)
{
    const json_t *data;
    struct backup_session b = {.room_id = room_id, .session_id = session_id};
    if (!json_is_object(o))
        return err(ERR_BAD_JSON, "A backed up key is an object");
    if (!*session_id || strlen(session_id) > SESSION_ID_MAX || !*room_id ||
        strlen(room_id) > SESSION_ID_MAX)
        return err(ERR_INVALID_PARAM, "A room id or session id is empty or too long");
    if (s->n == SESSIONS_MAX)
        return err(ERR_TOO_LARGE, "Store %d keys at most in one request", SESSIONS_MAX);
    TRY(json_need_int(o, "first_message_index", &b.first_message_index));
    TRY(json_need_int(o, "forwarded_count", &b.forwarded_count));
    if (!json_is_boolean(json_object_get(o, "is_verified")))
        return err(ERR_MISSING_PARAM, "`is_verified` must be true or false");
    b.is_verified = json_is_true(json_object_get(o, "is_verified"));
    TRY(json_need_object(o, "session_data", &data));
    buf_auto struct buf bytes = {0};
    TRY(canonical_json_add_tree(&bytes, CANONICAL_LENIENT, data));
    if (bytes.n > SESSION_DATA_MAX)
        return err(ERR_TOO_LARGE, "`session_data` may have %d bytes at most", SESSION_DATA_MAX);
    b.session_data = (struct str){arena_memdup(s->arena, bytes.p, bytes.n), bytes.n};
    *new_session(s) = b;
    return NULL;
}

static const struct err *add_room(struct sessions *s, const char *room_id, const json_t *room)
{
    const json_t *sessions;
    if (!json_is_object(room))
        return err(ERR_BAD_JSON, "The keys of a room are an object");
    TRY(json_need_object(room, "sessions", &sessions));
    const char *session_id;
    json_t *o;
    json_object_foreach ((json_t *)sessions, session_id, o)
        TRY(add_session(s, room_id, session_id, o));
    return NULL;
}

/* "Keys can only be written to the most recently created version of the backup." */
static const struct err *lock_current(struct tx *tx, int64_t user, int64_t version)
{
    struct key_backup current;
    TRY(key_backup_lock(tx, user, 0, &current));
    if (!current.algorithm)
        return unknown_version();
    if (current.version != version)
        return err_with_fields(err(ERR_WRONG_ROOM_KEYS_VERSION, "Wrong backup version"),
                               "\"current_version\":\"%lld\"", (long long)current.version);
    return NULL;
}

static const struct err *put_in_tx(struct job *job, int64_t user, int64_t version,
                                   const struct sessions *s, struct key_backup *ret)
{
    struct tx *tx = job_tx(job);
    int64_t used, max = job->store->config->key_backups_per_user;
    TRY(lock_current(tx, user, version));
    TRY(backup_sessions_put(tx, user, version, s->items, s->n, ret));
    TRY(key_backups_used_by(tx, user, &used));
    if (used > max)
        return err(ERR_TOO_LARGE,
                   "The keys in your backups may take %lld bytes: delete old backups",
                   (long long)max);
    return tx_commit(tx);
}

static const struct err *store_sessions(struct request *rq, struct reply *rp,
                                        const struct sessions *s)
{
    int64_t version;
    TRY(need_version(rq, &version));
    struct tx *tx = job_tx(job_of(rq));
    struct key_backup now;
    TRY(tx_begin(tx));
    const struct err *e = put_in_tx(job_of(rq), caller_of(rq)->user, version, s, &now);
    if (e)
        tx_rollback(tx);
    TRY(e);
    return reply_counts(rp, &now);
}

static const struct err *put_all(struct request *rq, struct reply *rp)
{
    struct sessions s = {.arena = rq->arena};
    const json_t *rooms;
    TRY(json_need_object(rq->body, "rooms", &rooms));
    const char *room_id;
    json_t *room;
    json_object_foreach ((json_t *)rooms, room_id, room)
        TRY(add_room(&s, room_id, room));
    return store_sessions(rq, rp, &s);
}

static const struct err *put_room(struct request *rq, struct reply *rp)
{
    struct sessions s = {.arena = rq->arena};
    TRY(add_room(&s, request_param(rq, "room"), rq->body));
    return store_sessions(rq, rp, &s);
}

static const struct err *put_session(struct request *rq, struct reply *rp)
{
    struct sessions s = {.arena = rq->arena};
    TRY(add_session(&s, request_param(rq, "room"), request_param(rq, "session"), rq->body));
    return store_sessions(rq, rp, &s);
}

/* ---- fetching ---- */

static void add_data(struct buf *b, const struct backup_session *s)
{
    buf_printf(b, "{\"first_message_index\":%lld,\"forwarded_count\":%lld,\"is_verified\":%s,",
               (long long)s->first_message_index, (long long)s->forwarded_count,
               s->is_verified ? "true" : "false");
    BUF_LIT(b, "\"session_data\":");
    buf_add_str(b, s->session_data);
    buf_add_char(b, '}');
}

/* Not by looking at the buffer: what is in it may have been sent off. */
static void add_name(struct buf *b, bool is_first, const char *name)
{
    if (!is_first)
        buf_add_char(b, ',');
    buf_add_json_string(b, str_of(name));
    buf_add_char(b, ':');
}

static const struct err *need_backup(struct request *rq, int64_t *ret_version)
{
    struct key_backup backup;
    TRY(need_version(rq, ret_version));
    TRY(key_backup_get(job_tx(job_of(rq)), caller_of(rq)->user, *ret_version, &backup));
    return backup.algorithm && !backup.deleted ? NULL : unknown_version();
}

/* Where a reply that is written page by page stands: its last key. */
struct place {
    char room[SESSION_ID_MAX + 1], session[SESSION_ID_MAX + 1];
    bool any;
};

/* Writes `"session":{…}`; with_rooms puts those of a room into `"!room":{"sessions":{…}}`. */
static void add_next(struct buf *b, struct place *last, const struct backup_session *s,
                     bool with_rooms)
{
    bool new_room = !last->any || (with_rooms && strcmp(last->room, s->room_id) != 0);
    if (with_rooms && new_room) {
        if (last->any)
            BUF_LIT(b, "}}");
        add_name(b, !last->any, s->room_id);
        BUF_LIT(b, "{\"sessions\":{");
    }
    add_name(b, new_room, s->session_id);
    add_data(b, s);
    snprintf(last->room, sizeof last->room, "%s", s->room_id);
    snprintf(last->session, sizeof last->session, "%s", s->session_id);
    last->any = true;
}

/* Every key in the scope, page by page so that memory stays bounded. */
static const struct err *add_sessions(struct request *rq, struct reply *rp, int64_t version,
                                      struct backup_scope scope, bool with_rooms)
{
    struct backup_session page[PAGE];
    struct place last = {0};
    const struct backup_session after = {.room_id = last.room, .session_id = last.session};
    size_t n;
    do {
        struct rows rows;
        TRY(backup_sessions_read(job_tx(job_of(rq)), caller_of(rq)->user, version, scope,
                                 last.any ? &after : NULL, PAGE, &rows, page, &n));
        for (size_t i = 0; i < n; i++)
            add_next(&rp->body, &last, &page[i], with_rooms);
        rows_finish(&rows);
        TRY(reply_flush(rp));
    } while (n == PAGE);
    if (with_rooms && last.any)
        BUF_LIT(&rp->body, "}}");
    return NULL;
}

static const struct err *get_all(struct request *rq, struct reply *rp)
{
    int64_t version;
    TRY(need_backup(rq, &version));
    BUF_LIT(&rp->body, "{\"rooms\":{");
    TRY(add_sessions(rq, rp, version, (struct backup_scope){0}, true));
    BUF_LIT(&rp->body, "}}");
    return reply_body(rp, 200);
}

static const struct err *get_room(struct request *rq, struct reply *rp)
{
    int64_t version;
    TRY(need_backup(rq, &version));
    BUF_LIT(&rp->body, "{\"sessions\":{");
    TRY(add_sessions(rq, rp, version, (struct backup_scope){request_param(rq, "room"), NULL},
                     false));
    BUF_LIT(&rp->body, "}}");
    return reply_body(rp, 200);
}

static const struct err *get_session(struct request *rq, struct reply *rp)
{
    int64_t version;
    size_t n;
    struct rows rows;
    struct backup_session s;
    TRY(need_backup(rq, &version));
    TRY(backup_sessions_read(
        job_tx(job_of(rq)), caller_of(rq)->user, version,
        (struct backup_scope){request_param(rq, "room"), request_param(rq, "session")}, NULL, 1,
        &rows, &s, &n));
    if (!n)
        return err(ERR_NOT_FOUND, "There is no such key in the backup");
    add_data(&rp->body, &s);
    return reply_body(rp, 200);
}

/* ---- deleting ---- */

static const struct err *delete_in_tx(struct tx *tx, int64_t user, int64_t version,
                                      struct backup_scope scope, struct key_backup *ret)
{
    TRY(key_backup_lock(tx, user, version, ret));
    if (!ret->algorithm || ret->deleted)
        return unknown_version();
    TRY(backup_sessions_delete(tx, user, version, scope, ret));
    return tx_commit(tx);
}

static const struct err *delete_scope(struct request *rq, struct reply *rp,
                                      struct backup_scope scope)
{
    int64_t version;
    TRY(need_version(rq, &version));
    struct tx *tx = job_tx(job_of(rq));
    struct key_backup now;
    TRY(tx_begin(tx));
    const struct err *e = delete_in_tx(tx, caller_of(rq)->user, version, scope, &now);
    if (e)
        tx_rollback(tx);
    TRY(e);
    return reply_counts(rp, &now);
}

static const struct err *delete_all(struct request *rq, struct reply *rp)
{
    return delete_scope(rq, rp, (struct backup_scope){0});
}

static const struct err *delete_room(struct request *rq, struct reply *rp)
{
    return delete_scope(rq, rp, (struct backup_scope){request_param(rq, "room"), NULL});
}

static const struct err *delete_session(struct request *rq, struct reply *rp)
{
    return delete_scope(
        rq, rp, (struct backup_scope){request_param(rq, "room"), request_param(rq, "session")});
}

#define ROUTE(method_, path_, handler_, ...)                                                       \
    {                                                                                              \
        .method = method_, .path = "/_matrix/client/v3/room_keys/keys" path_, .handler = handler_, \
        .who = WHO_USER, .rate = RATE_KEY, .spec = "server-side key backups",                      \
        .also = "/_matrix/client/unstable/room_keys/keys" path_, __VA_ARGS__                       \
    }
#define PUT_ROUTE(path_, handler_)                                                                 \
    ROUTE(PUT, path_, handler_, .body = BODY_JSON, .body_max = BODY_BYTES_MAX)

const struct route room_keys_routes[] = {
    PUT_ROUTE("", put_all),
    PUT_ROUTE("/{room}", put_room),
    PUT_ROUTE("/{room}/{session}", put_session),
    ROUTE(GET, "", get_all, ),
    ROUTE(GET, "/{room}", get_room, ),
    ROUTE(GET, "/{room}/{session}", get_session, ),
    ROUTE(DELETE, "", delete_all, ),
    ROUTE(DELETE, "/{room}", delete_room, ),
    ROUTE(DELETE, "/{room}/{session}", delete_session, ),
    {.path = NULL},
};
