#include "users/profile.h"

#include "matrix/canonical_json.h"
#include "rooms/room_cache.h"
#include "rooms/write/basis.h"
#include "storage/db/retry.h"
#include "storage/rooms/members.h"
#include "storage/users/users.h"
#include "users/session.h"

enum { DISPLAYNAME_MAX = 1024, AVATAR_URL_MAX = 1024 }; /* bytes */

/* ---- reading ---- */

const struct err *profile_read(struct job *job, const char *user_id, const json_t **ret)
{
    struct account a = {0};
    struct profile p = {0};
    json_t *fields = NULL;
    bool found;
    TRY(users_find(job_tx(job), user_id, &found, &a));
    if (found) {
        TRY(profile_get(job_tx(job), a.user, &p));
        TRY(json_read_own(job->arena, p.fields, &fields));
    }
    *ret = fields;
    return NULL;
}

/* ---- fields ---- */

static bool is_sent_to_rooms(const char *key)
{
    return strcmp(key, "displayname") == 0 || strcmp(key, "avatar_url") == 0;
}

/* Appendices, "Common Namespaced Identifier Grammar": a key outside the specification has a
 * namespace. */
const struct err *profile_check_key(const char *key)
{
    size_t n = strlen(key);
    if (n > PROFILE_KEY_MAX)
        return err(ERR_KEY_TOO_LARGE, "The name of a profile field may have at most %d bytes",
                   PROFILE_KEY_MAX);
    if (is_sent_to_rooms(key))
        return NULL;
    bool well = key[0] >= 'a' && key[0] <= 'z' && strchr(key, '.') && key[n - 1] != '.';
    if (!well || strspn(key, "abcdefghijklmnopqrstuvwxyz0123456789._-") != n)
        return err(ERR_INVALID_PARAM, "This is not a valid name of a profile field");
    return NULL;
}

static const struct err *check_text(const char *key, const json_t *value, size_t max)
{
    if (!json_is_string(value))
        return err(ERR_INVALID_PARAM, "%s must be a string", key);
    if (json_string_length(value) > max)
        return err(ERR_INVALID_PARAM, "%s is too long", key);
    return NULL;
}

/* value NULL: the field is removed. */
static const struct err *profile_check_value(const char *key, const json_t *value,
                                             const json_t **ret)
{
    if (value && is_sent_to_rooms(key) &&
        (json_is_null(value) || (json_is_string(value) && json_string_length(value) == 0)))
        value = NULL;
    if (value && strcmp(key, "displayname") == 0)
        TRY(check_text(key, value, DISPLAYNAME_MAX));
    if (value && strcmp(key, "avatar_url") == 0)
        TRY(check_text(key, value, AVATAR_URL_MAX));
    *ret = value;
    return value ? canonical_json_check_tree(value) : NULL;
}

/* ---- the profile ---- */

static const struct err *write_fields(struct job *job, struct write *w, int64_t user,
                                      const char *user_id, struct str fields, int64_t seen)
{
    struct change change = {.kind = CHANGE_PROFILE, .user = user};
    TRY(session_fill_audience(job, &change));
    profile_write(w, user, fields, seen, write_change(w, &change));
    return NULL;
}

static const struct err *commit_fields(struct job *job, int64_t user, const char *user_id,
                                       struct str fields, int64_t seen)
{
    struct write *w = write_begin(job);
    const struct err *e = write_fields(job, w, user, user_id, fields, seen);
    if (!e)
        return write_commit(job, w, NULL);
    write_abandon(w);
    return e;
}

static const struct err *try_set(struct job *job, int64_t user, const char *user_id,
                                 const char *key, const json_t *value, bool *ret_changed)
{
    struct profile p;
    json_t *fields;
    TRY(profile_get(job_tx(job), user, &p));
    TRY(json_read_own(job->arena, p.fields, &fields));
    const json_t *old = json_object_get(fields, key);
    *ret_changed = value ? !old || !json_equal(old, value) : old != NULL;
    if (!*ret_changed)
        return NULL;
    if (value)
        json_object_set_new(fields, key, json_deep_copy(value));
    else
        json_object_del(fields, key);
    const char *text = json_write(job->arena, fields);
    if (strlen(text) > PROFILE_BYTES_MAX)
        return err(ERR_PROFILE_TOO_LARGE, "A profile may have at most %d bytes", PROFILE_BYTES_MAX);
    return commit_fields(job, user, user_id, str_of(text), p.position);
}

/* ---- the rooms ---- */

static void add_member_text(struct buf *out, const char *key, const char *value)
{
    if (!value)
        return;
    buf_printf(out, ",\"%s\":", key);
    buf_add_json_string(out, str_of(value));
}

struct propagation {
    const struct author *author;
    struct str content;
};

/* A user who is no longer a member must not rejoin through a new display name. */
static const struct err *profile_decide(void *ctx, struct basis *on, struct new_event *ret,
                                        const char **ret_existing)
{
    const struct propagation *t = ctx;
    enum membership m;
    TRY(basis_membership(on, t->author->user_id, &m));
    if (m != MEMBERSHIP_JOIN)
        *ret_existing = "";
    *ret = (struct new_event){
        .type = "m.room.member", .state_key = t->author->user_id, .content = t->content};
    return NULL;
}

static const struct err *send_to_room(struct job *job, int64_t room_id, const struct author *author,
                                      struct str content)
{
    struct propagation t = {author, content};
    const struct decision decision = {profile_decide, &t};
    struct room *room;
    const char *event_id;
    TRY(room_get_by_id(job, room_id, &room));
    return room ? room_decide_state(job, room, author, &decision, &event_id) : NULL;
}

/* Sends a member event with the current profile to every room that the user is joined to and whose
 * member event differs. A room that refuses it does not fail the others. */
static const struct err *propagate(struct job *job, int64_t user, const char *user_id)
{
    struct profile p;
    const struct member_row *rows;
    size_t n;
    TRY(profile_get(job_tx(job), user, &p));
    TRY(members_of_user(job_tx(job), user, &rows, &n));
    buf_auto struct buf content = {0};
    BUF_LIT(&content, "{\"membership\":\"join\"");
    add_member_text(&content, "displayname", p.displayname);
    add_member_text(&content, "avatar_url", p.avatar_url);
    BUF_LIT(&content, "}");
    struct author author = {.user = user, .user_id = user_id};
    for (size_t i = 0; i < n; i++) {
        if (rows[i].membership != MEMBERSHIP_JOIN)
            continue;
        arena_auto struct arena *a = arena_create(); /* releases the room after each round */
        struct job one;
        job_init(&one, job->node, a);
        const struct err *e = send_to_room(&one, rows[i].room, &author, buf_str(&content));
        job_finish(&one);
        if (e && e->code == ERR_UNAVAILABLE)
            return e;
    }
    return NULL;
}

/* ---- changes ---- */

const struct err *profile_set_field(struct job *job, int64_t user, const char *user_id,
                                    const char *key, const json_t *value)
{
    TRY(profile_check_key(key));
    TRY(profile_check_value(key, value, &value));
    bool changed = false;
    struct retry retry = {0};
    const struct err *e;
    do
        e = try_set(job, user, user_id, key, value, &changed);
    while (retry_conflict(&retry, e));
    if (e)
        return e;
    return changed && is_sent_to_rooms(key) ? propagate(job, user, user_id) : NULL;
}

const struct err *profile_write_clear(struct job *job, struct write *w, int64_t user,
                                      const char *user_id)
{
    return write_fields(job, w, user, user_id, STR("{}"), PROFILE_SEEN_ANY);
}
