#include "storage/users/user_directory.h"

#include "base/text.h"
#include "storage/db/time_limit.h"
#include "storage/rooms/sql_numbers.h"
#include "storage/users/profiles.h"

enum { WORDS_MAX = 10, TIME_MAX_MS = 2000, CANDIDATES_MAX = 1000, NEAR_MAX = 2000 };

/* The term: users match if their display name or user id contains every word. */
struct wanted {
    const char *term;             /* the words, a space between them */
    const char *words[WORDS_MAX]; /* the longest first, which the fewest names have */
    size_t n;
};

static bool is_between_words(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r') || c == ',' || c == ';';
}

static void put_longest_first(struct wanted *w)
{
    for (size_t i = 1; i < w->n; i++) {
        const char *word = w->words[i];
        if (strlen(word) <= strlen(w->words[0]))
            continue;
        w->words[i] = w->words[0];
        w->words[0] = word;
    }
}

static void user_directory_wanted_init(struct arena *a, const char *term, struct wanted *ret)
{
    char *at = str_dup(a, str_of(text_fold_string(a, term)));
    buf_auto struct buf joined = {0};
    *ret = (struct wanted){0};
    while (ret->n < WORDS_MAX) {
        while (is_between_words(*at))
            at++;
        if (!*at)
            break;
        const char *word = at;
        while (*at && !is_between_words(*at))
            at++;
        if (*at)
            *at++ = '\0';
        buf_printf(&joined, ret->n ? " %s" : "%s", word);
        ret->words[ret->n++] = word;
    }
    ret->term = str_dup(a, buf_str(&joined));
    put_longest_first(ret);
}

static bool user_directory_is_found(const struct wanted *w, const char *name, const char *user_id)
{
    for (size_t i = 0; i < w->n; i++)
        if (!strstr(name, w->words[i]) && !strcasestr(user_id, w->words[i]))
            return false;
    return true;
}

/* The name of a user of another server is taken from their newest member event in a room that the
 * viewer shares. */
SQL(user_directory_theirs_sql,
    "SELECT t.\"user\", t.event, u.user_id, member_name(e.json) FROM ("
    "SELECT DISTINCT ON (m.\"user\") m.\"user\", m.event FROM room_members o "
    "JOIN room_members m ON m.room = o.room AND m.membership = " MEMBERSHIP_JOIN_SQL
    " AND NOT m.is_local "
    "WHERE o.\"user\" = $1 AND o.membership = " MEMBERSHIP_JOIN_SQL
    " ORDER BY m.\"user\", m.event DESC LIMIT 20000) t "
    "JOIN users u ON u.id = t.\"user\" JOIN events e ON e.position = t.event")

struct theirs {
    int64_t *users, *events;
    const char **names; /* folded */
    size_t n;
};

/* The matching ones. */
static const struct err *user_directory_find_theirs(struct tx *tx, int64_t viewer,
                                                    const struct wanted *wanted, struct theirs *ret)
{
    struct rows rows;
    TRY(time_limit_query(tx, TIME_MAX_MS, &user_directory_theirs_sql, P(INT(viewer)), &rows));
    size_t cap = (size_t)rows.n + 1;
    struct theirs t = {.users = arena_alloc_array(tx->arena, cap, sizeof *t.users),
                       .events = arena_alloc_array(tx->arena, cap, sizeof *t.events),
                       .names = arena_alloc_array(tx->arena, cap, sizeof *t.names)};
    while (rows_next(&rows)) {
        const char *name = profile_search_name(tx->arena, row_bytes(&rows, 3));
        if (!user_directory_is_found(wanted, name, row_text(&rows, 2)))
            continue;
        t.users[t.n] = row_int(&rows, 0);
        t.events[t.n] = row_int(&rows, 1);
        t.names[t.n++] = name;
    }
    rows_finish(&rows);
    *ret = t;
    return NULL;
}

/* Local users that may match, by an index of parts of names (schema/0133). For a frequent term not
 * all of them are returned; then users who share a room with the viewer are candidates, too. */
SQL(user_directory_candidates_sql, "SELECT directory_candidates($1, $2)")
SQL(user_directory_near_sql,
    "SELECT DISTINCT \"user\" FROM (SELECT m.\"user\" FROM room_members o "
    "JOIN room_members m ON m.room = o.room AND m.membership = " MEMBERSHIP_JOIN_SQL
    " AND m.is_local "
    "WHERE o.\"user\" = $1 AND o.membership = " MEMBERSHIP_JOIN_SQL
    " LIMIT $2) near UNION SELECT $1")
/* A user of any server, who may be in a public room that the viewer is not in. */
SQL(user_directory_by_id_sql, "SELECT id FROM users WHERE user_id = $1")

struct directory_candidates {
    int64_t *users;
    size_t n;
};

static const struct err *add_candidates(struct tx *tx, struct rows *rows,
                                        struct directory_candidates *c)
{
    int64_t *users = arena_alloc_array(tx->arena, c->n + (size_t)rows->n + 1, sizeof *users);
    if (c->n)
        memcpy(users, c->users, c->n * sizeof *users);
    while (rows_next(rows))
        users[c->n++] = row_int(rows, 0);
    rows_finish(rows);
    c->users = users;
    return NULL;
}

/* The user id that the term gives, with the viewer's server if it lacks one. */
static const char *id_of_term(struct arena *a, const char *term, const char *server)
{
    const char *at = *term == '@' ? "" : "@";
    return strchr(term, ':') ? arena_printf(a, "%s%s", at, term)
                             : arena_printf(a, "%s%s:%s", at, term, server);
}

static const struct err *find_candidates(struct tx *tx, int64_t viewer, const char *server,
                                         const struct wanted *w, struct directory_candidates *ret)
{
    struct rows rows;
    *ret = (struct directory_candidates){0};
    TRY(db_query(tx, &user_directory_by_id_sql, P(TEXT(id_of_term(tx->arena, w->term, server))),
                 &rows));
    TRY(add_candidates(tx, &rows, ret));
    TRY(time_limit_query(tx, TIME_MAX_MS, &user_directory_candidates_sql,
                         P(TEXT_ARRAY(w->words, w->n), INT(CANDIDATES_MAX)), &rows));
    bool all = rows.n < CANDIDATES_MAX;
    TRY(add_candidates(tx, &rows, ret));
    if (all)
        return NULL;
    TRY(time_limit_query(tx, TIME_MAX_MS, &user_directory_near_sql, P(INT(viewer), INT(NEAR_MAX)),
                         &rows));
    return add_candidates(tx, &rows, ret);
}

/* Rooms are read only for the few users that match, and only as far as needed: with EXISTS
 * PostgreSQL would search all public rooms first. Public rooms are recognised by the bytes of their
 * state, which is canonical JSON. The viewer is found, too. */
SQL(user_directory_sql,
    "WITH named AS MATERIALIZED ("
    "SELECT u.id AS \"user\", u.user_id, lower(u.user_id) AS id, p.fields, t.event, "
    "coalesce(p.search_name, btrim(p.folded_name, '\"'), t.name, '') AS name, $2::text AS term "
    "FROM (SELECT unnest($8::int8[]) AS \"user\" UNION SELECT unnest($4::int8[])) c "
    "CROSS JOIN LATERAL (SELECT id, user_id FROM users WHERE id = c.\"user\" LIMIT 1) u "
    "LEFT JOIN LATERAL (SELECT deactivated, is_guest FROM accounts WHERE \"user\" = u.id LIMIT 1) "
    "a "
    "ON true LEFT JOIN LATERAL (SELECT fields, search_name, folded_name FROM profiles "
    "WHERE \"user\" = u.id LIMIT 1) p ON true "
    "LEFT JOIN unnest($4::int8[], $5::int8[], $6::text[]) t(\"user\", event, name) "
    "ON t.\"user\" = u.id "
    "WHERE NOT coalesce(a.deactivated OR a.is_guest, false)) "
    "SELECT n.user_id, coalesce(n.fields, (SELECT member_profile(e.json) FROM events e "
    "WHERE e.position = n.event)) FROM named n WHERE NOT EXISTS ("
    "SELECT FROM unnest($7::text[]) w(word) "
    "WHERE strpos(n.id, w.word) = 0 AND strpos(n.name, w.word) = 0) "
    "AND (n.\"user\" = $1 OR EXISTS ("
    "SELECT 1 FROM room_members m WHERE m.\"user\" = n.\"user\" AND m.membership "
    "= " MEMBERSHIP_JOIN_SQL " AND ("
    "EXISTS (SELECT 1 FROM room_members o WHERE o.room = m.room AND o.\"user\" = $1 "
    "AND o.membership = " MEMBERSHIP_JOIN_SQL ") OR "
    "COALESCE((SELECT true FROM room_state s CROSS JOIN LATERAL "
    "(SELECT json FROM events WHERE position = s.event LIMIT 1) e "
    "WHERE s.room = m.room AND s.type IN (" TYPE_JOIN_RULES_SQL ", " TYPE_HISTORY_VISIBILITY_SQL
    ") AND s.state_key = '' "
    "AND s.valid_to = " VALID_FOREVER_SQL " "
    "AND (position('\"join_rule\":\"public\"'::bytea IN e.json) > 0 "
    "OR position('\"history_visibility\":\"world_readable\"'::bytea IN e.json) > 0) LIMIT 1), "
    "false)))) "
    "ORDER BY n.id = term DESC, starts_with(n.id, '@' || term || ':') DESC, n.name = term DESC, "
    "starts_with(n.id, '@' || term) OR starts_with(n.name, term) DESC, "
    "(SELECT count(*) FROM unnest($7::text[]) w(word) WHERE strpos(' ' || n.name, ' ' || w.word) > "
    "0 "
    " OR starts_with(n.id, '@' || w.word)) DESC, "
    "n.fields IS NOT NULL OR n.event IS NOT NULL DESC, n.user_id LIMIT $3")

const struct err *user_directory_search(struct tx *tx, int64_t viewer, const char *server,
                                        const char *term, int64_t limit,
                                        const struct found_user **ret, size_t *ret_n)
{
    struct wanted wanted;
    struct theirs theirs;
    struct directory_candidates ours;
    struct rows rows;
    *ret = NULL;
    *ret_n = 0;
    user_directory_wanted_init(tx->arena, term, &wanted);
    if (!wanted.n)
        return NULL;
    TRY(user_directory_find_theirs(tx, viewer, &wanted, &theirs));
    TRY(find_candidates(tx, viewer, server, &wanted, &ours));
    TRY(time_limit_query(tx, TIME_MAX_MS, &user_directory_sql,
                         P(INT(viewer), TEXT(wanted.term), INT(limit),
                           INT_ARRAY(theirs.users, theirs.n), INT_ARRAY(theirs.events, theirs.n),
                           TEXT_ARRAY(theirs.names, theirs.n), TEXT_ARRAY(wanted.words, wanted.n),
                           INT_ARRAY(ours.users, ours.n)),
                         &rows));
    struct found_user one;
    rows_list(&rows, R(TEXT_OUT(&one.user_id), BYTES_OUT(&one.profile)), LIST(one, ret, ret_n));
    return NULL;
}

SQL(mutual_rooms_sql,
    "WITH mutual AS (SELECT r.id, r.room_id FROM room_members a "
    "JOIN room_members b ON b.room = a.room AND b.\"user\" = $2 AND b.membership "
    "= " MEMBERSHIP_JOIN_SQL " "
    "JOIN rooms r ON r.id = a.room WHERE a.\"user\" = $1 AND a.membership = " MEMBERSHIP_JOIN_SQL
    ") "
    "SELECT id, room_id, (SELECT count(*) FROM mutual) FROM mutual WHERE id > $3 "
    "ORDER BY id LIMIT $4")

const struct err *mutual_rooms_find(struct tx *tx, int64_t a, int64_t b, int64_t after,
                                    int64_t limit, const struct mutual_room **ret, size_t *ret_n,
                                    int64_t *ret_total)
{
    struct mutual_room one;
    *ret_total = 0;
    return db_list(tx, &mutual_rooms_sql, P(INT(a), INT(b), INT(after), INT(limit)),
                   R(INT_OUT(&one.room), TEXT_OUT(&one.room_id), INT_OUT(ret_total)),
                   LIST(one, ret, ret_n));
}
