/* End-to-end encryption, "Server-side key backups": the keys in a backup. Versions of backups are
 * in room_keys_version.c. */
#include "server/client/e2ee/room_keys.h"
#include "base/map.h"
#include "matrix/canonical_json.h"
#include "matrix/json_scan.h"
#include "server/account/caller.h"
#include "server/routes.h"

enum {
    BODY_BYTES_MAX = 16 << 20,
    SESSIONS_MAX = 50000, /* in one request */
    PAGE = 500,
    PIECE = 500,
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
static const struct err *room_keys_need_version(struct request *rq, int64_t *ret)
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

/* ---- storing ----
 *
 * A body of 16 MiB is scanned, and stored piece by piece in one transaction: only a piece of it is
 * in memory a second time. */

struct storing {
    struct tx *tx;
    int64_t user, version;
    size_t n; /* keys so far, including previous pieces */
    struct arena *piece;
    struct map places; /* in the piece: key to its index plus one */
    struct backup_session sessions[PIECE];
    size_t piece_n, piece_bytes;
    struct key_backup now;
};

static const struct err *end_piece(struct storing *s)
{
    TRY(backup_sessions_put(s->tx, s->user, s->version, s->sessions, s->piece_n, &s->now));
    map_finish(&s->places);
    s->places = (struct map){0};
    s->piece_n = s->piece_bytes = 0;
    arena_reset(s->piece);
    return NULL;
}

/* The last of duplicate keys in a body counts. */
static struct backup_session *place_of(struct storing *s, const struct backup_session *b)
{
    const char *name = arena_printf(s->piece, "%s %s", b->room_id, b->session_id);
    uintptr_t at = (uintptr_t)map_get(&s->places, str_of(name));
    if (at)
        return &s->sessions[at - 1];
    map_put(&s->places, str_of(name), (void *)(uintptr_t)(s->piece_n + 1)); /* the place */
    return &s->sessions[s->piece_n++];
}

static const struct err *need_int(struct str o, const char *key, int64_t *ret)
{
    struct str raw = json_scan_get(o, key);
    if (!raw.p || str_is(raw, "null"))
        return err(ERR_MISSING_PARAM, "Missing \"%s\"", key);
    return json_scan_int(raw, ret) ? NULL : err(ERR_BAD_JSON, "\"%s\" must be an integer", key);
}

static const struct err *need_object(struct str o, const char *key, struct str *ret)
{
    struct str raw = json_scan_get(o, key);
    if (!raw.p || str_is(raw, "null"))
        return err(ERR_MISSING_PARAM, "Missing \"%s\"", key);
    if (raw.p[0] != '{')
        return err(ERR_BAD_JSON, "\"%s\" must be an object", key);
    *ret = raw;
    return NULL;
}

static const struct err *data_too_large(void)
{
    return err(ERR_TOO_LARGE, "`session_data` may have %d bytes at most", SESSION_DATA_MAX);
}

static const struct err *read_data(struct arena *a, struct str raw, struct str *ret)
{
    enum { ESCAPED = 6 }; /* even if all of it is escapes */
    if (raw.n > (size_t)ESCAPED * SESSION_DATA_MAX)
        return data_too_large();
    buf_auto struct buf bytes = {0};
    TRY(canonical_json_add(&bytes, CANONICAL_SHORTEST, raw));
    if (bytes.n > SESSION_DATA_MAX)
        return data_too_large();
    *ret = (struct str){arena_memdup(a, bytes.p, bytes.n), bytes.n};
    return NULL;
}

static const struct err *read_session(struct arena *a, struct str o, struct backup_session *ret)
{
    struct str data;
    TRY(need_int(o, "first_message_index", &ret->first_message_index));
    TRY(need_int(o, "forwarded_count", &ret->forwarded_count));
    struct str verified = json_scan_get(o, "is_verified");
    if (!str_is(verified, "true") && !str_is(verified, "false"))
        return err(ERR_MISSING_PARAM, "`is_verified` must be true or false");
    ret->is_verified = str_is(verified, "true");
    TRY(need_object(o, "session_data", &data));
    return read_data(a, data, &ret->session_data);
}

static const struct err *add_session(struct storing *s, const char *room_id, const char *session_id,
                                     struct str o)
{
    enum { PIECE_BYTES = 1 << 20 };
    if (o.p[0] != '{')
        return err(ERR_BAD_JSON, "A backed up key is an object");
    if (!*session_id || strlen(session_id) > SESSION_ID_MAX || !*room_id ||
        strlen(room_id) > SESSION_ID_MAX)
        return err(ERR_INVALID_PARAM, "A room id or session id is empty or too long");
    if (s->n++ == SESSIONS_MAX)
        return err(ERR_TOO_LARGE, "Store %d keys at most in one request", SESSIONS_MAX);
    if (s->piece_n == PIECE || s->piece_bytes > PIECE_BYTES)
        TRY(end_piece(s));
    struct backup_session b = {.room_id = arena_strdup(s->piece, room_id),
                               .session_id = arena_strdup(s->piece, session_id)};
    TRY(read_session(s->piece, o, &b));
    s->piece_bytes += b.session_data.n;
    *place_of(s, &b) = b;
    return NULL;
}

/* The key of a member as text; "" when it is too long or contains NUL. */
static const char *key_text(struct str inside, char ret[SESSION_ID_MAX * 6 + 1])
{
    if (inside.n > SESSION_ID_MAX * 6)
        return "";
    size_t n = json_scan_unescape(inside, ret);
    ret[n] = '\0';
    return strlen(ret) == n ? ret : "";
}

static const struct err *room_keys_add_room(struct storing *s, const char *room_id, struct str room)
{
    struct str sessions;
    struct json_member m;
    char id[SESSION_ID_MAX * 6 + 1];
    if (room.p[0] != '{')
        return err(ERR_BAD_JSON, "The keys of a room are an object");
    TRY(need_object(room, "sessions", &sessions));
    for (size_t pos = 0; json_scan_next(sessions, &pos, &m);)
        TRY(add_session(s, room_id, key_text(m.key, id), m.value));
    return NULL;
}

static const struct err *add_rooms(struct storing *s, struct str body)
{
    struct str rooms;
    struct json_member m;
    char id[SESSION_ID_MAX * 6 + 1];
    TRY(need_object(body, "rooms", &rooms));
    for (size_t pos = 0; json_scan_next(rooms, &pos, &m);)
        TRY(room_keys_add_room(s, key_text(m.key, id), m.value));
    return NULL;
}

/* The body names the room and session unless the path does. */
static const struct err *add_body(struct request *rq, struct storing *s, struct str body)
{
    const char *room = request_param(rq, "room"), *session = request_param(rq, "session");
    if (session)
        return add_session(s, room, session, body);
    return room ? room_keys_add_room(s, room, body) : add_rooms(s, body);
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

static const struct err *check_bytes(struct job *job, const struct storing *s)
{
    int64_t used, max = job->config->key_backups_per_user;
    TRY(key_backups_used_by(s->tx, s->user, &used));
    return used <= max ? NULL
                       : err(ERR_TOO_LARGE,
                             "The keys in your backups may take %lld bytes: delete old backups",
                             (long long)max);
}

static const struct err *put_in_tx(struct request *rq, struct storing *s, struct str body)
{
    TRY(lock_current(s->tx, s->user, s->version));
    TRY(add_body(rq, s, body));
    TRY(end_piece(s));
    TRY(check_bytes(job_of(rq), s));
    return tx_commit(s->tx);
}

static const struct err *put_keys(struct request *rq, struct reply *rp)
{
    struct str body = str_trim(rq->raw, " \t\r\n");
    int64_t version;
    TRY(json_scan_check(body));
    if (body.p[0] != '{')
        return err(ERR_BAD_JSON, "The body must be a JSON object");
    TRY(room_keys_need_version(rq, &version));
    struct storing *s = arena_alloc(rq->arena, sizeof *s);
    arena_auto struct arena *piece = arena_create();
    s->piece = piece;
    s->tx = job_tx(job_of(rq));
    s->user = caller_of(rq)->user;
    s->version = version;
    TRY(tx_begin(s->tx));
    const struct err *e = put_in_tx(rq, s, body);
    if (e)
        tx_rollback(s->tx);
    map_finish(&s->places);
    TRY(e);
    return reply_counts(rp, &s->now);
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

/* is_first is a parameter because the buffer may have been flushed. */
static void room_keys_add_name(struct buf *b, bool is_first, const char *name)
{
    if (!is_first)
        buf_add_char(b, ',');
    buf_add_json_string(b, str_of(name));
    buf_add_char(b, ':');
}

static const struct err *need_backup(struct request *rq, int64_t *ret_version)
{
    struct key_backup backup;
    TRY(room_keys_need_version(rq, ret_version));
    TRY(key_backup_get(job_tx(job_of(rq)), caller_of(rq)->user, *ret_version, &backup));
    return backup.algorithm && !backup.deleted ? NULL : unknown_version();
}

/* The last key of a reply that is written page by page. */
struct place {
    char room[SESSION_ID_MAX + 1], session[SESSION_ID_MAX + 1];
    bool any;
};

/* Writes `"session":{…}`; with_rooms groups them as `"!room":{"sessions":{…}}`. */
static void add_next(struct buf *b, struct place *last, const struct backup_session *s,
                     bool with_rooms)
{
    bool new_room = !last->any || (with_rooms && strcmp(last->room, s->room_id) != 0);
    if (with_rooms && new_room) {
        if (last->any)
            BUF_LIT(b, "}}");
        room_keys_add_name(b, !last->any, s->room_id);
        BUF_LIT(b, "{\"sessions\":{");
    }
    room_keys_add_name(b, new_room, s->session_id);
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

static const struct err *room_keys_get_all(struct request *rq, struct reply *rp)
{
    int64_t version;
    TRY(need_backup(rq, &version));
    BUF_LIT(&rp->body, "{\"rooms\":{");
    TRY(add_sessions(rq, rp, version, (struct backup_scope){0}, true));
    BUF_LIT(&rp->body, "}}");
    return reply_body(rp, 200);
}

static const struct err *room_keys_get_room(struct request *rq, struct reply *rp)
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
    TRY(room_keys_need_version(rq, &version));
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
#define PUT_ROUTE(path_) ROUTE(PUT, path_, put_keys, .body = BODY_RAW, .body_max = BODY_BYTES_MAX)

const struct route room_keys_routes[] = {
    PUT_ROUTE(""),
    PUT_ROUTE("/{room}"),
    PUT_ROUTE("/{room}/{session}"),
    ROUTE(GET, "", room_keys_get_all, ),
    ROUTE(GET, "/{room}", room_keys_get_room, ),
    ROUTE(GET, "/{room}/{session}", get_session, ),
    ROUTE(DELETE, "", delete_all, ),
    ROUTE(DELETE, "/{room}", delete_room, ),
    ROUTE(DELETE, "/{room}/{session}", delete_session, ),
    {.path = NULL},
};
